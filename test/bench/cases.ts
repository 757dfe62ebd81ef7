/** What is measured: the requests of each case, and the rows that they need. */

/** Whether the same requests can be sent again and again, or each can be sent once. */
export type Reuse = 'again' | 'once'

export interface Case {
  title: string
  reuse: Reuse
  /** How many requests this server answers in all, since it limits them. */
  most?: number
  /** Whether every answer is an error, as it is to a device that polls. */
  refused?: boolean
  /** @param from The first of `count` rows that no earlier run has used. */
  requests(target: Target, from: number, count: number): string[]
}

/** How requests reach a contender and authenticate. */
export interface Target {
  host: string
  basic: string
  /** A public client's id. */
  client: string
  accessToken: string
  /** Ids of open sessions of 2025-11-25. */
  sessions: readonly string[]
  /** The access token of each session, if they are different people's. */
  tokens?: readonly string[]
  /** The only code, of a server whose codes cannot be seeded. */
  deviceCode?: string
  /** Of a server that issues JWTs only where it is named. */
  resource?: string
  /** Where they differ from this server's. */
  tokenPath?: string
  devicePath?: string
  metadataPath?: string
}

/** The secret of the machine at a server that is told which. */
export const MACHINE_SECRET = 's'.repeat(47)

export const VERIFIER = 'v'.repeat(43)
const DEVICE_CODE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'
const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1.0.0' },
  'io.modelcontextprotocol/clientCapabilities': {},
}

/** A secret of a seeded row; SQL makes the same (see `seed.ts`). */
export const seededSecret = (kind: string, n: number) => `${kind}_${String(n).padStart(43, 'A')}`

function rawRequest(
  host: string,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body = '',
): string {
  const fields = { Host: host, ...headers, ...(method === 'POST' ? { 'Content-Length': String(body.length) } : {}) }
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`
}

function form(
  { host }: Target,
  path: string,
  fields: Record<string, string>,
  headers: Record<string, string> = {},
): string {
  const type = { 'Content-Type': 'application/x-www-form-urlencoded' }
  return rawRequest(host, 'POST', path, { ...type, ...headers }, new URLSearchParams(fields).toString())
}

const tokenPath = (target: Target) => target.tokenPath ?? '/api/oauth/token'
const resource = ({ resource }: Target): Record<string, string> => (resource === undefined ? {} : { resource })

function rpc(target: Target, method: string, params: object, headers: Record<string, string>, id = 1): string {
  const body = JSON.stringify({ jsonrpc: '2.0', id, method, params })
  const common = { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' }
  const authorization = { Authorization: `Bearer ${target.accessToken}` }
  return rawRequest(target.host, 'POST', '/mcp', { ...common, ...authorization, ...headers }, body)
}

const modern = (method: string, params: Record<string, unknown>) => (target: Target) => {
  const headers: Record<string, string> = { 'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': method }
  if (params.name !== undefined) headers['Mcp-Name'] = String(params.name)
  return [rpc(target, method, { ...params, _meta: META }, headers)]
}

const WHOAMI = { name: 'whoami', arguments: {} }
const LEGACY = { 'MCP-Protocol-Version': '2025-11-25' }
const rows = (from: number, count: number) => Array.from({ length: count }, (_, at) => from + at)

export const CASES = {
  constant: {
    title: 'constant answer (`/healthz`)',
    reuse: 'again',
    requests: ({ host }) => [rawRequest(host, 'GET', '/healthz')],
  },
  metadata: {
    title: 'server metadata',
    reuse: 'again',
    requests: ({ host, metadataPath = '/.well-known/oauth-authorization-server' }) => [
      rawRequest(host, 'GET', metadataPath),
    ],
  },
  unauthorized: {
    title: '401 at `/mcp`',
    reuse: 'again',
    refused: true,
    requests: ({ host }) => [rawRequest(host, 'POST', '/mcp', { 'Content-Type': 'application/json' }, '{}')],
  },
  credentials: {
    title: 'client credentials',
    reuse: 'again',
    requests: target => [
      form(
        target,
        tokenPath(target),
        { grant_type: 'client_credentials', ...resource(target) },
        { Authorization: target.basic },
      ),
    ],
  },
  device: {
    title: 'device authorization',
    reuse: 'once',
    most: 20_000,
    // From different networks, since each may have only so many codes.
    requests: (target, from, count) =>
      rows(from, count).map(n =>
        form(
          target,
          target.devicePath ?? '/api/oauth/device',
          { client_id: target.client, scope: 'mcp' },
          { 'X-Forwarded-For': `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}` },
        ),
      ),
  },
  poll: {
    title: 'device poll, pending',
    reuse: 'once',
    refused: true,
    requests: (target, from, count) =>
      rows(from, count).map(n =>
        form(target, tokenPath(target), {
          grant_type: DEVICE_CODE_GRANT,
          client_id: target.client,
          device_code: target.deviceCode ?? seededSecret('mdc', n),
        }),
      ),
  },
  introspection: {
    title: 'introspection',
    reuse: 'again',
    requests: target => [
      form(target, '/api/oauth/introspect', { token: target.accessToken }, { Authorization: target.basic }),
    ],
  },
  exchange: {
    title: 'code exchange',
    reuse: 'once',
    requests: (target, from, count) =>
      rows(from, count).map(n =>
        form(target, '/api/oauth/token', {
          grant_type: 'authorization_code',
          client_id: target.client,
          code: seededSecret('mac', n),
          code_verifier: VERIFIER,
          redirect_uri: 'http://localhost/',
        }),
      ),
  },
  refresh: {
    title: 'refresh',
    reuse: 'once',
    requests: (target, from, count) =>
      rows(from, count).map(n =>
        form(target, '/api/oauth/token', {
          grant_type: 'refresh_token',
          client_id: target.client,
          refresh_token: seededSecret('mrt', n),
        }),
      ),
  },
  callModern: { title: '`tools/call`, 2026-07-28', reuse: 'again', requests: modern('tools/call', WHOAMI) },
  callSession: {
    title: '`tools/call` in a 2025 session',
    reuse: 'again',
    // With different ids, as the requests of a session that are answered at the same time must have: one that waits until the
    // audit log is written is overtaken by a thousand others.
    requests: target =>
      rows(1, 10_000).map(n => {
        const at = n % target.sessions.length
        const of = { ...target, accessToken: target.tokens?.[at] ?? target.accessToken }
        return rpc(of, 'tools/call', WHOAMI, { ...LEGACY, 'Mcp-Session-Id': target.sessions[at]! }, n)
      }),
  },
  callAlone: {
    title: '`tools/call`, 2025, no session',
    reuse: 'again',
    requests: target => [rpc(target, 'tools/call', WHOAMI, LEGACY)],
  },
  listModern: { title: '`tools/list`, 2026-07-28', reuse: 'again', requests: modern('tools/list', {}) },
} satisfies Record<string, Case>

export type CaseName = keyof typeof CASES

export const initializeRequest = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', clientInfo: { name: 'bench', version: '1.0.0' }, capabilities: {} },
}
