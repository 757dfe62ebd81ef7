/** The stateless revision on the wire: https://modelcontextprotocol.io/specification/2026-07-28 */
import { afterAll, beforeAll, describe, expect, spyOn, test } from 'bun:test'
import { Server } from '@modelcontextprotocol/server'
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
/** A member of `_meta` that means nothing, so that the SDK serves the request, whatever was served before. */
const bySdk = { meta: { 'com.example/trace': 'x' } }
const resultOf = async (answer: Promise<Response>) => {
  const response = await answer
  return [response.status, response.headers.get('content-type')?.split(';')[0], await response.json()]
}

describe('answers without a server for each (the dispatcher)', () => {
  test.each([
    ['server/discover', {}],
    ['tools/list', {}],
    ['tools/call', WHOAMI],
    ['tools/call', { name: 'revoke_connection', arguments: { id: 'no uuid' } }],
    ['tools/call', { name: 'list_connections' }],
    ['tools/call', { name: 'no_such_tool' }],
  ])('%s %j are those of the SDK', async (method, params) => {
    const given = await resultOf(modernRpc(server, token, method, params, bySdk))
    await modernRpc(server, token, method, params) // now its envelope is known
    for (const _ of [1, 2]) expect(await resultOf(modernRpc(server, token, method, params))).toEqual(given)
    const { id } = (await (await modernRpc(server, token, method, params, { id: 'a"\u2028' })).json()) as {
      id: unknown
    }
    expect(id).toBe('a"\u2028')
  })

  test('build no server once a client’s envelope is known', async () => {
    const connect = spyOn(Server.prototype, 'connect')
    await modernRpc(server, token, 'tools/list', {}, bySdk)
    expect(connect).toHaveBeenCalledTimes(1)
    await modernRpc(server, token, 'tools/list')
    for (const _ of [1, 2]) {
      await modernRpc(server, token, 'tools/list')
      await modernRpc(server, token, 'tools/call', WHOAMI)
    }
    expect(connect.mock.calls.length).toBeLessThanOrEqual(2)
    connect.mockRestore()
  })

  test('are each caller’s own: by scope, and other ones for a machine', async () => {
    const callers = [
      [token, ['list_connections', 'revoke_connection', 'whoami'], true],
      [(await deviceTokens(server, client, ada)).access_token, ['list_connections', 'whoami'], false],
      [await machineToken(server, ['mcp']), ['whoami'], true],
      [await machineToken(server, ['mcp', 'admin']), ['search_audit_log', 'whoami'], true],
      [await machineToken(server, ['admin', 'mcp:tools:read']), ['search_audit_log', 'whoami'], false],
    ] as const
    for (const _ of [1, 2]) {
      for (const [caller, tools, hasPrompts] of callers) {
        const [, , list] = (await resultOf(modernRpc(server, caller, 'tools/list'))) as [
          0,
          0,
          { result: { tools: { name: string }[] } },
        ]
        expect(list.result.tools.map(tool => tool.name).sort()).toEqual([...tools])
        const [, , found] = (await resultOf(modernRpc(server, caller, 'server/discover'))) as [
          0,
          0,
          { result: { capabilities: object } },
        ]
        expect('prompts' in found.result.capabilities).toBe(hasPrompts)
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

  test('another name in the header than in the body calls nothing', async () => {
    const answer = await modernRpc(server, token, 'tools/call', WHOAMI, { headers: { 'Mcp-Name': 'list_connections' } })
    expect([answer.status, await answer.json()]).toMatchObject([400, { id: 1, error: { code: -32020 } }])
  })
})

describe('what is not there', () => {
  test.each([
    ['tools/list', { cursor: 'x' }, 200, -32602],
    ['resources/list', { cursor: '' }, 200, -32602],
    ['resources/read', { uri: 'file:///x' }, 200, -32602],
    ['prompts/get', { name: 'x' }, 200, -32602],
    ['ping', {}, 404, -32601],
    ['no/such/method', {}, 404, -32601],
  ])('%s %j is %d with %d', async (method, params: Record<string, unknown>, status, code) => {
    const headers: Record<string, string> = 'uri' in params ? { 'Mcp-Name': String(params.uri) } : {}
    const answer = await modernRpc(server, token, method, params, { headers })
    expect([answer.status, await answer.json()]).toMatchObject([status, { id: 1, error: { code } }])
  })

  test('resources/read names the URI in the error’s data (2026-07-28, "Resources")', async () => {
    const answer = await modernRpc(server, token, 'resources/read', { uri: 'a:b' }, { headers: { 'Mcp-Name': 'a:b' } })
    expect(await answer.json()).toMatchObject({ error: { data: { uri: 'a:b' } } })
  })
})

describe('subscriptions/listen', () => {
  const listen = (of: string, notifications: object, id: unknown = 7, on = server) => {
    const stop = new AbortController()
    return openStream(modernRpc(on, of, 'subscriptions/listen', { notifications }, { id, signal: stop.signal }), stop)
  }

  test('begins with an acknowledgement of what there is, and ends when nothing is asked for that there is', async () => {
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

  test('is said goodbye when the grant is revoked, when the token expires and when the server stops', async () => {
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

  test('of a client that reads no event streams is 406', async () => {
    const headers = { Accept: 'application/json' }
    const answer = await modernRpc(server, token, 'subscriptions/listen', { notifications: {} }, { headers })
    expect([answer.status, await answer.json()]).toMatchObject([406, { error: { code: -32000 } }])
  })
})

describe('how it is answered (Streamable HTTP, "Sending Messages")', () => {
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

  test('a session id is ignored, and none is given', async () => {
    const answer = await modernRpc(server, token, 'tools/list', {}, { headers: { 'Mcp-Session-Id': 'x' } })
    expect([answer.status, answer.headers.get('mcp-session-id')]).toEqual([200, null])
  })
})
