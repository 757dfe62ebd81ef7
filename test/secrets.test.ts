import { afterAll, expect, setDefaultTimeout, test } from 'bun:test'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import postgres from 'postgres'
import { CHANNEL, SESSION_CHANNEL, UPSTREAM_CHANNEL } from '../sql/notifications.ts'
import { connect } from '../src/db/index.ts'
import { openLog } from '../src/lib/log.ts'
import { DEVICE_CODE_GRANT } from '../src/oauth/grants/types.ts'
import { signInAtFake, startFakeProvider } from './support/fake-openid-provider.ts'
import {
  consentFields,
  csrfOf,
  type DeviceAnswer,
  onwardOf,
  pkce,
  sendSignInForm,
  type TokenAnswer,
} from './support/flows.ts'
import { startNotes } from './support/notes-server.ts'
import { freePort } from './support/ports.ts'
import { run, serve } from './support/processes.ts'
import { startScripted } from './support/scripted.ts'
import { ASKING, addAndUsePasskey, answerQuestions, linkAndUnlink } from './support/secret-flows.ts'
import { migratedDatabase, onPostgres } from './support/server.ts'
import { openBrowser } from './support/user-agent.ts'

setDefaultTimeout(300_000)

/** What operators look at. */
const PAGES = ['', '/users', '/connections', '/clients', '/upstreams', '/traces', '/audit', '/settings']

const NOTICE_PATH = 'a-secret-path-of-a-webhook'

/** In the database it is in plain text: it is short, and lives for minutes. */
const USER_CODE = 'user code'

const cleanup: (() => unknown)[] = []
afterAll(async () => {
  for (const undo of cleanup.reverse()) await undo()
})

/** Everything a server received and sent, and which of it is secret. */
function browser(base: string) {
  const secrets = new Map<string, string>()
  const errors: string[] = []
  const send = async (path: string, init: RequestInit) => {
    const answer = await fetch(base + path, { redirect: 'manual', ...init })
    if (answer.status >= 400) errors.push(await answer.clone().text(), JSON.stringify([...answer.headers]))
    return answer
  }
  return {
    secrets,
    errors,
    get: (path: string, headers: Record<string, string> = {}) => send(path, { headers }),
    post: (path: string, form: Record<string, string>, headers: Record<string, string> = {}) =>
      send(path, { method: 'POST', headers, body: new URLSearchParams(form) }),
    raw: (path: string, body: string, type: string, headers: Record<string, string> = {}) =>
      send(path, { method: 'POST', headers: { 'Content-Type': type, ...headers }, body }),
  }
}

/** The forms in which a secret could appear: as it is, and its bytes as a dump writes them. */
function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret)
  const random = Buffer.from(secret.slice(4, 47), 'base64url')
  return [
    secret,
    encodeURIComponent(secret),
    bytes.toString('hex'),
    bytes.toString('base64').replace(/=+$/, ''),
    ...(/^m[a-z]{2}_/.test(secret) ? [random.toString('hex'), random.toString('base64').replace(/=+$/, '')] : []),
  ]
}

/** The password is not asked for by the PostgreSQL of the tests. */
function withPassword(databaseUrl: string, password: string): string {
  const url = new URL(databaseUrl)
  url.password = password
  return url.href
}

/** What a server and `doctor` print if the database does not answer, or its address is wrong. */
async function withoutDatabase(password: string, given: Record<string, string>): Promise<string> {
  const secret = encodeURIComponent(password)
  const wrong = [
    ...['127.0.0.1:9/database', '127.0.0.1:port/database', '127.0.0.1/database?sslmode=odd'].map(
      rest => `postgres://user:${secret}@${rest}`,
    ),
    ...[`postgres://user:${password}@127.0.0.1/database`, `mysql://user:${secret}@127.0.0.1/database`],
  ]
  const env = { ...given, DATABASE_WAIT: '0', AUTH_SECRET: 'x'.repeat(32), CLIENT_METADATA_DOCUMENTS: 'false' }
  const outputs = await Promise.all(
    wrong.flatMap(DATABASE_URL =>
      [['serve'], ['doctor']].map(async args => {
        const { code, output } = await run(args, { ...env, PORT: String(await freePort()), DATABASE_URL })
        expect([code > 0, output.includes('DATABASE_URL'), output.includes('    at ')]).toEqual([true, true, false])
        return output
      }),
    ),
  )
  return outputs.join('\n')
}

async function dump(env: Record<string, string>): Promise<string> {
  const db = await connect({
    databaseUrl: env.DATABASE_URL,
    dataDir: env.DATA_DIR!,
    serving: false,
    log: openLog('silent'),
  })
  const tables = await db.sql<{ name: string }[]>`
    select table_name as name from information_schema.tables where table_schema = 'public' order by 1`
  let text = ''
  for (const { name } of tables) {
    const rows = await db.sql<{ row: string }[]>`select to_jsonb(t)::text as row from ${db.sql(name)} as t`
    text += `${name}\n${rows.map(({ row }) => row).join('\n')}\n`
  }
  await db.close()
  return text
}

/** All files of the embedded database, its write-ahead log among them. */
function filesIn(directory: string): string {
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).map(name => join(directory, name))
  return files
    .filter(path => statSync(path).isFile() && !path.endsWith('auth-secret'))
    .map(path => readFileSync(path, 'latin1'))
    .join('\n')
}

test('a dump and the files of the database, the log at trace level, a backup, metrics, traces and all error bodies hold none of the secrets', async () => {
  const database = await migratedDatabase()
  cleanup.push(database.drop)
  const provider = await startFakeProvider(() => new Date())
  cleanup.push(provider.stop)
  const [providerCode, providerToken] = [
    'a-code-of-the-provider-0123456789',
    'an-access-token-of-the-provider-0123456789',
  ]
  provider.misbehave({ callback: { code: providerCode }, tokens: { access_token: providerToken } })
  let traces = ''
  const collector = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    async fetch(request) {
      traces += await request.text()
      return Response.json({})
    },
  })
  cleanup.push(() => collector.stop(true))
  const upstreamKey = 'a-key-of-an-upstream-0123456789'
  const servers = join(database.env.DATA_DIR!, 'servers.json')
  const headers = { Authorization: 'Bearer ${UPSTREAM_KEY}' }
  const notes = startNotes()
  notes.loginOf = async () => 'ada'
  cleanup.push(() => notes[Symbol.asyncDispose]())
  const notesSecret = 'a client secret at an upstream-0123456789'
  const atNotes = { client_id: 'us', client_secret: '${NOTES_SECRET}', issuer: notes.origin }
  const asking = startScripted(ASKING)
  cleanup.push(() => asking[Symbol.dispose]())
  const own = {
    UPSTREAM_PATH: 'a-part-of-an-address-of-an-upstream-0123456789',
    UPSTREAM_ENV: 'a-variable-of-an-upstream-0123456789',
    UPSTREAM_ARGUMENT: 'an-argument-of-an-upstream-0123456789',
  }
  const mcpServers = {
    away: { url: 'http://127.0.0.1:9/mcp?key=${UPSTREAM_PATH}', headers },
    // One that ends at once, and one that cannot be started.
    ends: { command: 'false', args: ['${UPSTREAM_ARGUMENT}'], env: { KEY: '${UPSTREAM_ENV}' } },
    none: { command: '/none', args: ['${UPSTREAM_ARGUMENT}'], env: { KEY: '${UPSTREAM_ENV}' } },
    asking: { ...asking.entry, headers },
    notes: { url: notes.url, auth: { ...atNotes, scopes: ['notes:read'] } },
    traded: { url: notes.url, auth: { ...atNotes, type: 'exchange' } },
  }
  writeFileSync(servers, JSON.stringify({ mcpServers }))
  const password = 'the password/of:the@database'
  const { DATABASE_URL } = database.env
  const env: Record<string, string> & {
    INITIAL_ACCESS_TOKEN: string
    OIDC_CLIENT_SECRET: string
    GOOGLE_CLIENT_SECRET: string
    GITHUB_CLIENT_SECRET: string
    NOTIFY_SECRET: string
    METRICS_TOKEN: string
  } = {
    ...database.env,
    ...(DATABASE_URL ? { DATABASE_URL: withPassword(DATABASE_URL, password) } : {}),
    ...own,
    LOG_LEVEL: 'trace',
    SHUTDOWN_GRACE: '0',
    MCP_SERVERS: servers,
    UPSTREAM_KEY: upstreamKey,
    NOTES_SECRET: notesSecret,
    METRICS_TOKEN: 'a-token-for-metrics-of-the-tests-long-enough',
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url.origin,
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=a-key-of-the-collector-0123456789',
    ADMIN_EMAILS: 'ada@example.com',
    ALLOWED_EMAILS: 'mallory@example.com',
    INITIAL_ACCESS_TOKEN: 'an initial access token of the tests, long enough',
    // With a provider the server prints no sign-in link, which would be there on purpose.
    ...provider.env,
    OIDC_CLIENT_SECRET: 'a client secret of the tests at the provider',
    GOOGLE_CLIENT_ID: 'us',
    GOOGLE_CLIENT_SECRET: 'a client secret of the tests at Google',
    GITHUB_CLIENT_ID: 'us',
    GITHUB_CLIENT_SECRET: 'a client secret of the tests at GitHub',
    // Nobody takes notices there, which is logged.
    NOTIFY_URL: `http://127.0.0.1:9/${NOTICE_PATH}`,
    NOTIFY_SECRET: `whsec_${Buffer.alloc(32, 'notices').toString('base64')}`,
  }
  const server = await serve(env)
  cleanup.push(() => server.kill('SIGKILL'))
  const { secrets, errors, get, post, raw } = browser(server.base)
  secrets.set('initial access token', env.INITIAL_ACCESS_TOKEN)
  secrets.set('provider client secret', env.OIDC_CLIENT_SECRET)
  secrets.set('client secret at Google', env.GOOGLE_CLIENT_SECRET)
  secrets.set('client secret at GitHub', env.GITHUB_CLIENT_SECRET)
  secrets.set('password of the database', password)
  secrets.set('key of the collector of traces', 'a-key-of-the-collector-0123456789')
  for (const [name, value] of Object.entries(own)) secrets.set(name, value)
  secrets.set('address for notices', NOTICE_PATH)
  secrets.set('secret of notices', env.NOTIFY_SECRET)
  secrets.set('token for metrics', env.METRICS_TOKEN)
  secrets.set('code of the provider', providerCode)
  secrets.set('access token of the provider', providerToken)
  secrets.set('key of an upstream', upstreamKey)
  secrets.set('client secret at an upstream', notesSecret)
  const authSecret = onPostgres ? database.env.AUTH_SECRET! : readFileSync(join(env.DATA_DIR!, 'auth-secret'), 'utf8')
  secrets.set('AUTH_SECRET', authSecret)

  // Sign-in by link, the second use of which is refused.
  const command = async (args: string[]) => {
    const { code, output } = await run(args, {
      ...env,
      LOG_LEVEL: 'silent',
      BASE_URL: `http://localhost:${server.port}`,
    })
    expect([code, output]).toEqual([0, expect.any(String)])
    return output
  }
  const link = await command(['user', 'link', 'ada@example.com', '--admin'])
  const token = /token=(mln_[A-Za-z0-9_-]{43})/.exec(link)![1]!
  secrets.set('sign-in link', token)
  expect((await get(`/auth/signin/link?token=${token}`)).status).toBe(200)
  const signedIn = await sendSignInForm({ get, post }, '/auth/signin/link', { token })
  expect(signedIn.status).toBe(303)
  const Cookie = signedIn.headers.getSetCookie().map(cookie => cookie.split(';')[0]!)[0]!
  secrets.set('session cookie', Cookie.slice(Cookie.indexOf('=') + 1))
  expect((await sendSignInForm({ get, post }, '/auth/signin/link', { token })).status).toBe(403)

  const mallory = openBrowser()
  const home = await signInAtFake(mallory, { base: `http://localhost:${server.port}` })
  expect([home.status, new URL(home.url).pathname]).toEqual([200, '/'])
  for (const [name, value] of mallory.cookies(home.url)) secrets.set(`cookie ${name} after the provider`, value)

  for (const [name, value] of Object.entries(provider.exchanged)) secrets.set(`${name} at the provider`, value)
  await addAndUsePasskey({ get, post }, `http://localhost:${server.port}`, Cookie, secrets)

  // A client with a secret, and a machine.
  const registration = await raw(
    '/api/oauth/register',
    JSON.stringify({ client_name: 'With a secret', grant_types: [DEVICE_CODE_GRANT, 'refresh_token'] }),
    'application/json',
    { Authorization: `Bearer ${env.INITIAL_ACCESS_TOKEN}` },
  )
  const { client_id, client_secret, registration_access_token } = (await registration.json()) as Record<
    'client_id' | 'client_secret' | 'registration_access_token',
    string
  >
  secrets.set('client secret', client_secret)
  secrets.set('registration access token', registration_access_token)
  const client = { client_id, client_secret }
  const added = await command(['client', 'add', 'Robot', '--grant', 'client_credentials'])
  const [, robotId] = /CLIENT_ID=(\S+)/.exec(added)!
  const [, robotSecret] = /CLIENT_SECRET=(\S+)/.exec(added)!
  secrets.set('client secret of a machine', robotSecret!)

  // The device flow, with a poll too many before and after.
  const device = (await (await post('/api/oauth/device', { ...client, scope: 'mcp' })).json()) as DeviceAnswer
  secrets.set('device code', device.device_code)
  secrets.set(USER_CODE, device.user_code)
  const poll = () =>
    post('/api/oauth/token', { ...client, grant_type: DEVICE_CODE_GRANT, device_code: device.device_code })
  expect((await poll()).status).toBe(400)
  const entry = await (await get(`/auth/device?code=${device.user_code}`, { Cookie })).text()
  const csrf = csrfOf(entry, '/api/oauth/device/verify')
  const html = { Cookie, Accept: 'text/html' }
  const entered = await post('/api/oauth/device/verify', { user_code: device.user_code, csrf }, html)
  const path = entered.headers.get('location')!
  const page = await (await get(path, { Cookie })).text()
  const decision = {
    id: path.split('/').at(-1)!,
    decision: 'approve',
    csrf: csrfOf(page, '/api/oauth/device/authorize'),
  }
  expect((await post('/api/oauth/device/authorize', decision, html)).status).toBe(303)
  const tokens = (await (await poll()).json()) as TokenAnswer
  expect((await poll()).status).toBe(400)

  // The authorization endpoint: a request that waits for a person, and one that was approved.
  const webClient = await raw(
    '/api/oauth/register',
    JSON.stringify({ token_endpoint_auth_method: 'none', redirect_uris: ['https://app.example/callback'] }),
    'application/json',
  )
  const state = 'a-state-of-the-client-0123456789'
  secrets.set('state of a client', state)
  const { client_id: appId } = (await webClient.json()) as { client_id: string }
  const { verifier, challenge } = pkce()
  secrets.set('code verifier', verifier)
  const asked = new URLSearchParams({
    response_type: 'code',
    client_id: appId,
    state,
    code_challenge: challenge,
    code_challenge_method: 'S256',
  })
  expect((await get(`/api/oauth/authorize?${asked}`)).status).toBe(303)
  const shown = await (await get(`/api/oauth/authorize?${asked}`, { Cookie })).text()
  const approval = { ...consentFields(shown), decision: 'approve' }
  const answered = onwardOf(await post('/api/oauth/authorize/decision', approval, html))
  const code = answered.searchParams.get('code')!
  secrets.set('authorization code', code)
  const exchange = { grant_type: 'authorization_code', client_id: appId, code, code_verifier: verifier }
  const exchanged = (await (await post('/api/oauth/token', exchange)).json()) as TokenAnswer
  secrets.set('access token of an app', exchanged.access_token)
  expect((await post('/api/oauth/token', exchange)).status).toBe(400) // a replay, which ends the connection

  // Client credentials, in the header; refresh, twice; and MCP.
  const Authorization = `Basic ${Buffer.from(`${robotId}:${robotSecret}`).toString('base64')}`
  const machine = await post('/api/oauth/token', { grant_type: 'client_credentials' }, { Authorization })
  secrets.set('access token of a machine', ((await machine.json()) as TokenAnswer).access_token)
  const refresh = { ...client, grant_type: 'refresh_token', refresh_token: tokens.refresh_token }
  const next = (await (await post('/api/oauth/token', refresh)).json()) as TokenAnswer
  secrets.set('access token', tokens.access_token)
  secrets.set('refresh token', tokens.refresh_token)
  secrets.set('next access token', next.access_token)
  secrets.set('next refresh token', next.refresh_token)
  const bearer = { Authorization: `Bearer ${next.access_token}`, Accept: 'application/json, text/event-stream' }
  const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } }
  expect((await raw('/mcp', JSON.stringify(call), 'application/json', bearer)).status).toBe(200)

  const away = { ...call, params: { name: 'away__anything', arguments: {} } }
  await raw('/mcp', JSON.stringify(away), 'application/json', bearer)

  const initialize = {
    ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
  }
  const begun = await raw('/mcp', JSON.stringify(initialize), 'application/json', bearer)
  secrets.set('MCP session', begun.headers.get('mcp-session-id')!)
  const callNotes = async () => {
    for (const name of ['notes__whoami', 'traded__whoami']) {
      const answer = await raw('/mcp', JSON.stringify({ ...call, params: { name } }), 'application/json', bearer)
      expect(await answer.text()).toContain('ada')
    }
  }
  await linkAndUnlink({ get, post }, notes, Cookie, callNotes, secrets)

  // A replica for which the other one's questions are answered.
  const other = DATABASE_URL ? await serve({ ...env, BASE_URL: `http://localhost:${server.port}` }) : server
  let notified = ''
  if (DATABASE_URL) {
    cleanup.push(() => other.kill('SIGKILL'))
    const listening = postgres(DATABASE_URL, { max: 1 })
    for (const channel of [CHANNEL, SESSION_CHANNEL, UPSTREAM_CHANNEL])
      await listening.listen(channel, payload => {
        notified += `${payload}\n`
      })
    cleanup.push(() => listening.end())
  }
  await answerQuestions(
    (to, message, session) =>
      fetch(`${(to === 'asking' ? server : other).base}/mcp`, {
        method: 'POST',
        headers: { ...bearer, 'Content-Type': 'application/json', ...(session ? { 'Mcp-Session-Id': session } : {}) },
        body: JSON.stringify(message),
      }),
    secrets,
  )
  const handedOver = await dump(database.env)
  for (const name of ['ends', 'none']) {
    const called = { ...call, params: { name: `${name}__anything`, arguments: {} } }
    await raw('/mcp', JSON.stringify(called), 'application/json', bearer)
  }

  const personal = (await command(['token', 'add', 'Script', '--user', 'ada@example.com'])).match(/^mpt_\S+/m)![0]
  secrets.set('personal access token', personal)
  const script = { Authorization: `Bearer ${personal}`, Accept: 'application/json' }
  expect((await raw('/mcp', JSON.stringify(call), 'application/json', script)).status).toBe(200)

  // Secrets where they do not belong, and requests that fail with secrets in them.
  for (const secret of secrets.values()) {
    await raw('/api/oauth/token', `{"refresh_token": "${secret}`, 'application/json')
    await raw(
      '/api/oauth/token',
      `refresh_token=${secret}&refresh_token=${secret}`,
      'application/x-www-form-urlencoded',
    )
    await post('/api/oauth/token', { ...client, grant_type: secret })
    await post('/api/oauth/token', { ...client, grant_type: 'refresh_token', refresh_token: secret, scope: secret })
    await post('/api/oauth/token', { grant_type: 'client_credentials', client_id: secret, client_secret: secret })
    // Of the machine, which is not needed any more: guesses are limited.
    await post('/api/oauth/device', { client_id: robotId!, client_secret: secret, scope: secret, resource: secret })
    await post('/api/oauth/validate', { token: secret })
    await raw('/mcp', secret, 'application/json', { Authorization: `Bearer ${secret}` })
    await raw('/mcp', `{"jsonrpc":"2.0","id":1,"method":"${secret}"}`, 'application/json', bearer)
    await get(`/mcp?access_token=${encodeURIComponent(secret)}`)
    await get(`/auth/signin/link/${encodeURIComponent(secret).replaceAll('%', '')}`)
    await get('/account', { Cookie: `mcp-oauth-session=${secret}` })
    await post('/api/oauth/device/verify', { user_code: secret, csrf: secret }, html)
  }
  await post('/api/oauth/revoke', { ...client, token: next.refresh_token })
  expect((await raw('/mcp', JSON.stringify(call), 'application/json', bearer)).status).toBe(401)

  const pages: string[] = []
  for (const path of PAGES) {
    const page = await get(`/admin${path}`, { Cookie, Accept: 'text/html' })
    expect([path, page.status]).toEqual([path, 200])
    pages.push(await page.text())
  }
  const commands = await Promise.all(
    [['status'], ['doctor'], ['upstream', 'list'], ['upstream', 'check']].map(args =>
      run(args, { ...env, BASE_URL: `http://localhost:${server.port}`, PORT: String(server.port) }),
    ),
  )
  const metrics = await (await get('/metrics', { Authorization: `Bearer ${env.METRICS_TOKEN}` })).text()
  const backup = join(env.DATA_DIR!, 'whole.backup')
  await command(['backup', backup])
  for (const replica of new Set([server, other])) {
    replica.kill('SIGTERM')
    expect(await replica.exited).toBe(0)
  }
  const places: Record<string, string> = {
    log: server.output() + (other === server ? '' : other.output()),
    'pages of the administrator': pages.join('\n'),
    commands: commands.map(({ output }) => output).join('\n'),
    'commands without a database': await withoutDatabase(password, { ...env, DATA_DIR: join(env.DATA_DIR!, 'none') }),
    notifications: notified,
    'database after answers': handedOver,
    'error bodies': errors.join('\n'),
    metrics,
    traces,
    ...(onPostgres ? {} : { files: filesIn(join(env.DATA_DIR!, 'postgres')) }),
    database: await dump(database.env),
    backup: gunzipSync(readFileSync(backup)).toString(),
  }
  expect([...secrets.keys()].filter(name => !secrets.get(name))).toEqual([])
  expect(secrets.size).toBe(57)
  if (DATABASE_URL) {
    expect(notified).toMatch(/^mse_|[0-9a-f-]{36}\n/m)
    expect(handedOver).toMatch(/session_messages\n\{/)
  }
  expect(places.log).toContain('"level":20') // debug
  expect(metrics).toContain('# TYPE ')
  expect(traces).toContain('/api/oauth/token')
  expect(places.database).toContain(client_id)
  expect(errors.length).toBeGreaterThan(200)
  const found: string[] = []
  for (const [place, text] of Object.entries(places)) {
    for (const [name, secret] of secrets) {
      if (name === USER_CODE && ['database', 'database after answers', 'files', 'backup'].includes(place)) continue
      if (formsOf(secret).some(form => text.includes(form))) found.push(`${name} in ${place}`)
    }
  }
  expect(found).toEqual([])
})
