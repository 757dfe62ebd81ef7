/** The routes that are served without Elysia answer as they do with it. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { createApp } from '../../src/app.ts'
import { machineToken } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let token: string
let app: ReturnType<typeof createApp>
beforeAll(async () => {
  server = await startServer()
  app = createApp(server.deps)
  token = await machineToken(server, ['mcp'])
})
afterAll(() => server.close())

const CALL = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami' } })

const FORM = { 'Content-Type': 'application/x-www-form-urlencoded', Authorization: '' }

test.each<[title: string, path: string, headers: Record<string, string>, body: string | null]>([
  ['a call', '/mcp', {}, CALL],
  ['a call at the address of older releases', '/api/sse', {}, CALL],
  ['no token', '/mcp', { Authorization: '' }, CALL],
  ['a wrong token', '/mcp', { Authorization: 'Bearer wrong' }, CALL],
  ['a foreign origin', '/mcp', { Origin: 'https://evil.example' }, CALL],
  ['a known origin', '/mcp', { Origin: 'http://localhost:5173' }, CALL],
  ['a foreign host', '/mcp', { Host: 'evil.example' }, CALL],
  ['two hosts', '/mcp', { Host: 'localhost, evil.example' }, CALL],
  ['a body that is not JSON', '/mcp', {}, '{'],
  ['an upstream that does not exist', '/mcp/none', {}, CALL],
  ['its name in another spelling', '/mcp/n%6Fne', {}, CALL],
  ['health', '/healthz', {}, null],
  ['health, asked by a web page', '/healthz', { Origin: 'https://a.example' }, null],
  ['metadata', '/.well-known/oauth-authorization-server', {}, null],
  ['metadata, with a query', '/.well-known/openid-configuration?x=1', { Origin: 'https://a.example' }, null],
  ['metadata of the resource', '/.well-known/oauth-protected-resource', {}, null],
  ['the key set', '/.well-known/jwks.json', {}, null],
  ['the key set at two hosts', '/.well-known/jwks.json', { Host: 'localhost, evil.example' }, null],
  ['a token without a client', '/api/oauth/token', FORM, 'grant_type=client_credentials'],
  ['a token for a wrong secret', '/token', { ...FORM, Authorization: 'Basic YTpi' }, 'grant_type=client_credentials'],
  ['a token at another type', '/api/oauth/token', { Origin: 'https://a.example' }, CALL],
  ['a device code that does not exist', '/api/oauth/device/token', FORM, 'device_code=mdc_none'],
  ['a device without a client', '/api/oauth/device', FORM, 'scope=mcp'],
  ['introspection without a client', '/api/oauth/introspect', FORM, 'token=none'],
])('%s', async (_title, path, headers, body) => {
  const all = { 'Content-Type': 'application/json', Accept: 'application/json', Authorization: `Bearer ${token}` }
  const method = body === null ? 'GET' : 'POST'
  const ask = () => new Request(server.base + path, { method, headers: { ...all, ...headers }, body })
  const seen = async (answer: Response) => {
    const { 'x-request-id': id, date, 'content-length': _, ...rest } = answer.headers.toJSON()
    expect(id).toMatch(/^[\w-]{8}\.[0-9a-z]+$/)
    return [answer.status, rest, await answer.text()]
  }
  expect(await seen(await fetch(ask()))).toEqual(await seen(await app.handle(ask())))
})
