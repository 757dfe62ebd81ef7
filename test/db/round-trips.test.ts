import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { addClient } from '../../src/oauth/clients/index.ts'
import { decide, deviceTokens, poll, registerClient, requestDevice, rpc, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { countStatements, type StatementCount } from '../support/statements.ts'

// Generous, for a busy machine.
setDefaultTimeout(300_000)

let server: TestServer
let statements: StatementCount
let ada: string
let client: string

beforeAll(async () => {
  server = await startServer()
  ada = await signIn(server)
  client = await registerClient(server)
  await requestDevice(server, client) // from now on the client is remembered
  statements = countStatements(server.deps)
})
afterAll(() => server.close())
beforeEach(() => {
  statements.take()
})

describe('the budget of database round trips', () => {
  test('an MCP request: none, whether its token is new or known, valid or not', async () => {
    const { access_token } = await deviceTokens(server, client, ada)
    statements.take()
    for (const method of ['tools/list', 'ping', 'tools/list']) {
      expect((await rpc(server, access_token, method)).status).toBe(200)
    }
    expect((await rpc(server, `${access_token.slice(0, -2)}xx`, 'ping')).status).toBe(401)
    expect((await server.get('/mcp')).status).toBe(401)
    expect(statements.take()).toEqual([])
  })

  test('a device authorization: one', async () => {
    await requestDevice(server, client)
    expect(statements.take()).toEqual(['insert'])
  })

  test('a device poll: one while nobody has decided, and a second for what was decided', async () => {
    const { device_code, user_code } = await requestDevice(server, client)
    const statuses: number[] = []
    const polled = async (...expected: string[]) => {
      statements.take()
      statuses.push((await poll(server, client, device_code)).status)
      expect(statements.take()).toEqual(expected)
    }
    await polled('insert') // pending
    await polled('insert') // too fast
    await decide(server, ada, user_code)
    await polled('insert', 'with') // approved
    await polled('insert', 'with') // used
    expect(statuses).toEqual([400, 400, 200, 400])
  })

  test('client credentials: one for a client that is new to this replica, none afterwards', async () => {
    const { id, secret } = await addClient(server.deps, {
      name: 'Robot',
      grantTypes: ['client_credentials'],
      redirectUris: [],
      scope: ['mcp'],
    })
    const form = { grant_type: 'client_credentials', client_id: id, client_secret: secret! }
    statements.take()
    expect((await server.post('/api/oauth/token', form)).status).toBe(200)
    expect(statements.take()).toEqual(['select'])
    expect((await server.post('/api/oauth/token', form)).status).toBe(200)
    expect((await server.post('/api/oauth/token', { ...form, client_secret: 'wrong' })).status).toBe(401)
    expect(statements.take()).toEqual([])
  })

  test('a refresh: two; a retry: one', async () => {
    const { refresh_token } = await deviceTokens(server, client, ada)
    const form = { grant_type: 'refresh_token', client_id: client, refresh_token }
    statements.take()
    expect((await server.post('/api/oauth/token', form)).status).toBe(200)
    expect(statements.take()).toEqual(['select', 'with'])
    expect((await server.post('/api/oauth/token', form)).status).toBe(200)
    expect(statements.take()).toEqual(['select'])
  })

  test('public routes that do not depend on users: none', async () => {
    for (const path of [
      '/.well-known/oauth-authorization-server',
      '/.well-known/oauth-protected-resource/mcp',
      '/.well-known/jwks.json',
      '/',
      '/api/sse',
    ]) {
      expect((await server.get(path)).status).toBe(200)
    }
    expect(statements.take()).toEqual([])
  })
})
