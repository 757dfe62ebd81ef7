/** The stateless revision on the wire: https://modelcontextprotocol.io/specification/2026-07-28 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { deviceTokens, machineToken, modernRpc, registerClient, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { openStream } from '../support/streams.ts'

let server: TestServer
let client: string
let ada: string
let token: string

beforeAll(async () => {
  server = await startServer()
  client = await registerClient(server)
  ada = await signIn(server)
  token = (await deviceTokens(server, client, ada, { scope: 'mcp connections:manage' })).access_token
})
afterAll(() => server.close())

const SUBSCRIPTION = 'io.modelcontextprotocol/subscriptionId'
const WHOAMI = { name: 'whoami', arguments: {} }
const resultOf = async (answer: Promise<Response>) => {
  const response = await answer
  return [response.status, response.headers.get('content-type')?.split(';')[0], await response.json()]
}

describe('answers', () => {
  test.each([
    ['a"\u2028', 'a"\u2028'],
    [0, 0],
    ['', ''],
  ])('carry the id %j of their request', async (id, same) => {
    const answer = await modernRpc(server, token, 'tools/call', WHOAMI, { id })
    expect(await answer.json()).toMatchObject({ id: same, result: { resultType: 'complete' } })
  })

  test('name the server, and say how long a list may be cached', async () => {
    const serverInfo = { name: 'mcp-oauth-server', version: expect.any(String), title: 'MCP OAuth server' }
    const _meta = { 'io.modelcontextprotocol/serverInfo': serverInfo }
    const hints = { resultType: 'complete', cacheScope: 'private', _meta }
    const [, , found] = await resultOf(modernRpc(server, token, 'server/discover'))
    expect(found).toEqual({
      jsonrpc: '2.0',
      id: 1,
      result: {
        ...hints,
        ttlMs: 300_000,
        supportedVersions: ['2026-07-28'],
        capabilities: { tools: { listChanged: true }, logging: {} },
        instructions: expect.stringMatching(/\.$/),
      },
    })
    const [, , list] = await resultOf(modernRpc(server, token, 'tools/list'))
    expect(list).toEqual({ jsonrpc: '2.0', id: 1, result: { ...hints, ttlMs: 60_000, tools: expect.any(Array) } })
  })

  test('depend on the caller: on its scope, and on whether it is a machine', async () => {
    const callers = [
      [token, ['list_connections', 'revoke_connection', 'whoami']],
      [(await deviceTokens(server, client, ada)).access_token, ['list_connections', 'whoami']],
      [await machineToken(server, ['mcp']), ['whoami']],
      [await machineToken(server, ['mcp', 'admin']), ['search_audit_log', 'whoami']],
      [await machineToken(server, ['admin', 'mcp:tools:read']), ['search_audit_log', 'whoami']],
    ] as const
    for (const _ of [1, 2]) {
      for (const [caller, tools] of callers) {
        const [, , list] = (await resultOf(modernRpc(server, caller, 'tools/list'))) as [
          0,
          0,
          { result: { tools: { name: string }[] } },
        ]
        expect(list.result.tools.map(tool => tool.name).sort()).toEqual([...tools])
      }
    }
  })

  test.each([
    ['capabilities that are none', { 'io.modelcontextprotocol/clientCapabilities': 5 }, {}, -32602],
    ['a nameless client', { 'io.modelcontextprotocol/clientInfo': { version: '1' } }, {}, -32602],
    ['another version in the header', {}, { 'MCP-Protocol-Version': '2025-11-25' }, -32020],
    ['another method in the header', {}, { 'Mcp-Method': 'ping' }, -32020],
    [
      'a version of the future',
      { 'io.modelcontextprotocol/protocolVersion': '2099-01-01' },
      { 'MCP-Protocol-Version': '2099-01-01' },
      -32022,
    ],
  ])('are no way around the checks: %s is 400, every time', async (_, meta, headers: Record<string, string>, code) => {
    await (await modernRpc(server, token, 'tools/list')).text()
    for (const _ of [1, 2, 3]) {
      const answer = await modernRpc(server, token, 'tools/list', {}, { meta, headers })
      expect([answer.status, await answer.json()]).toMatchObject([400, { error: { code } }])
    }
  })

  test('a name in the header that differs from the body calls nothing', async () => {
    const answer = await modernRpc(server, token, 'tools/call', WHOAMI, { headers: { 'Mcp-Name': 'list_connections' } })
    expect([answer.status, await answer.json()]).toMatchObject([400, { id: 1, error: { code: -32020 } }])
  })
})

describe('what does not exist', () => {
  test.each([
    ['tools/list', { cursor: 'x' }, 200, -32602],
    ['resources/list', { cursor: '' }, 404, -32601],
    ['resources/read', { uri: 'file:///x' }, 404, -32601],
    ['prompts/get', { name: 'x' }, 404, -32601],
    ['logging/setLevel', { level: 'info' }, 404, -32601],
    [
      'initialize',
      { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } },
      404,
      -32601,
    ],
    ['ping', {}, 404, -32601],
    ['no/such/method', {}, 404, -32601],
  ])('%s %j is %d with %d', async (method, params: Record<string, unknown>, status, code) => {
    const headers: Record<string, string> = 'uri' in params ? { 'Mcp-Name': String(params.uri) } : {}
    const answer = await modernRpc(server, token, method, params, { headers })
    expect([answer.status, await answer.json()]).toMatchObject([status, { id: 1, error: { code } }])
  })
})

describe('subscriptions/listen', () => {
  const listen = (of: string, notifications: object, id: unknown = 7, on = server) => {
    const stop = new AbortController()
    return openStream(modernRpc(on, of, 'subscriptions/listen', { notifications }, { id, signal: stop.signal }), stop)
  }

  test('acknowledges what is supported, and ends if nothing requested is', async () => {
    const stream = await listen(token, { toolsListChanged: true, resourceSubscriptions: ['file:///x'] }, 'abc')
    const text = await stream.readUntil('acknowledged')
    expect(JSON.parse(/data: (.*)/.exec(text)![1]!)).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/subscriptions/acknowledged',
      params: { _meta: { [SUBSCRIPTION]: 'abc' }, notifications: { toolsListChanged: true } },
    })
    stream.close()
    const nothing = await listen(token, { promptsListChanged: true })
    expect(await nothing.rest()).toContain('"resultType":"complete"')
  })

  test('ends with a result when the grant is revoked, the token expires or the server stops', async () => {
    const other = await startServer({ ACCESS_TOKEN_TTL: '60' })
    const id = await registerClient(other)
    const user = await signIn(other)
    const goodbye = { jsonrpc: '2.0', id: 7, result: { resultType: 'complete', _meta: { [SUBSCRIPTION]: 7 } } }
    const begin = async () => {
      const tokens = await deviceTokens(other, id, user)
      const stream = await listen(tokens.access_token, { toolsListChanged: true }, 7, other)
      await stream.readUntil('acknowledged')
      return { tokens, stream }
    }
    const lastOf = async (stream: Awaited<ReturnType<typeof openStream>>) =>
      JSON.parse([...(await stream.rest()).matchAll(/data: (.*)/g)].at(-1)![1]!)

    const revoked = await begin()
    await other.post('/api/oauth/revoke', { client_id: id, token: revoked.tokens.refresh_token })
    expect(await lastOf(revoked.stream)).toMatchObject(goodbye)

    const early = await deviceTokens(other, id, user)
    other.clock.advance(58)
    const expiring = await listen(early.access_token, { toolsListChanged: true }, 7, other)
    expect(await lastOf(expiring)).toMatchObject(goodbye)

    const stopped = await begin()
    other.deps.stopping.abort()
    expect(await lastOf(stopped.stream)).toMatchObject(goodbye)
    await other.close()
  })

  test('from a client that does not accept event streams is 406', async () => {
    const headers = { Accept: 'application/json' }
    const answer = await modernRpc(server, token, 'subscriptions/listen', { notifications: {} }, { headers })
    expect([answer.status, await answer.json()]).toMatchObject([406, { error: { code: -32000 } }])
  })
})

describe('how responses are sent (Streamable HTTP, "Sending Messages")', () => {
  test.each(['*/*', 'application/json', 'application/*;q=0.5'])(
    'Accept: %s gets JSON, progress asked for or not',
    async accept => {
      const more = {
        headers: { Accept: accept },
        meta: { progressToken: 1, 'io.modelcontextprotocol/logLevel': 'debug' },
      }
      const [status, type] = await resultOf(modernRpc(server, token, 'tools/call', WHOAMI, more))
      expect([status, type]).toEqual([200, 'application/json'])
    },
  )

  test.each(['text/html', 'text/event-stream'])('Accept: %s is 406', async accept => {
    const answer = await modernRpc(server, token, 'tools/list', {}, { headers: { Accept: accept } })
    expect([answer.status, await answer.json()]).toMatchObject([406, { error: { code: -32000 } }])
  })

  test('a session id is ignored, and none is issued', async () => {
    const answer = await modernRpc(server, token, 'tools/list', {}, { headers: { 'Mcp-Session-Id': 'x' } })
    expect([answer.status, answer.headers.get('mcp-session-id')]).toEqual([200, null])
  })
})
