import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { errorBoundary, openErrorResponse } from '../../src/http/error-boundary.ts'
import { openRoutes } from '../../src/http/routes.ts'
import { registerClient } from '../support/flows.ts'
import { sendRaw } from '../support/raw.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let client: string
beforeAll(async () => {
  server = await startServer()
  client = await registerClient(server)
})
afterAll(() => server.close())

const HOSTS = [
  'evil.example',
  'localhost/mcp',
  'a b',
  '[::1',
  '',
  'x#y',
  'x?y',
  'user@host',
  '%zz',
  '\u00ff',
  'a:99999999',
]
const METHODS = ['PUT', 'PATCH', 'DELETE', 'TRACE', 'CONNECT', 'PROPFIND']

describe('a strange request line or header', () => {
  test.each(HOSTS)('the Host %p changes no response: every URL comes from BASE_URL', async host => {
    const lines = [`Host: ${host}`, 'Accept: text/html', 'Connection: close']
    const page = await sendRaw(server.base, `GET /auth/device?code=x HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`)
    expect([page.status, /location: (.*)/i.exec(page.head)?.[1]?.trim()]).toEqual([
      303,
      '/auth/signin?return_to=%2Fauth%2Fdevice%3Fcode%3Dx',
    ])
    const metadata = await sendRaw(
      server.base,
      `GET /.well-known/oauth-authorization-server HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`,
    )
    expect(metadata.body).toContain(`"issuer":"${server.base}"`)
    expect(metadata.body.includes('evil')).toBe(false)
  })

  test.each(METHODS)('the method %s does not reach the handler of another', async method => {
    for (const path of ['/api/oauth/token', '/api/oauth/authorize', '/auth/signout', '/api/oauth/device/authorize']) {
      const { status } = await sendRaw(
        server.base,
        `${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
      )
      expect([path, status]).toEqual([path, 405])
    }
  })

  test.each(['x', 'mcp', 'abc.de'])('a Host as short as %p does not shift the path', async host => {
    const statusOf = async (path: string) =>
      (await sendRaw(server.base, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)).status
    expect(await statusOf('/api/oauth/register/c_x')).toBe(401)
    expect(await statusOf('/xxxxxxx/api/oauth/register/c_x')).toBe(404)
  })

  test.each([
    ['two', 'Host: localhost\r\nHost: evil.example'],
    ['the same one twice', 'Host: localhost\r\nHost: localhost'],
    ['an empty one and another', 'Host:\r\nHost: localhost'],
    ['one that names two', 'Host: localhost, evil.example'],
  ])('%s in Host is refused (RFC 9112 3.2)', async (_, hosts) => {
    for (const path of ['/healthz', '/mcp', '/.well-known/oauth-authorization-server', '/nothing']) {
      const answer = await sendRaw(server.base, `GET ${path} HTTP/1.1\r\n${hosts}\r\nConnection: close\r\n\r\n`)
      expect([answer.status, answer.body]).toEqual([
        400,
        '{"error":"invalid_request","error_description":"There must be exactly one Host header"}',
      ])
    }
  })

  test.each([
    ['two lengths', 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'],
    ['a negative length', 'Content-Length: -1\r\n', ''],
    ['a chunk size that is none', 'Transfer-Encoding: chunked\r\n', 'zz\r\n\r\n'],
    ['headers without end', `X: ${'a'.repeat(100_000)}\r\n`, ''],
  ])('%s: refused, and the next request is answered', async (_, header, body) => {
    const answer = await sendRaw(
      server.base,
      `POST /api/oauth/token HTTP/1.1\r\nHost: x\r\n${header}Connection: close\r\n\r\n${body}`,
    )
    expect([400, 431]).toContain(answer.status)
    expect((await server.get('/healthz')).status).toBe(200)
  })
})

describe('parameters', () => {
  test.each([
    `{"client_id":"other","client_id":"CLIENT"}`,
    `{"client_id":"CLIENT","clientId":"CLIENT"}`,
    `{"client_id":"CLIENT","client\\u005fid":"CLIENT"}`,
    `{"client_id":"CLIENT","scope":["mcp"],"scope":"mcp"}`,
  ])('given twice in JSON are refused as in a form: %s', async body => {
    const answer = await fetch(`${server.base.replace('localhost', '127.0.0.1')}/api/oauth/device`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: body.replaceAll('CLIENT', client),
    })
    expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([400, 'invalid_request'])
  })

  test('in JSON with a byte-order mark are refused: parsers differ in whether they skip it', async () => {
    const answer = await fetch(`${server.base.replace('localhost', '127.0.0.1')}/api/oauth/device`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: `\ufeff{"client_id":"${client}"}`,
    })
    expect([answer.status, await answer.json()]).toEqual([
      400,
      { error: 'invalid_request', error_description: 'The request body is not valid JSON' },
    ])
  })

  test('do not count as repeated because a value looks like a name', async () => {
    const answer = await server.postJson('/api/oauth/device', {
      client_id: client,
      odd: '","client_id":"x',
      scope: ['mcp'],
    })
    expect(answer.status).toBe(200)
  })

  test('of the query do not mix with those of the body', async () => {
    const answer = await server.post(`/api/oauth/token?client_id=${client}&grant_type=client_credentials`, {
      scope: 'mcp',
    })
    expect([answer.status, await answer.json()]).toMatchObject([401, { error: 'invalid_client' }])
  })
})

describe('the error boundary', () => {
  test('is the last resort: a failure inside it is a plain server_error, not the runtime’s page with source code', async () => {
    const broken = { ...server.deps, log: new Proxy(server.deps.log, { get: () => broken.fail }), fail: () => {} }
    let calls = 0
    broken.fail = () => {
      if (calls++ === 0) throw new Error('the log cannot be written')
    }
    const app = errorBoundary(openErrorResponse(broken, openRoutes())).get('/', () => {
      throw new Error('a secret of the inside')
    })
    const answer = await app.handle(new Request('http://localhost/'))
    expect([answer.status, await answer.json()]).toEqual([
      500,
      { error: 'server_error', error_description: 'Something went wrong on our side' },
    ])
  })
})
