/** What the log and the metrics say about requests. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { pino } from 'pino'
import { createApp } from '../../src/app.ts'
import { metricsApp } from '../../src/http/metrics.ts'
import { addClient } from '../../src/oauth/clients/index.ts'
import { basic, deviceTokens, registerClient, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const TOKEN = 'a-token-for-prometheus-of-32-characters'

let server: TestServer
/** The same dependencies behind an app whose log this test reads. */
let base: string
let stop: () => Promise<void>
let lines: Record<string, unknown>[] = []

beforeAll(async () => {
  server = await startServer({ METRICS_TOKEN: TOKEN, TRUSTED_PROXIES: '127.0.0.1' })
  const log = pino(
    { level: 'info', base: undefined, timestamp: false },
    { write: line => lines.push(JSON.parse(line)) },
  )
  const app = createApp({ ...server.deps, log })
  app.listen({ hostname: '127.0.0.1', port: 0 })
  base = `http://127.0.0.1:${app.server!.port}`
  stop = async () => void (await app.server!.stop(true))
})
afterAll(async () => {
  await stop()
  await server.close()
})

/** @returns what was logged about a request, and its response. */
async function logged(
  path: string,
  init: RequestInit = {},
): Promise<{ answer: Response; line: Record<string, unknown> }> {
  lines = []
  const answer = await fetch(base + path, { redirect: 'manual', ...init })
  const isIts = (line: Record<string, unknown>) =>
    line.msg === 'request' && line.request === answer.headers.get('x-request-id')
  while (!lines.some(isIts)) await Bun.sleep(1)
  return { answer, line: lines.find(isIts)! }
}

describe('the log', () => {
  test('has a line for each request, with the id that the response carries', async () => {
    const { answer, line } = await logged('/api/oauth/authorize?state=secret')
    expect(line).toEqual({
      level: 30,
      request: answer.headers.get('x-request-id'),
      method: 'GET',
      path: '/api/oauth/authorize',
      status: 400,
      ms: expect.any(Number),
      network: '127.0.0.1',
      msg: 'request',
    })
    expect(line.request).not.toBe((await logged('/')).line.request)
  })

  test('names client, user and grant of a call', async () => {
    const client = await registerClient(server)
    const { access_token } = await deviceTokens(server, client, await signIn(server))
    const headers = { Authorization: `Bearer ${access_token}`, 'Content-Type': 'application/json' }
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' })
    const { line } = await logged('/mcp', { method: 'POST', headers, body })
    expect(line).toMatchObject({
      path: '/mcp',
      status: 200,
      client,
      user: expect.any(String),
      grant: expect.any(String),
    })
  })

  test('names the client of a token request only if it authenticated', async () => {
    const { id, secret } = await addClient(server.deps, {
      name: 'Machine',
      grantTypes: ['client_credentials'],
      redirectUris: [],
      scope: ['mcp'],
    })
    const ask = (password: string) => ({
      method: 'POST',
      headers: basic(id, password),
      body: new URLSearchParams({ grant_type: 'client_credentials' }),
    })
    expect((await logged('/api/oauth/token', ask(secret!))).line).toMatchObject({ status: 200, client: id })
    const { line } = await logged('/api/oauth/token', ask('wrong'))
    expect(line).toMatchObject({ status: 401 })
    expect(line).not.toHaveProperty('client')
  })

  test('names unknown paths under /.well-known/, and no other unknown path', async () => {
    const pathOf = async (path: string) => (await logged(path)).line.path
    expect(await pathOf('/.well-known/oauth-protected-resource/nothing?code=secret')).toBe(
      '/.well-known/oauth-protected-resource/nothing',
    )
    expect(await pathOf('/.well-known/openid-configuration/mrt_S3cret')).toBe('/.well-known/openid-configuration/*')
    expect(await pathOf('/mrt_S3cret')).toBe('none')
    expect(await pathOf('/register/mrt_S3cret')).toBe('none')
  })

  test('takes the request id from a trusted proxy, unless it could forge a line', async () => {
    const id = (value: string) => logged('/', { headers: { 'X-Request-Id': value } }).then(({ line }) => line.request)
    expect(await id('from-the-proxy.1')).toBe('from-the-proxy.1')
    expect(await id('a b')).not.toBe('a b')
    const other = await startServer()
    const answer = await other.get('/', { 'X-Request-Id': 'from-a-stranger' })
    expect(answer.headers.get('x-request-id')).not.toBe('from-a-stranger')
    await other.close()
  })

  test('omits health checks', async () => {
    lines = []
    await fetch(`${base}/healthz`)
    await fetch(`${base}/readyz`)
    await fetch(`${base}/metrics`)
    await logged('/')
    expect(lines.map(line => line.path)).toEqual(['/'])
  })

  test('has the reference of an error page', async () => {
    const { answer, line } = await logged('/api/oauth/authorize?client_id=nobody', { headers: { Accept: 'text/html' } })
    expect([answer.status, line.status]).toEqual([400, 400])
    expect(await answer.text()).toContain(`Reference: <code>${line.request}</code>`)
  })
})

describe('/metrics', () => {
  const metrics = async () => (await server.get('/metrics', { Authorization: `Bearer ${TOKEN}` })).text()

  test('requires METRICS_TOKEN', async () => {
    const refused = await server.get('/metrics', { Authorization: `Bearer ${TOKEN}x` })
    expect([refused.status, refused.headers.get('www-authenticate'), await refused.json()]).toEqual([
      401,
      'Bearer',
      { error: 'invalid_token', error_description: 'The metrics require METRICS_TOKEN as bearer token' },
    ])
    expect((await server.get('/metrics')).status).toBe(401)
  })

  test('needs no token at METRICS_PORT', async () => {
    const app = metricsApp(server.deps).listen({ hostname: '127.0.0.1', port: 0 })
    const answer = await fetch(`http://127.0.0.1:${app.server!.port}/metrics`)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
    ])
    expect(await answer.text()).toContain('mcp_oauth_log_lines_dropped 0')
    await app.server!.stop(true)
  })

  test('does not exist without either', async () => {
    const other = await startServer()
    expect((await other.get('/metrics')).status).toBe(404)
    await other.close()
  })

  test('counts requests by route, and events of the audit log', async () => {
    await logged('/auth/callback/whoever')
    const text = await metrics()
    expect(text).toMatch(
      /mcp_oauth_http_request_duration_seconds_count\{method="GET",route="\/auth\/callback\/:provider",status="404"\} 1/,
    )
    expect(text).toContain('mcp_oauth_audit_events_total{event="device.approved"} 1')
    expect(text).toContain('mcp_oauth_streams 0')
    expect(text).toMatch(/^process_resident_memory_bytes \d+/m)
  })

  test('has few label values, whatever strangers send', async () => {
    await fetch(`${base}/nowhere`, { method: 'PROPFIND' })
    await logged('/register/anybody')
    const text = await metrics()
    expect(text).toContain('method="other",route="none"')
    expect(text).not.toContain('anybody')
    expect(text).not.toContain('PROPFIND')
  })
})
