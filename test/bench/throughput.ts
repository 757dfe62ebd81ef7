/**
 * Requests a second of what clients do most, beside a constant answer of the same server in the same run, since only the
 * ratio means something on a busy machine. Usage: bun run bench (TEST_DATABASE_URL for PostgreSQL; see with-postgres.ts)
 */
import { addClient } from '../../src/oauth/clients/index.ts'
import { deviceTokens, modernRpc, poll, registerClient, requestDevice, signIn } from '../support/flows.ts'
import { onPostgres, startServer } from '../support/server.ts'

const REQUESTS = 4_000
const PARALLEL = 32

const server = await startServer()
const client = await registerClient(server)
const { access_token, refresh_token } = await deviceTokens(server, client, await signIn(server), { scope: 'mcp' })
const machine = await addClient(server.deps, {
  name: 'Bench',
  grantTypes: ['client_credentials'],
  redirectUris: [],
  scope: ['mcp'],
})
const basic = { Authorization: `Basic ${btoa(`${machine.id}:${machine.secret}`)}` }
const bearer = { Authorization: `Bearer ${access_token}`, Accept: 'application/json, text/event-stream' }
const { device_code } = await requestDevice(server, client)

const cases: Record<string, () => Promise<Response>> = {
  'constant answer (healthz)': () => server.get('/healthz'),
  'server metadata': () => server.get('/.well-known/oauth-authorization-server'),
  'MCP without a token (401)': () => server.postJson('/mcp', {}),
  'MCP tools/list, 2026-07-28': () => modernRpc(server, access_token, 'tools/list'),
  'the same, with a progress token': () =>
    modernRpc(server, access_token, 'tools/list', {}, { meta: { progressToken: 1 } }),
  'MCP tools/list, 2025, no session': () =>
    server.postJson('/mcp', { jsonrpc: '2.0', id: 1, method: 'tools/list' }, bearer),
  'MCP tools/call whoami, 2026-07-28': () =>
    modernRpc(server, access_token, 'tools/call', { name: 'whoami', arguments: {} }),
  introspect: () => server.post('/api/oauth/introspect', { token: access_token }, basic),
  'client credentials': () => server.post('/api/oauth/token', { grant_type: 'client_credentials' }, basic),
  'device poll, pending': () => poll(server, client, device_code),
  'refresh (retries of one token)': () =>
    server.post('/api/oauth/token', { grant_type: 'refresh_token', client_id: client, refresh_token }),
}

async function rate(ask: () => Promise<Response>, requests: number): Promise<number> {
  const started = performance.now()
  await Promise.all(
    Array.from({ length: PARALLEL }, async () => {
      for (let i = 0; i < requests / PARALLEL; i++) {
        const answer = await ask()
        await answer.arrayBuffer()
        if (answer.status >= 500) throw new Error(`the server answered ${answer.status}`)
      }
    }),
  )
  return requests / ((performance.now() - started) / 1000)
}

console.log(
  `${onPostgres ? 'PostgreSQL' : 'embedded database'}, client and server in one process, ${PARALLEL} at a time`,
)
let constant = 0
for (const [name, ask] of Object.entries(cases)) {
  await rate(ask, REQUESTS / 4)
  const perSecond = await rate(ask, REQUESTS)
  constant ||= perSecond
  console.log(
    `${name.padEnd(36)} ${String(Math.round(perSecond)).padStart(7)} /s   ${(perSecond / constant).toFixed(2)}`,
  )
}
await server.close()
