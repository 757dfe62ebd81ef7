/** Every page in every state with canned data, for looking at: `bun run gallery`, then open the address it prints. */
import { Html } from '@elysiajs/html'
import { Elysia } from 'elysia'
import { parseConfig } from '../../src/config.ts'
import { assets } from '../../src/http/assets.ts'
import { PAGE_HEADERS } from '../../src/http/response-headers.ts'
import type { View } from '../../src/http/shell.ts'
import { qrPath } from '../../src/lib/qr.ts'
import { openScopes } from '../../src/oauth/scopes.ts'
import { openSite } from '../../src/site.ts'
import { accountPage } from '../../views/account.tsx'
import { type ConnectedApp, type Connection, connectionList } from '../../views/connections.tsx'
import { answerPage, consentPage, refusedRequestPage } from '../../views/consent.tsx'
import { dataPage } from '../../views/data.tsx'
import { type DeviceRequestProps, deviceEntryPage, deviceRequestPage, deviceStatus } from '../../views/device.tsx'
import { errorPage } from '../../views/error.tsx'
import { homePage } from '../../views/home.tsx'
import { Layout, type Shell } from '../../views/layout.tsx'
import { passkeysPage } from '../../views/passkeys.tsx'
import { sessionsPage } from '../../views/sessions.tsx'
import { onwardPage, signInLinkPage, signInPage } from '../../views/signin.tsx'
import { type Language, TEXTS } from '../../views/texts/index.ts'
import { newTokenPage, tokensPage } from '../../views/tokens.tsx'
import { linkedPage, linkPage, type ServerAccount } from '../../views/upstream-accounts.tsx'
import { ADMIN_PAGES } from './gallery-admin.tsx'

const LONG = 'The Remarkably Long-Winded Assistant of the Department of Unbroken-Compound-Words (staging, second try)'
const who = { email: 'ada@example.com', csrf: 'canned' }
const scopes = openScopes()
const permission = (scope: string) => ({ scope, text: scopes.text(scope) })

const TOOLS = [
  { name: 'delete_file', destructive: true },
  { name: 'read_file', destructive: false },
  { name: 'search_files', destructive: false },
]

const request: Omit<DeviceRequestProps, 'shell'> = {
  ...who,
  id: '3f0e0b52-7f0c-4a53-9d38-7a2f0d5f1c11',
  state: 'undecided',
  userCode: 'WDJB-MJHT',
  client: { name: 'Claude Code', voucher: { by: 'nobody' } },
  resource: 'https://tools.example.com/mcp',
  permissions: [permission('mcp:tools:read'), permission('mcp:tools:call')],
  opened: [
    { name: 'files', tools: TOOLS },
    { name: 'notes', tools: TOOLS.slice(1) },
    { name: 'wiki', tools: undefined },
  ],
  usedBefore: undefined,
  lasts: 90 * 86_400,
  requestedAt: new Date(Date.now() - 70_000).toISOString(),
  ip: '203.0.113.7',
  sameNetwork: true,
  agent: 'node',
}

const connection = (scope: string[], more: Partial<Connection> = {}): Connection => ({
  id: crypto.randomUUID(),
  label: undefined,
  resource: request.resource,
  servers: ['files', 'notes'],
  permissions: scope.map(permission),
  connectedAt: '2026-11-02T09:12:00.000Z',
  calledAt: '2026-11-23T12:34:56.000Z',
  network: '203.0.113.7',
  expiresAt: '2027-02-01T09:12:00.000Z',
  ...more,
})

const connectedApp = (name: string, byOperator: boolean, ...connections: Connection[]): ConnectedApp => ({
  client: { name, voucher: byOperator ? { by: 'operator' } : { by: 'host', host: 'assistant.example' } },
  clientId: 'c_canned',
  count: connections.length,
  connections,
})

const entry = { csrf: 'canned', code: '', qr: undefined }
const qr = qrPath('https://tools.example.com/auth/device?code=WDJB-MJHT')
const account = {
  ...who,
  signOutCsrf: 'canned',
  signOutEverywhereCsrf: 'canned',
  apps: [],
  servers: [],
  unlinkCsrf: 'canned',
  from: 0,
  next: undefined,
  remembered: [],
}

const serverAccount = (name: string, state: ServerAccount['state']): ServerAccount => ({
  name,
  host: `${name}.example.com`,
  state,
  account: state === 'linked' ? 'ada@example.com' : undefined,
  scope: state === 'linked' || state === 'wants_more' ? ['notes:read', 'notes:write'] : [],
  linkedAt: state === 'not_linked' ? undefined : '2026-11-02T09:12:00.000Z',
  usedAt: state === 'linked' ? '2026-11-23T12:34:56.000Z' : undefined,
})

const tokens = {
  csrf: 'canned',
  tokens: [
    { name: 'Nightly report', isExpired: false, usedAt: '2026-11-23T12:34:56.000Z' },
    { name: LONG, isExpired: true, usedAt: undefined },
  ].map(token => ({
    id: crypto.randomUUID(),
    permissions: request.permissions,
    resource: request.resource,
    createdAt: '2026-11-02T09:12:00.000Z',
    expiresAt: '2027-02-01T09:12:00.000Z',
    ...token,
  })),
  scopes: scopes.names.map(permission),
}
const typed = { name: '', days: '90', scopes: ['mcp:tools:read', 'mcp:tools:call'], problem: undefined }

const session = (browser: string | undefined, system: string | undefined, more: object) => ({
  id: crypto.randomUUID(),
  name: { browser, system },
  ip: '203.0.113.7',
  signedInAt: '2026-11-02T09:12:00.000Z',
  endsAt: '2026-12-02T09:12:00.000Z',
  isThis: false,
  ...more,
})

const serverLink = {
  ...who,
  name: 'notes',
  host: 'notes.example.com',
  signInHost: 'signin.example.com',
  issuerBefore: undefined,
  scope: ['notes:read', 'offline_access'],
}

const consent = {
  ...who,
  request: 'canned',
  client: request.client,
  destination: { kind: 'computer' as const },
  resource: request.resource,
  permissions: request.permissions,
  opened: request.opened,
  usedBefore: '2026-11-23T12:34:56.000Z',
  lasts: request.lasts,
}

const answer = {
  client: request.client,
  href: '/gallery/home',
  destination: { kind: 'host' as const, host: 'app.example' },
}

const front = {
  baseUrl: 'https://tools.example.com',
  mcpUrl: 'https://tools.example.com/mcp',
  name: 'tools',
  command: 'mcp-oauth-server',
  upstreams: ['files', 'observability-production'].map(name => ({
    name,
    url: `https://tools.example.com/mcp/${name}`,
  })),
}

/** By path below /gallery. */
export const PAGES: Record<string, View> = {
  home: shell => homePage({ ...front, shell }),
  'home-stranger': shell => homePage({ ...front, shell, upstreams: [] }),
  'sign-in': shell =>
    signInPage({
      shell,
      csrf: 'canned',
      waiting: undefined,
      qr: undefined,
      providers: [],
      returnTo: '/account',
      command: 'mcp-oauth-server',
    }),
  'sign-in-providers': shell =>
    signInPage({
      shell,
      command: 'mcp-oauth-server',
      providers: [
        { id: 'google', name: 'Google' },
        { id: 'github', name: 'GitHub' },
        { id: 'oidc', name: 'Example University' },
      ],
      csrf: 'canned',
      waiting: { kind: 'device', code: 'WDJB-MJHT' },
      qr,
      returnTo: '/auth/device?code=WDJB-MJHT',
    }),
  'sign-in-app': shell =>
    signInPage({
      shell,
      command: 'mcp-oauth-server',
      providers: [{ id: 'github', name: 'GitHub' }],
      csrf: 'canned',
      waiting: { kind: 'app', client: request.client },
      qr: undefined,
      returnTo: '/account',
    }),
  'signed-in-already': shell =>
    signInPage({
      shell,
      command: 'mcp-oauth-server',
      providers: [{ id: 'google', name: 'Google' }],
      csrf: 'canned',
      waiting: undefined,
      qr: undefined,
      returnTo: '/account',
    }),
  'sign-in-link': shell => signInLinkPage({ shell, token: 'canned', csrf: 'canned', email: who.email }),
  'sign-in-onward': shell => onwardPage({ shell, href: '/gallery/home', to: 'Google' }),
  consent: shell => consentPage({ shell, ...consent }),
  'consent-host': shell =>
    consentPage({
      shell,
      ...consent,
      client: { name: LONG, voucher: { by: 'host', host: 'assistant.example' } },
      destination: { kind: 'host', host: 'assistant.example' },
    }),
  'consent-local': shell =>
    consentPage({ shell, ...consent, client: { name: 'Claude Code', voucher: { by: 'host', host: 'claude.ai' } } }),
  'consent-admin-only': shell => consentPage({ shell, ...consent, permissions: [] }),
  'consent-approved': shell => answerPage({ shell, decision: 'approved', ...answer }),
  'consent-denied': shell => answerPage({ shell, decision: 'denied', ...answer }),
  'consent-refused': shell =>
    refusedRequestPage({
      shell,
      description: 'The parameter code_challenge is missing; PKCE with S256 is required',
      ...answer,
    }),
  device: shell => deviceEntryPage({ shell, ...entry }),
  'device-link': shell => deviceEntryPage({ shell, ...entry, code: 'WDJB-MJHT', qr }),
  'device-wrong': shell =>
    deviceEntryPage({ shell, ...entry, code: 'WDJB-MJHX', problem: { kind: 'wrong', triesLeft: 3 } }),
  'device-blocked': shell =>
    deviceEntryPage({ ...entry, shell, code: 'X', problem: { kind: 'blocked', seconds: 800, network: false } }),
  'device-decision': shell => deviceRequestPage({ shell, ...request }),
  'device-decision-long': shell =>
    deviceRequestPage({
      shell,
      ...request,
      email: 'augusta.ada.king.countess.of.lovelace@analytical-engines.department.example.ac.uk',
      client: { name: LONG, voucher: { by: 'nobody' } },
      resource: 'https://tools.internal.department-of-computing.example.ac.uk/mcp/observability-production',
      permissions: [...scopes.names].map(permission),
      ip: '2001:db8:1234:5678:9abc:def0:1234:5678',
      agent: `Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 ${'Embedded/1.0 '.repeat(16)}`,
      sameNetwork: false,
      usedBefore: '2026-11-23T12:34:56.000Z',
    }),
  'device-decision-admin-only': shell => deviceRequestPage({ shell, ...request, permissions: [] }),
  'device-approved': shell => deviceRequestPage({ shell, ...request, state: 'approved' }),
  'device-connected': shell => deviceRequestPage({ shell, ...request, state: 'fetched' }),
  'device-denied': shell => deviceRequestPage({ shell, ...request, state: 'denied' }),
  'device-expired': shell => deviceRequestPage({ shell, ...request, state: 'expired' }),
  'account-empty': shell => accountPage({ shell, ...account }),
  account: shell =>
    accountPage({
      shell,
      ...account,
      apps: [
        connectedApp(
          'Claude Code',
          false,
          connection(['mcp:tools:read', 'mcp:tools:call'], { label: 'laptop' }),
          connection(['mcp:tools:read'], { label: 'workstation', network: '2001:db8:1234:5678::/64' }),
        ),
        connectedApp('Nightly report', true, connection(['mcp'], { calledAt: undefined, network: undefined })),
        connectedApp(
          LONG,
          false,
          connection([...scopes.names], {
            resource: `${request.resource}/observability-production-europe-west`,
            servers: [],
            label: LONG.slice(0, 60),
          }),
        ),
        connectedApp(
          'Pneumonoultramicroscopicsilicovolcanoconiosis_Pneumonoultramicroscopic',
          false,
          connection(['mcp:tools:read']),
        ),
      ],
      remembered: ['Console', LONG].map(name => ({
        client: { name, voucher: { by: 'operator' } },
        clientId: 'c_canned',
        permissions: ['mcp:tools:read', 'connections:manage'].map(permission),
      })),
    }),
  'account-disconnected': shell => (
    <Layout title="Connected apps" shell={{ ...shell, notice: `${LONG} is disconnected.` }} wide>
      <h1>Connected apps</h1>
      {connectionList({ ...account, shell, done: `${LONG} is disconnected.` })}
    </Layout>
  ),
  'account-servers': shell =>
    accountPage({
      shell,
      ...account,
      servers: [
        serverAccount('notes', 'linked'),
        serverAccount('tickets', 'not_linked'),
        serverAccount('wiki', 'ended'),
        serverAccount('observability-production-europe-west', 'wants_more'),
      ],
    }),
  data: shell => dataPage({ shell, ...who, recent: true, auditDays: 365, problem: 'That is not your e-mail address.' }),
  'data-again': shell => dataPage({ shell, ...who, recent: false, auditDays: 0, problem: undefined }),
  passkeys: shell =>
    passkeysPage({
      shell,
      csrf: 'canned',
      recent: true,
      lastIsNeeded: true,
      passkeys: [
        { id: 'a', name: 'laptop', backedUp: false, createdAt: request.requestedAt, usedAt: request.requestedAt },
        { id: 'b', name: LONG.slice(0, 60), backedUp: true, createdAt: request.requestedAt, usedAt: undefined },
      ],
    }),
  tokens: shell => tokensPage({ shell, ...tokens, recent: true, typed }),
  'tokens-again': shell => tokensPage({ shell, ...tokens, tokens: [], recent: false, typed }),
  'tokens-problem': shell =>
    tokensPage({ shell, ...tokens, recent: true, typed: { ...typed, problem: 'Choose what the token allows.' } }),
  'tokens-new': shell =>
    newTokenPage({
      shell,
      name: LONG,
      token: `mpt_${'canned-'.repeat(7)}`,
      expiresAt: '2027-02-01T09:12:00.000Z',
    }),
  sessions: shell =>
    sessionsPage({
      shell,
      csrf: 'canned',
      sessions: [
        session('Firefox', 'Windows', { isThis: true }),
        session('Safari', 'iPhone', { ip: '2001:db8:1234:5678:9abc:def0:1234:5678' }),
        session(undefined, undefined, { ip: '' }),
      ],
    }),
  'passkeys-empty': shell => passkeysPage({ shell, csrf: 'canned', recent: false, lastIsNeeded: true, passkeys: [] }),
  'server-link': shell => linkPage({ shell, ...serverLink }),
  'server-link-moved': shell =>
    linkPage({
      shell,
      ...serverLink,
      name: 'observability-production-europe-west',
      issuerBefore: 'https://signin.department-of-computing.example.ac.uk/realms/observability',
      scope: ['notes:read', 'notes:write', 'https://notes.example/auth/long.scope.name.of.an.api', 'offline_access'],
    }),
  'server-linked': shell => linkedPage({ shell, ...who, server: serverAccount('notes', 'linked') }),
  ...ADMIN_PAGES,
  error: shell =>
    errorPage({
      shell,
      status: 500,
      title: 'Something went wrong on our side',
      advice: 'The error has been logged. Try again, or tell the operator of this server when it happened.',
      next: undefined,
      retry: '/account',
      reference: 'hJ3kX0aQ.1f',
    }),
  'error-not-found': shell =>
    errorPage({
      shell,
      status: 404,
      title: 'There is no such page',
      advice: 'Check the address, or start from the front page.',
      next: undefined,
      retry: undefined,
      reference: undefined,
    }),
  'sign-in-link-used': shell =>
    errorPage({
      shell,
      status: 403,
      title: 'This link no longer works',
      advice: 'A sign-in link works once, and only for a few minutes. Ask the operator of this server for a new one.',
      next: 'signin',
      retry: undefined,
      reference: 'hJ3kX0aQ.2a',
    }),
}

/** Pages that are shown to somebody who is not signed in. */
const FOR_STRANGERS = /^(sign-in|error-stranger|home-stranger)/

const site = openSite(
  parseConfig({ BASE_URL: 'https://tools.example.com' }, () => ''),
  () => new Uint8Array(),
)

const shellFor = (name: string, language: Language): Shell => ({
  site,
  language,
  t: TEXTS[language],
  viewer: FOR_STRANGERS.test(name) ? undefined : { email: who.email, isAdmin: true, signOutCsrf: 'canned' },
  notice: undefined,
})

/** `?lang=de` shows a page in another language. */
export const gallery = () => {
  const app = new Elysia().use(assets({ site }))
  const show = async (name: string, view: View, address: string) => {
    const wanted = new URL(address).searchParams.get('lang') ?? 'en'
    const language = wanted in TEXTS ? (wanted as Language) : 'en'
    return new Response(await view(shellFor(name, language)), { headers: PAGE_HEADERS })
  }
  app.get('/', ({ request }) => show('', index, request.url))
  for (const [name, view] of Object.entries(PAGES))
    app.get(`/gallery/${name}`, ({ request }) => show(name, view, request.url))
  return app.get('/auth/device/:id/status', ({ request: { url } }) =>
    show('', shell => deviceStatus({ ...request, shell, state: 'approved' }), url),
  )
}

const index: View = shell => (
  <Layout title="Gallery" shell={shell} wide>
    <h1>Gallery</h1>
    <ul>
      {Object.keys(PAGES).map(name => (
        <li>
          <a href={`/gallery/${name}`} safe>
            {name}
          </a>
        </li>
      ))}
    </ul>
  </Layout>
)

if (import.meta.main) {
  const port = Number(process.env.PORT ?? 3001)
  gallery().listen({ hostname: '127.0.0.1', port })
  console.log(`http://localhost:${port}`)
}
