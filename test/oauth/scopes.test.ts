import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { deviceTokens, registerClient, requestDevice, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let client: string
beforeAll(async () => {
  server = await startServer()
  client = await registerClient(server)
})
afterAll(() => server.close())

const ask = (more: Record<string, string>) => server.post('/api/oauth/device', { client_id: client, ...more })

describe('the scope of a request (RFC 6749 3.3)', () => {
  test.each([
    ['openid', 'mcp:tools:read mcp:tools:call'],
    ['openid email profile', 'mcp:tools:read mcp:tools:call'],
    ['openid offline_access', 'mcp:tools:read mcp:tools:call offline_access'],
    ['openid mcp:tools:read', 'mcp:tools:read'],
    ['mcp:tools:read unknown mcp:tools:read', 'mcp:tools:read'],
  ])('%p is granted as %p', async (scope, granted) => {
    const tokens = await deviceTokens(server, client, await signIn(server), { scope })
    expect(tokens.scope).toBe(granted)
  })

  test.each(['unknown', 'read write', 'openid unknown'])('%p has nothing that is known: invalid_scope', async scope => {
    const answer = await ask({ scope })
    expect([answer.status, await answer.json()]).toMatchObject([400, { error: 'invalid_scope' }])
  })
})

describe('the resource of a request (RFC 8707 2), compared as URIs are (RFC 3986 6.2.2, 6.2.3)', () => {
  test.each([
    ['a slash at the end', (base: string) => `${base}/mcp/`],
    ['capitals in scheme and host', (base: string) => `${base.replace('http://localhost', 'HTTP://LocalHost')}/mcp`],
    ['percent-encoded letters', (base: string) => `${base}/%6dcp`],
    ['dot segments', (base: string) => `${base}/x/../mcp`],
  ])('%s does not matter; the token carries our own spelling', async (_, spell) => {
    const resource = spell(server.base)
    const tokens = await deviceTokens(server, client, await signIn(server), { resource })
    const claims = JSON.parse(Buffer.from(tokens.access_token.split('.')[1]!, 'base64url').toString())
    expect(claims.aud).toBe(`${server.base}/mcp`)
  })

  test.each([
    ['another path', '/mcp/other'],
    ['other capitals in the path', '/MCP'],
    ['an encoded slash', '/mcp%2F'],
    ['a query', '/mcp?x=1'],
    ['a fragment', '/mcp#x'],
    ['an empty fragment', '/mcp#'],
  ])('%s is another resource: invalid_target', async (_, path) => {
    const answer = await ask({ resource: server.base + path })
    expect([answer.status, await answer.json()]).toMatchObject([400, { error: 'invalid_target' }])
  })

  test('with a user name is refused', async () => {
    const answer = await ask({ resource: `${server.base.replace('http://', 'http://user@')}/mcp` })
    expect(((await answer.json()) as { error: string }).error).toBe('invalid_target')
  })

  test('defaults to the hub', async () => {
    expect((await requestDevice(server, client)).user_code).toMatch(/^[A-Z]{4}-[A-Z]{4}$/)
  })
})
