/** The administrator's pages with canned data, for the gallery. */

import type { View } from '../../src/http/shell.ts'
import { auditPage } from '../../views/admin/audit.tsx'
import { clientSecretPage, clientsPage } from '../../views/admin/clients.tsx'
import { connectionsPage } from '../../views/admin/connections.tsx'
import type { AdminFrame, Section } from '../../views/admin/frame.tsx'
import { overviewPage } from '../../views/admin/overview.tsx'
import { settingsPage } from '../../views/admin/settings.tsx'
import { linkPage, usersPage } from '../../views/admin/users.tsx'
import type { ClientLabel } from '../../views/components.tsx'
import type { Shell } from '../../views/layout.tsx'

const LONG = 'The Remarkably Long-Winded Assistant of the Department of Unbroken-Compound-Words (staging, second try)'
const COUNTESS = 'augusta.ada.king.countess.of.lovelace@analytical-engines.department.example.ac.uk'
const AT = '2026-11-23T12:34:56.000Z'

const frame = (shell: Shell, section: Section, more: Partial<AdminFrame> = {}): AdminFrame => ({
  shell,
  section,
  csrf: 'canned',
  recent: true,
  ...more,
})

const user = (email: string, more: object = {}) => ({
  id: email,
  email,
  name: 'Ada Lovelace',
  isAdmin: false,
  state: 'active' as const,
  signedInAt: AT,
  ...more,
})

const OPERATOR: ClientLabel = { name: 'Nightly report', voucher: { by: 'operator' } }
const STRANGER: ClientLabel = { name: LONG, voucher: { by: 'nobody' } }

const connection = (client: ClientLabel, email: string) => ({
  id: '3f0e0b52-7f0c-4a53-9d38-7a2f0d5f1c11',
  email,
  client,
  clientId: 'c_4b8Kd0aQmZ1xWw7e',
  label: client === OPERATOR ? null : 'laptop',
  scope: ['mcp:tools:read', 'mcp:tools:call', 'offline_access'],
  resource: 'https://tools.example.com/mcp/observability-production-europe-west',
  connectedAt: '2026-11-02T09:12:00.000Z',
  usedAt: AT,
})

const client = (label: ClientLabel, auth: string, redirectUris: string[] = []) => ({
  id: label.voucher.by === 'host' ? 'https://assistant.example/oauth/client-metadata.json' : 'c_4b8Kd0aQmZ1xWw7e',
  label,
  auth,
  grants: ['authorization_code', 'refresh_token'],
  scope: ['mcp:tools:read', 'mcp:tools:call'],
  redirectUris,
  createdAt: '2026-11-02T09:12:00.000Z',
  usedAt: auth === 'none' ? undefined : AT,
})

const clients = {
  source: 'operator' as const,
  clients: [
    client(OPERATOR, 'client_secret_basic'),
    client(STRANGER, 'none', [
      'http://127.0.0.1/callback',
      'https://assistant.example/a/rather/long/path/to/the/callback',
    ]),
  ],
  next: '/admin/clients?before=x',
  scopes: ['mcp:tools:read', 'mcp:tools:call', 'admin'].map(name => ({ name, text: 'Use those tools as you' })),
  typed: { name: '', redirectUris: '', kind: 'device', scopes: ['mcp:tools:read'], problem: undefined },
}

const bars = (scale: number, failing: number) =>
  Array.from({ length: 24 }, (_, hour) => {
    const count = Math.round(scale * (1 + Math.sin(hour / 4)) * (hour % 5))
    return { from: `${String(hour).padStart(2, '0')}:00`, count, failed: Math.round(count * failing) }
  })

const event = (name: string, meaning: string, details: string) => ({
  at: AT,
  event: name,
  meaning,
  who: COUNTESS,
  clientId: 'c_4b8Kd0aQmZ1xWw7e',
  ip: '2001:db8:1234:5678:9abc:def0:1234:5678',
  details,
})

const audit = {
  filter: { event: 'tool.called', user: COUNTESS, client: '', ip: '', since: '', until: '' },
  problem: undefined,
  names: ['tool.called', 'upstream.called'],
  events: [
    event('tool.called', 'A tool was called', 'tool=whoami failed=false'),
    event(
      'upstream.called',
      'A tool, prompt or resource of an upstream server was used',
      'upstream=notes method=tools/call',
    ),
  ],
  next: '/admin/audit?cursor=x',
  csv: '/admin/audit/export?format=csv',
  lines: '/admin/audit/export?format=jsonl',
}

export const ADMIN_PAGES: Record<string, View> = {
  'admin-overview': shell =>
    overviewPage({
      frame: frame(shell, 'overview'),
      people: 1_204,
      connections: 3_377,
      calls: bars(900, 0.1),
      refused: bars(3, 0),
      upstreams: [
        { name: 'notes', state: 'ready', lastError: undefined },
        { name: 'wiki', state: 'away', lastError: 'exited' },
      ],
    }),
  'admin-audit': shell => auditPage({ frame: frame(shell, 'audit'), ...audit }),
  'admin-audit-problem': shell =>
    auditPage({
      frame: frame(shell, 'audit'),
      ...audit,
      events: [],
      problem: 'yesterday is not a time such as 2026-11-01.',
    }),
  'admin-settings': shell =>
    settingsPage({
      frame: frame(shell, 'settings'),
      settings: [
        { name: 'BASE_URL', value: 'https://tools.example.com', source: 'NEXTAUTH_URL' },
        { name: 'AUTH_SECRET', value: '(set)', source: 'AUTH_SECRET_FILE' },
        { name: 'ALLOWED_EMAILS', value: [COUNTESS, 'grace@example.com'].join(','), source: 'ALLOWED_EMAILS' },
        { name: 'ACCESS_TOKEN_TTL', value: '3600', source: 'default' },
      ],
    }),
  'admin-users': shell =>
    usersPage({
      frame: frame(shell, 'users'),
      viewerId: 'root@example.com',
      prefix: '',
      next: '/admin/users?after=x',
      users: [
        user('ada@example.com'),
        user(COUNTESS, { name: LONG, isAdmin: true }),
        user('grace@example.com', { state: 'disabled' }),
        user('joan@example.com', { state: 'invited', name: '', signedInAt: undefined }),
        user('root@example.com', { isAdmin: true }),
      ],
    }),
  'admin-users-again': shell =>
    usersPage({
      frame: frame(shell, 'users', { recent: false }),
      viewerId: '',
      prefix: 'zoe',
      next: undefined,
      users: [],
      typed: { email: 'no address', problem: 'This is not an e-mail address.' },
    }),
  'admin-link': shell =>
    linkPage({
      frame: frame(shell, 'users'),
      email: COUNTESS,
      href: 'https://tools.example.com/auth/signin/link?token=mln_canned-canned-canned-canned-canned-canned',
      minutes: 15,
      isAdmin: true,
    }),
  'admin-clients': shell => clientsPage({ frame: frame(shell, 'clients'), ...clients }),
  'admin-clients-typed': shell =>
    clientsPage({
      frame: frame(shell, 'clients'),
      ...clients,
      clients: [],
      next: undefined,
      typed: { ...clients.typed, problem: 'The name is missing.' },
    }),
  'admin-secret': shell =>
    clientSecretPage({
      frame: frame(shell, 'clients'),
      title: `${LONG} is added`,
      id: 'c_4b8Kd0aQmZ1xWw7e',
      secret: 'mcs_canned-canned-canned-canned-canned-canned-canned',
    }),
  'admin-connections': shell =>
    connectionsPage({
      frame: frame(shell, 'connections'),
      q: COUNTESS,
      about: 'person',
      connections: [connection(OPERATOR, COUNTESS), connection(STRANGER, COUNTESS)],
      next: '/admin/connections?before=x',
    }),
  'admin-connections-none': shell =>
    connectionsPage({
      frame: frame(shell, 'connections'),
      q: '',
      about: 'everybody',
      connections: [],
      next: undefined,
    }),
}
