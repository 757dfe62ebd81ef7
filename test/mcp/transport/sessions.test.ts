import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { openSessions, type Session } from '../../../src/mcp/transport/sessions.ts'
import { deviceTokens, registerClient, signIn, type TokenAnswer } from '../../support/flows.ts'
import { startServer, type TestServer } from '../../support/server.ts'
import { openStream } from '../../support/streams.ts'

let server: TestServer
let client: string
let ada: string
let tokens: TokenAnswer

beforeAll(async () => {
  server = await startServer()
  client = await registerClient(server)
  ada = await signIn(server)
  tokens = await deviceTokens(server, client, ada)
})
afterAll(() => server.close())

const headers = (token = tokens.access_token, session?: string) => ({
  Authorization: `Bearer ${token}`,
  Accept: 'application/json, text/event-stream',
  ...(session ? { 'Mcp-Session-Id': session, 'MCP-Protocol-Version': '2025-11-25' } : {}),
})
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
}
const LIST = { jsonrpc: '2.0', id: 1, method: 'tools/list' }

async function begin(token = tokens.access_token): Promise<string> {
  const answer = await server.postJson('/mcp', INITIALIZE, headers(token))
  expect(answer.status).toBe(200)
  await answer.text()
  const id = answer.headers.get('mcp-session-id')!
  expect(
    (await server.postJson('/mcp', { jsonrpc: '2.0', method: 'notifications/initialized' }, headers(token, id))).status,
  ).toBe(202)
  return id
}
const list = (session: string, token = tokens.access_token) => server.postJson('/mcp', LIST, headers(token, session))

/** A GET of an event stream. */
function get(path: string, extra: Record<string, string>) {
  const stop = new AbortController()
  const url = server.base.replace('localhost', '127.0.0.1') + path
  const init = { headers: { Accept: 'text/event-stream', ...extra }, signal: stop.signal }
  return openStream(fetch(url, init), stop)
}

describe('sessions (2025-11-25, Streamable HTTP "Session Management")', () => {
  test('initialize returns an id, later requests carry it, DELETE ends it, and then it is 404', async () => {
    const id = await begin()
    const answer = await list(id)
    expect([answer.status, answer.headers.get('mcp-session-id')]).toEqual([200, id])
    expect(await answer.text()).toContain('"whoami"')
    const ended = await fetch(`${server.base.replace('localhost', '127.0.0.1')}/mcp`, {
      method: 'DELETE',
      headers: headers(tokens.access_token, id),
    })
    expect(ended.status).toBe(200)
    expect((await list(id)).status).toBe(404)
  })

  test('an unknown session and somebody else’s get the same 404', async () => {
    const id = await begin()
    const otherUser = (await deviceTokens(server, client, await signIn(server, 'eve@example.com'))).access_token
    const otherGrant = (await deviceTokens(server, client, ada)).access_token
    const otherClient = (await deviceTokens(server, await registerClient(server, { client_name: 'Other' }), ada))
      .access_token
    const unknown = await list(crypto.randomUUID())
    const body = await unknown.text()
    expect([unknown.status, JSON.parse(body).error.code]).toEqual([404, -32001])
    for (const token of [otherUser, otherGrant, otherClient]) {
      const answer = await list(id, token)
      expect([answer.status, await answer.text()]).toEqual([404, body])
    }
    expect((await list(id)).status).toBe(200)
  })

  test('a refreshed token keeps the session; the session ends with its grant', async () => {
    const own = await deviceTokens(server, client, ada)
    const id = await begin(own.access_token)
    const refreshed = (await (
      await server.post('/api/oauth/token', {
        grant_type: 'refresh_token',
        client_id: client,
        refresh_token: own.refresh_token,
      })
    ).json()) as TokenAnswer
    expect((await list(id, refreshed.access_token)).status).toBe(200)
    await server.post('/api/oauth/revoke', { client_id: client, token: refreshed.refresh_token })
    expect((await list(id, refreshed.access_token)).status).toBe(401)
  })

  const PRINCIPAL = {
    ...{ userId: 'u', clientId: 'c', grantId: 'g', tokenId: 't', keyId: 'k' },
    ...{ scope: [], audience: '', issuedAt: 0, expiresAt: 0 },
  }

  test.each(['grant:g', 'client:c', 'session:k'])('ends, not only its tokens, when %s is revoked', async subject => {
    let closed = 0
    const sessions = openSessions<Session>(server.deps, 'sessions_here', 'a test', () => void closed++)
    sessions.add({ id: 'mine', key: 'k' }, PRINCIPAL)
    sessions.add({ id: 'too', key: 'k' }, PRINCIPAL)
    let looks = 0
    const other = {
      ...PRINCIPAL,
      clientId: 'd',
      get grantId() {
        looks++
        return 'h'
      },
    }
    sessions.add({ id: 'other', key: 'l' }, other)
    looks = 0
    for (const listener of server.deps.memory.onRevoked) listener(subject)
    for (const id of ['mine', 'too']) expect(sessions.find(id, PRINCIPAL)).toBeUndefined()
    // One of thousands of sessions costs nothing when another ends.
    expect([closed, looks]).toEqual([2, 0])
    expect(sessions.find('other', { ...PRINCIPAL, clientId: 'd', grantId: 'h' })).toBeDefined()
  })

  test('a server has at most 10,000: the least recently used is dropped', () => {
    const closed: string[] = []
    const sessions = openSessions<Session>(server.deps, 'sessions_here', 'a test', ({ id }) => void closed.push(id))
    const of = (n: number) => ({ ...PRINCIPAL, userId: `u${n}`, grantId: `g${n}` })
    const open = (n: number) => sessions.add({ id: String(n), key: String(n) }, of(n))?.id
    for (let n = 0; n < 10_000; n++) expect(open(n)).toBeUndefined()
    for (const n of [0, 1, 0, 3, 9_999, 4]) expect(sessions.find(String(n), of(n))).toBeDefined()
    expect(sessions.remove('2')?.id).toBe('2')
    expect([10_000, 10_001, 10_002].map(open)).toEqual([undefined, '5', '6'])
    expect(Array.from({ length: 9_996 }, (_, n) => open(20_000 + n)).slice(-4)).toEqual(['1', '0', '3', '9999'])
    expect(closed.slice(0, 4)).toEqual(['2', '5', '6', '7'])
  })

  test('an initialize notification begins none', async () => {
    const own = (await deviceTokens(server, client, ada)).access_token
    const id = await begin(own)
    const { id: _, ...notification } = INITIALIZE
    for (let i = 0; i < 33; i++) expect((await server.postJson('/mcp', notification, headers(own))).status).toBe(202)
    expect((await list(id, own)).status).toBe(200)
  })

  test('an idle session outlives its access token, and continues even after its state was freed after a day', async () => {
    const own = await deviceTokens(server, client, ada)
    const id = await begin(own.access_token)
    const refresh = async ({ refresh_token }: TokenAnswer) =>
      (await (
        await server.post('/api/oauth/token', { grant_type: 'refresh_token', client_id: client, refresh_token })
      ).json()) as TokenAnswer
    server.clock.advance(24 * 3600 - 1)
    const refreshed = await refresh(own)
    expect((await list(id, refreshed.access_token)).status).toBe(200)
    server.clock.advance(24 * 3600)
    tokens = await deviceTokens(server, client, ada)
    const later = (await refresh(refreshed)).access_token
    await begin(later) // frees what is idle
    const resumed = await get('/mcp', { ...headers(later, id), 'Last-Event-ID': '0-1' })
    expect(resumed.answer.status).toBe(400) // an event that it had before would be known
    expect((await list(id, later)).status).toBe(200)
  })

  test('one person has at most 256 over all apps: the least recently used is dropped', async () => {
    const bob = await signIn(server, 'bob@example.com')
    const connections = await Promise.all(
      Array.from({ length: 12 }, async () => (await deviceTokens(server, client, bob)).access_token),
    )
    const first = await begin(connections[0])
    const oldest = await begin(connections[1])
    const stale = await begin(connections[2])
    for (let i = 0; i < 253; i++) await begin(connections[3 + (i % 9)])
    expect((await list(first, connections[0])).status).toBe(200)
    expect((await list(oldest, connections[1])).status).toBe(200)
    const next = await begin(connections[2]) // one too many: the first of those that were not used since goes
    expect((await list(oldest, connections[1])).status).toBe(200)
    expect((await list(stale, connections[2])).status).toBe(404)
    expect((await list(next, connections[2])).status).toBe(200)
  })

  test('one connection has at most 32: the least recently used is dropped', async () => {
    const own = (await deviceTokens(server, client, ada)).access_token
    const first = await begin(own)
    const second = await begin(own)
    expect((await list(first, own)).status).toBe(200)
    for (let i = 0; i < 31; i++) await begin(own)
    expect((await list(second, own)).status).toBe(404)
    expect((await list(first, own)).status).toBe(200)
  })
})

describe('the SDK’s client with sessions', () => {
  test('connects, calls a tool, and ends its session', async () => {
    const transport = new TransportV1(new URL(`${server.base}/mcp`), {
      requestInit: { headers: { Authorization: `Bearer ${tokens.access_token}` } },
    })
    const sdk = new ClientV1({ name: 'test', version: '1' })
    await sdk.connect(transport)
    expect(transport.sessionId).toMatch(/^[\w-]{100,1024}$/)
    expect((await sdk.callTool({ name: 'whoami', arguments: {} })).structuredContent).toMatchObject({
      user: { email: 'ada@example.com' },
    })
    const id = transport.sessionId!
    await transport.terminateSession()
    expect((await list(id)).status).toBe(404)
    await sdk.close()
  })
})

describe('HTTP+SSE (2024-11-05)', () => {
  test.each(['/sse', '/api/sse'])('a client of that transport calls a tool at %s', async path => {
    const requestInit = { headers: { Authorization: `Bearer ${tokens.access_token}` } }
    const transport = new SSEClientTransport(new URL(server.base + path), {
      requestInit,
      eventSourceInit: {
        fetch: (url, init) => fetch(url, { ...init, headers: { ...headers(), Accept: 'text/event-stream' } }),
      },
    })
    const sdk = new ClientV1({ name: 'test', version: '1' })
    await sdk.connect(transport)
    expect((await sdk.listTools()).tools.map(tool => tool.name)).toContain('whoami')
    await sdk.close()
  })

  test('needs the token on every request, and the session is its own', async () => {
    const stream = await get('/sse', headers())
    const endpoint = /data: (\/messages\?sessionId=\S+)/.exec(await stream.readUntil('sessionId='))![1]!
    expect((await server.postJson(endpoint, INITIALIZE)).status).toBe(401)
    const eve = (await deviceTokens(server, client, await signIn(server, 'eve@example.com'))).access_token
    expect((await server.postJson(endpoint, INITIALIZE, headers(eve))).status).toBe(404)
    expect((await server.postJson(endpoint, INITIALIZE, headers())).status).toBe(202)
    expect(await stream.readUntil('serverInfo')).toContain('"name":"mcp-oauth-server"')
    stream.close()
  })

  test('is off with LEGACY_SSE=false', async () => {
    const modern = await startServer({ LEGACY_SSE: 'false' })
    expect((await modern.get('/sse')).status).toBe(404)
    expect((await modern.postJson('/messages', {})).status).toBe(404)
    expect((await modern.get('/.well-known/oauth-protected-resource/sse')).status).toBe(404)
    await modern.close()
  })
})
