/** The administrator's pages with canned data, for the gallery. */

import type { View } from '../../src/http/shell.ts'
import { clientSecretPage, clientsPage } from '../../views/admin/clients.tsx'
import { connectionsPage } from '../../views/admin/connections.tsx'
import type { AdminFrame, Section } from '../../views/admin/frame.tsx'
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

export const ADMIN_PAGES: Record<string, View> = {
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
