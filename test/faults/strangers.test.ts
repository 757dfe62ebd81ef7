/** What a stranger can do to the binary for free: hold connections open, and repeat requests. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import postgres from 'postgres'
import { addMachine, faultDatabase, type Replica, startBinary, times } from '../support/faults.ts'
import { registerClient, rpc, type TokenAnswer } from '../support/flows.ts'
import { until } from '../support/until.ts'

setDefaultTimeout(1_800_000)

const MB = 1024 * 1024

let database: Awaited<ReturnType<typeof faultDatabase>>
let server: Replica
let machine: Record<string, string>
let client: string
let sql: postgres.Sql

beforeAll(async () => {
  database = await faultDatabase('PostgreSQL')
  server = await startBinary({ ...database.env, LOG_LEVEL: 'info', ACCESS_LOG: 'false', IDLE_TIMEOUT: '20' })
  client = await registerClient(server)
  machine = await addMachine(database.env)
  sql = postgres(database.env.DATABASE_URL!, { max: 1 })
})
afterAll(async () => {
  await sql.end()
  server.kill('SIGTERM')
  expect(await server.exited).toBe(0)
  await database.drop()
})

/** Resident memory, in bytes. */
const memory = () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))![1]) * 1024

async function works(): Promise<void> {
  const answer = await server.post('/api/oauth/token', machine)
  expect(answer.status).toBe(200)
  const { access_token } = (await answer.json()) as TokenAnswer
  expect((await rpc(server, access_token, 'tools/list')).status).toBe(200)
  expect((await server.get('/readyz')).status).toBe(200)
}

const CONNECTIONS = times(10_000, 600)
/** What each quarter of them has sent before it stalls; nobody reads an answer. */
const BEGINNINGS = [
  '',
  'POST /api/oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-',
  'POST /api/oauth/register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{"client_name":"',
  'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(10),
]

test(`${CONNECTIONS} connections that stall or read nothing cost little memory, disturb nobody, and end with the idle timeout`, async () => {
  await works()
  const before = memory()
  const sockets: Socket[] = []
  let open = 0
  for (let i = 0; i < CONNECTIONS; i++) {
    const socket = connect(server.port, '127.0.0.1')
    sockets.push(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => open--)
    await new Promise<void>(resolve => socket.once('connect', resolve))
    open++
    socket.write(BEGINNINGS[i % BEGINNINGS.length]!)
    socket.pause()
  }
  for (let i = 0; i < 20; i++) await works()
  const each = Math.round((memory() - before) / CONNECTIONS)
  console.log(`${open} of ${CONNECTIONS} stalled connections open, ${each} bytes of memory each`)
  expect(each * CONNECTIONS).toBeLessThan(64 * MB + CONNECTIONS * 16_384)
  for (const socket of sockets) process.env.CI ? socket.destroy() : socket.resume() // to see that it was closed
  await until(() => open === 0)
  await works()
})

const FORM = 'application/x-www-form-urlencoded'
const JSON_TYPE = 'application/json'
const post = (path: string, body: string, type = FORM) =>
  [path, { method: 'POST', body, headers: { 'Content-Type': type } }] as [string, RequestInit]
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

/** Requests that need no credentials, at every public endpoint, well formed and not. */
const requests = (): [string, RequestInit][] => [
  ...['/', '/healthz', '/readyz', '/api/sse', '/.well-known/jwks.json', '/.well-known/oauth-authorization-server'].map(
    path => [path, {}] as [string, RequestInit],
  ),
  ...['/.well-known/oauth-protected-resource/mcp', '/auth/signin', '/auth/device', '/account', '/mcp', '/sse'].map(
    path => [path, {}] as [string, RequestInit],
  ),
  ...['/nowhere', '/assets/style.css', '/auth/signin/link', '/auth/callback/oidc?code=x&state=x', '/%zz'].map(
    path => [path, {}] as [string, RequestInit],
  ),
  ['/api/oauth/authorize?client_id=c_nobody&response_type=code', {}],
  ['/api/oauth/authorize?client_id=https%3A%2F%2Fnowhere.example%2Fapp.json&response_type=code', {}],
  post('/mcp', '{"jsonrpc":"2.0","id":1,"method":"tools/list"}', JSON_TYPE),
  post('/api/oauth/token', 'grant_type=client_credentials&client_id=c_nobody&client_secret=wrong'),
  post('/api/oauth/token', `grant_type=${DEVICE_GRANT}&client_id=${client}&device_code=mdc_${'x'.repeat(43)}`),
  post('/api/oauth/token', `grant_type=refresh_token&client_id=${client}&refresh_token=mrt_${'x'.repeat(43)}`),
  post(
    '/api/oauth/token',
    `grant_type=authorization_code&client_id=${client}&code=mcd_${'x'.repeat(43)}&code_verifier=x`,
  ),
  post('/api/oauth/device', 'client_id=c_nobody'),
  post('/api/oauth/register', '{"client_name":"Again","token_endpoint_auth_method":"none"}', JSON_TYPE),
  post('/api/oauth/register', '{"redirect_uris":["javascript:alert(1)"]}', JSON_TYPE),
  post('/api/oauth/introspect', 'token=x'),
  post('/api/oauth/revoke', `client_id=${client}&token=mrt_${'x'.repeat(43)}`),
  post('/api/oauth/validate', ''),
  post('/api/oauth/device/verify', 'user_code=BBBB-BBBB'),
  post('/auth/signin/link', `token=mln_${'x'.repeat(43)}`),
]

const REPETITIONS = times(10_000, 150)

/** Rows of all tables. */
async function rows(): Promise<Record<string, number>> {
  const tables = await sql<{ name: string }[]>`
    select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace`
  const counts = await Promise.all(
    tables.map(async ({ name }) => {
      const [row] = await sql<{ count: number }[]>`select count(*)::int as count from ${sql(name)}`
      return [name, row!.count] as const
    }),
  )
  return Object.fromEntries(counts.filter(([, count]) => count > 0))
}

test(`${REPETITIONS} repetitions of every request that needs no credentials leave no row, log line or memory each`, async () => {
  const repeat = async (times: number) => {
    for (const [path, init] of requests()) {
      let left = times
      const worker = async () => {
        while (left-- > 0) {
          const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { ...init, redirect: 'manual' })
          await answer.body?.cancel()
          if (answer.status >= 500) throw new Error(`${path} ${init.body}: ${answer.status}`)
        }
      }
      await Promise.all(Array.from({ length: 16 }, worker))
    }
  }
  const lines = () => server.output().split('\n').length
  await repeat(REPETITIONS / 10) // fills caches and limits
  await until(async () => (await rows()).audit_events !== undefined)
  const [logged, held, stored] = [lines(), memory(), await rows()]
  await repeat(REPETITIONS)
  const total = REPETITIONS * requests().length
  /** What is limited in time, such as events of one network, may add some. */
  const few = total / 500 + 100
  const after = await rows()
  const grown = Object.entries(after).filter(([table, count]) => count - (stored[table] ?? 0) > few)
  console.log(`${total} requests: ${lines() - logged} log lines, ${Math.round((memory() - held) / MB)} MB`)
  expect(grown).toEqual([])
  expect(lines() - logged).toBeLessThan(few)
  expect(memory() - held).toBeLessThan(96 * MB)
  await works()
})
