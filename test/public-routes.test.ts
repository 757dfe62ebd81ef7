import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createApp } from '../src/app.ts'
import { startFront } from './support/front.ts'
import type { TestServer } from './support/server.ts'

/**
 * The public routes, by name. Every other route must refuse a request without credentials: 401, or 303 to the
 * sign-in page. A new route must be closed unless it is listed here.
 */
const PUBLIC: readonly string[] = [
  'GET /',
  'GET /healthz',
  'GET /readyz',
  // Without METRICS_TOKEN it does not exist.
  'GET /metrics',
  'GET /assets/:file',
  'GET /favicon.ico',
  'GET /.well-known/oauth-authorization-server',
  'GET /.well-known/openid-configuration',
  'GET /.well-known/jwks.json',
  'GET /.well-known/oauth-protected-resource',
  'GET /.well-known/oauth-protected-resource/*',
  'GET /.well-known/*',
  // What authorization servers of upstreams read about us.
  'GET /.well-known/mcp-oauth-server/client.json',
  // Says nothing but what becomes of the sender's own address.
  'GET /.well-known/mcp-oauth-server/stream',
  // Discovery JSON; the stream at the same address is closed.
  'GET /api/sse',
  'GET /auth/signin',
  'GET /auth/signin/link',
  // They need a link's token, a provider's answer or the session that they end.
  'POST /auth/signin/link',
  'POST /auth/signin/:provider',
  // They need a form of this browser's, and the second one a passkey.
  'POST /auth/passkey/options',
  'POST /auth/passkey',
  'GET /auth/callback/:provider',
  'POST /auth/signout',
  // It checks client and redirect URI before it asks anybody to sign in.
  'GET /api/oauth/authorize',
  'POST /api/oauth/authorize',
  'GET /authorize',
  'POST /authorize',
  // Open registration is the default; REGISTRATION closes it.
  'POST /api/oauth/register',
  'POST /register',
  // The device code itself is the credential of a public client.
  'POST /api/oauth/device/token',
]

let server: TestServer
beforeAll(async () => {
  server = await startFront({ notes: { url: 'http://127.0.0.1:9/mcp', auth: 'user' } })
})
afterAll(() => server.close())

/** Every path also has preflights and refusals of other methods; they are tested below. */
const routesOf = () =>
  createApp(server.deps)
    .routes.filter(({ method }) => method !== 'OPTIONS' && method !== 'ALL')
    .map(route => `${route.method} ${route.path}`)

describe('routes', () => {
  test('the public list names routes that exist', () => {
    const routes = routesOf()
    expect(PUBLIC.filter(route => !routes.includes(route))).toEqual([])
  })

  test('every route that is not public refuses a request without credentials', async () => {
    const open: string[] = []
    for (const route of routesOf().filter(name => !PUBLIC.includes(name))) {
      const [method, path] = route.split(' ') as [string, string]
      const url =
        server.base.replace('localhost', '127.0.0.1') + path.replace(/:\w+/g, '00000000-0000-4000-8000-000000000000')
      for (const type of ['application/json', 'application/x-www-form-urlencoded']) {
        const body =
          method === 'GET' ? {} : { body: type === 'application/json' ? '{}' : '', headers: { 'Content-Type': type } }
        const answer = await fetch(url, { method, redirect: 'manual', ...body })
        const sentToSignIn = answer.status === 303 && answer.headers.get('location')?.startsWith('/auth/signin')
        if (answer.status !== 401 && !sentToSignIn) open.push(`${route}: ${answer.status}`)
      }
    }
    expect(open).toEqual([])
  })

  test('another method gets 405 with the allowed methods', async () => {
    const answer = await fetch(`${server.base.replace('localhost', '127.0.0.1')}/api/oauth/token`)
    expect([answer.status, answer.headers.get('allow'), await answer.json()]).toEqual([
      405,
      'POST, OPTIONS',
      { error: 'invalid_request', error_description: 'This address does not support GET' },
    ])
  })

  test.each([
    '//api/oauth/token',
    '/api/oauth/token/',
    '/API/OAUTH/TOKEN',
    '/api/oauth/./token',
    '/api/oauth/%74oken',
    '/mcp/',
    '/MCP',
    '//mcp',
    '/mcp;x',
    '/mcp%00',
  ])('the path trick %s is not found or meets the same guard', async path => {
    const answer = await server.post(path, { grant_type: 'client_credentials' })
    expect([401, 404]).toContain(answer.status)
  })
})
