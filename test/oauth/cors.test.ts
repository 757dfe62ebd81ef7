/** CORS for MCP clients in a browser: which paths a page of another origin may call, and what it can read. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { deviceTokens, registerClient, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const ORIGIN = 'http://localhost:6274'
const OPEN = [
  '/.well-known/oauth-authorization-server',
  '/.well-known/openid-configuration',
  '/.well-known/oauth-protected-resource',
  '/.well-known/oauth-protected-resource/mcp',
  '/.well-known/oauth-protected-resource/api/sse',
  '/.well-known/jwks.json',
  '/api/oauth/register',
  '/register',
  '/api/oauth/token',
  '/token',
  '/api/oauth/device',
  '/api/oauth/device/token',
  '/api/oauth/revoke',
  '/mcp',
  '/api/sse',
]
const CLOSED = [
  '/',
  '/account',
  '/auth/signin',
  '/auth/signin/link',
  '/auth/signout',
  '/auth/device',
  '/api/oauth/authorize',
  '/api/oauth/authorize/decision',
  '/authorize',
  '/api/oauth/device/verify',
  '/api/oauth/device/authorize',
  '/api/oauth/introspect',
  '/api/oauth/validate',
  '/healthz',
]
/** What an MCP client sends besides the headers that need no permission. */
const SENT = ['authorization', 'content-type', 'mcp-protocol-version', 'mcp-session-id', 'last-event-id', 'mcp-method']

let server: TestServer
let client: string
beforeAll(async () => {
  server = await startServer({ ALLOWED_ORIGINS: 'https://app.example, chrome-extension://abcdef' })
  client = await registerClient(server)
})
afterAll(() => server.close())

const preflight = (path: string, method: string, origin = ORIGIN) =>
  fetch(`http://127.0.0.1:${server.env.PORT}${path}`, {
    method: 'OPTIONS',
    redirect: 'manual',
    headers: {
      Origin: origin,
      'Access-Control-Request-Method': method,
      'Access-Control-Request-Headers': SENT.join(','),
    },
  })

const listOf = (answer: Response, name: string) => (answer.headers.get(name) ?? '').toLowerCase().split(', ')
const corsOf = (answer: Response) => [...answer.headers.keys()].filter(name => name.startsWith('access-control-'))

/** A page of another origin may read the response and the headers that clients need; cookies are not sent. */
function expectReadable(answer: Response): void {
  expect(answer.headers.get('access-control-allow-origin')).toBe('*')
  expect(answer.headers.get('access-control-allow-credentials')).toBeNull()
  const exposed = listOf(answer, 'access-control-expose-headers')
  for (const name of ['www-authenticate', 'mcp-session-id', 'retry-after']) expect(exposed).toContain(name)
}

describe('what a page of another origin may call', () => {
  test.each(OPEN)('%s answers the preflight', async path => {
    const method = path.startsWith('/.well-known') ? 'GET' : 'POST'
    const answer = await preflight(path, method)
    expect([answer.status, await answer.text()]).toEqual([204, ''])
    expectReadable(answer)
    expect(listOf(answer, 'access-control-allow-methods')).toContain(method.toLowerCase())
    // And `*`, for headers whose names a tool makes up (Mcp-Param-…); it never stands for Authorization (Fetch, 4.10).
    expect(listOf(answer, 'access-control-allow-headers')).toEqual(expect.arrayContaining([...SENT, '*']))
  })

  test('including GET and DELETE of a session', async () => {
    const methods = listOf(await preflight('/mcp', 'DELETE'), 'access-control-allow-methods')
    expect(methods).toEqual(expect.arrayContaining(['get', 'post', 'delete']))
  })

  const form = (fields: Record<string, string>) => new URLSearchParams(fields)
  const send = (path: string, init: RequestInit = {}) =>
    fetch(`http://127.0.0.1:${server.env.PORT}${path}`, {
      redirect: 'manual',
      ...init,
      headers: { Origin: ORIGIN, ...(init.headers as Record<string, string>) },
    })

  test.each(OPEN.filter(path => path.startsWith('/.well-known')))('%s can be read', async path => {
    const answer = await send(path)
    expect(answer.status).toBe(200)
    expectReadable(answer)
  })

  test('successful responses can be read', async () => {
    const registration = JSON.stringify({ token_endpoint_auth_method: 'none', redirect_uris: [`${ORIGIN}/callback`] })
    const json = { 'Content-Type': 'application/json' }
    const { access_token, refresh_token } = await deviceTokens(server, client, await signIn(server))
    const refresh = form({ grant_type: 'refresh_token', client_id: client, refresh_token })
    const list = {
      method: 'POST',
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
      headers: {
        ...json,
        Accept: 'application/json, text/event-stream',
        Authorization: `Bearer ${access_token}`,
      },
    }
    const answers = [
      await send('/api/oauth/register', { method: 'POST', body: registration, headers: json }),
      await send('/api/oauth/device', { method: 'POST', body: form({ client_id: client, scope: 'mcp' }) }),
      await send('/api/oauth/token', { method: 'POST', body: refresh }),
      await send('/mcp', list),
      await send('/api/sse', list),
      await send('/api/oauth/revoke', { method: 'POST', body: form({ client_id: client, token: 'x' }) }),
      await send('/api/sse'),
    ]
    expect(answers.map(answer => answer.status)).toEqual([201, 200, 200, 200, 200, 200, 200])
    for (const answer of answers) expectReadable(answer)
  })

  test('error responses can be read, too, with the challenge of a 401', async () => {
    const answers = [
      await send('/mcp', { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json' } }),
      await send('/mcp'),
      await send('/mcp', { headers: { Authorization: 'Bearer wrong' } }),
      await send('/api/sse', { headers: { Accept: 'text/event-stream' } }),
      await send('/api/oauth/token', { method: 'POST', headers: { Authorization: `Basic ${btoa('c_nobody:x')}` } }),
    ]
    for (const answer of answers) {
      expect([answer.status, answer.headers.has('www-authenticate')]).toEqual([401, true])
      expectReadable(answer)
    }
    const others = [
      await send('/api/oauth/token', { method: 'POST', body: form({ client_id: client, grant_type: 'password' }) }),
      await send('/api/oauth/device/token', { method: 'POST', body: form({}) }),
      await send('/register', { method: 'POST', body: '{' }),
      await send('/token', { method: 'POST', body: 'x', headers: { 'Content-Type': 'text/plain' } }),
      await send('/token'),
      await send('/.well-known/nothing-here'),
    ]
    expect(others.map(answer => answer.status)).toEqual([400, 400, 400, 400, 405, 404])
    for (const answer of others) expectReadable(answer)
  })

  test('a 429 can be read, with its Retry-After', async () => {
    const guess = () =>
      send('/api/oauth/token', { method: 'POST', body: form({ client_id: 'c_guess', client_secret: 'x' }) })
    let answer = await guess()
    while (answer.status === 401) answer = await guess()
    expect([answer.status, answer.headers.has('retry-after')]).toEqual([429, true])
    expectReadable(answer)
  })
})

describe.each(['/mcp', '/mcp/files', '/api/sse', '/sse', '/messages'])('the MCP endpoint %s', path => {
  const method = path === '/sse' ? 'GET' : 'POST'
  const from = async (origin: string) => {
    const call = await fetch(`http://127.0.0.1:${server.env.PORT}${path}`, { method, headers: { Origin: origin } })
    return [await preflight(path, method, origin), call] as const
  }

  test.each(['https://app.example', 'chrome-extension://abcdef', 'http://127.0.0.1:6274', 'http://localhost:8080'])(
    'may be called by pages of %s',
    async origin => {
      const answers = await from(origin)
      expect(answers.map(answer => answer.status)).toEqual([204, 401])
      for (const answer of answers) {
        expectReadable(answer)
        expect(answer.headers.get('vary')).toBe('Origin')
      }
    },
  )

  test.each([
    'https://elsewhere.example',
    'http://app.example',
    'https://app.example:8443',
    'https://app.example.evil.example',
    'https://localhost.evil.example',
    'chrome-extension://other',
    'null',
  ])('refuses pages of %s, at the preflight as at the request', async origin => {
    for (const answer of await from(origin)) {
      expect([answer.status, await answer.json()]).toEqual([
        403,
        { error: 'access_denied', error_description: 'Requests from this origin are not allowed' },
      ])
      expect([corsOf(answer), answer.headers.get('vary')]).toEqual([[], 'Origin'])
    }
  })
})

describe('what it may not call', () => {
  test.each(CLOSED)('%s allows other origins nothing, signed in or not', async path => {
    const ada = await signIn(server)
    const answers = [
      await preflight(path, 'POST'),
      await server.get(path, { Origin: ORIGIN }),
      await server.get(path, { Origin: ORIGIN, Cookie: ada }),
      await server.post(path, {}, { Origin: ORIGIN, Cookie: ada }),
    ]
    for (const answer of answers) expect(corsOf(answer)).toEqual([])
  })

  test.each(['//api/oauth/token', '/api/oauth/token/', '/API/OAUTH/TOKEN', '/mcp/../account', '/%6dcp'])(
    'the path trick %s allows nothing',
    async path => {
      const { promise, resolve } = Promise.withResolvers<string>()
      // Raw, because fetch would tidy the path.
      await Bun.connect({
        hostname: '127.0.0.1',
        port: Number(server.env.PORT),
        socket: {
          open: socket =>
            void socket.write(
              `OPTIONS ${path} HTTP/1.1\r\nHost: localhost\r\nOrigin: ${ORIGIN}\r\nConnection: close\r\n\r\n`,
            ),
          data: (socket, chunk) => {
            resolve(chunk.toString())
            socket.end()
          },
        },
      })
      const answer = await promise
      expect(answer).toMatch(/^HTTP\/1\.1 \d+/)
      expect(answer.toLowerCase()).not.toContain('access-control-')
    },
  )
})
