/** Arbitrary input at every route of the binary and in JSON-RPC: an answer below 500, and no growth. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { createApp } from '../../src/app.ts'
import { faultDatabase, type Replica, signInAt, startBinary, times } from '../support/faults.ts'
import { DEVICE_CODE_GRANT, deviceTokens, registerClient } from '../support/flows.ts'
import { startServer } from '../support/server.ts'

setDefaultTimeout(900_000)

const RUNS = times(20_000, 100)
const MB = 1024 * 1024

let database: Awaited<ReturnType<typeof faultDatabase>>
let server: Replica
let cookie: string
let client: string
let token: string
/** Method and path of every route. */
let routes: [method: string, path: string][]

beforeAll(async () => {
  database = await faultDatabase('PostgreSQL')
  server = await startBinary({ ...database.env, LOG_LEVEL: 'silent', CLIENT_METADATA_DOCUMENTS: 'false' })
  cookie = await signInAt(server, database.env, 'ada@example.com', ['--admin'])
  const listing = await startServer(database.env)
  routes = createApp(listing.deps)
    .routes.filter(({ method }) => ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].includes(method))
    .map(({ method, path }) => [method, path])
  await listing.stop()
  client = await registerClient(server)
  token = (await deviceTokens(server, client, cookie, { scope: 'mcp' })).access_token
})
afterAll(async () => {
  server.kill('SIGTERM')
  expect(await server.exited).toBe(0)
  await database.drop()
})

const memory = () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))![1]) * 1024

/** @returns the status, if the answer is one that a client can use. */
async function statusOf(path: string, init: RequestInit): Promise<number> {
  const stop = AbortSignal.timeout(30_000)
  const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, { redirect: 'manual', signal: stop, ...init })
  await answer.body?.cancel()
  return answer.status
}

async function holds(property: fc.IAsyncProperty<unknown>): Promise<void> {
  await fc.assert(property, { numRuns: RUNS })
  const held = memory()
  await fc.assert(property, { numRuns: RUNS })
  expect(memory() - held).toBeLessThan(96 * MB)
  expect((await server.get('/readyz')).status).toBe(200)
}

const NAMES = [
  ...['client_id', 'client_secret', 'grant_type', 'device_code', 'refresh_token', 'code', 'code_verifier', 'scope'],
  ...['redirect_uri', 'resource', 'response_type', 'state', 'prompt', 'user_code', 'token', 'id', 'decision', 'csrf'],
  ...['client_name', 'redirect_uris', 'grant_types', 'jwks', 'client_assertion', 'client_assertion_type', 'request'],
]
const text = () =>
  fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(client, token, DEVICE_CODE_GRANT, 'refresh_token', 'authorization_code', 'code', 'mcp', 'S256'),
    fc.webUrl(),
  )
const name = fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...NAMES) }, { weight: 1, arbitrary: fc.string() })
const fields = () => fc.array(fc.tuple(name, text()), { maxLength: 12 })

/** A request's method, and its path with something in place of each parameter. */
const request = (which: (method: string) => boolean) => {
  const among = routes.filter(([method]) => which(method))
  return fc
    .tuple(fc.constantFrom(...among), fc.oneof(fc.uuid(), text()))
    .map(
      ([[method, path], value]) =>
        [method, path.replace(/:\w+|\*/g, encodeURIComponent(value.toWellFormed()))] as const,
    )
}

describe('no arbitrary input causes a 5xx, a hang or growth', () => {
  test('as a form, JSON, or bytes', () =>
    holds(
      fc.asyncProperty(
        request(method => method !== 'GET'),
        fc.oneof(
          fields().map(pairs => [new URLSearchParams(pairs).toString(), 'application/x-www-form-urlencoded'] as const),
          fc
            .dictionary(name, fc.oneof(text(), fc.jsonValue()), { maxKeys: 12 })
            .map(value => [JSON.stringify(value), 'application/json'] as const),
          fc.json().map(value => [value, 'application/json'] as const),
          fc.uint8Array({ maxLength: 300 }).map(bytes => [bytes, 'application/x-www-form-urlencoded'] as const),
        ),
        async ([method, path], [body, type]) => {
          const init = { method, body, headers: { 'Content-Type': type, Cookie: cookie } }
          expect(await statusOf(path, init as RequestInit)).toBeLessThan(500)
        },
      ),
    ))

  test('as a query', () =>
    holds(
      fc.asyncProperty(
        request(method => method === 'GET'),
        fields(),
        async ([, path], pairs) => {
          const query = new URLSearchParams(pairs)
          expect(await statusOf(`${path}?${query}`, { headers: { Cookie: cookie } })).toBeLessThan(500)
        },
      ),
    ))

  test('as JSON-RPC, of each era', () => {
    const methods = [
      ...['initialize', 'ping', 'tools/list', 'tools/call', 'prompts/list', 'resources/read', 'server/discover'],
      ...['notifications/cancelled', 'notifications/initialized', 'logging/setLevel', 'completion/complete'],
    ]
    const message = fc.record(
      {
        jsonrpc: fc.oneof(fc.constant('2.0'), fc.jsonValue()),
        id: fc.oneof(fc.integer(), fc.string(), fc.jsonValue()),
        method: fc.oneof(fc.constantFrom(...methods), fc.jsonValue()),
        params: fc.oneof(
          fc.record(
            { name: fc.oneof(fc.constant('whoami'), fc.jsonValue()), arguments: fc.jsonValue(), _meta: fc.jsonValue() },
            { requiredKeys: [] },
          ),
          fc.jsonValue(),
        ),
        result: fc.jsonValue(),
        error: fc.jsonValue(),
      },
      { requiredKeys: ['jsonrpc'] },
    )
    return holds(
      fc.asyncProperty(
        fc.constantFrom('/mcp', '/api/sse'),
        fc.oneof(message, fc.array(message, { maxLength: 4 }), fc.jsonValue()),
        fc.constantFrom(undefined, '2025-11-25', '2025-03-26', '2026-07-28', 'x'),
        async (path, body, version) => {
          const headers: Record<string, string> = {
            Authorization: `Bearer ${token}`,
            'Content-Type': 'application/json',
            Accept: 'application/json, text/event-stream',
            ...(version ? { 'MCP-Protocol-Version': version } : {}),
          }
          expect(await statusOf(path, { method: 'POST', body: JSON.stringify(body), headers })).toBeLessThan(500)
        },
      ),
    )
  })
})
