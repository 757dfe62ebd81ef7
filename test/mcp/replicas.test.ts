/** Sessions of the 2025 revisions over a restart, and with requests dealt to two replicas in turn. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test'
import { type Dealer, startDealer } from '../support/dealer.ts'
import { deviceTokens, registerClient, signIn } from '../support/flows.ts'
import { connectClient, SESSION_CLIENTS, type SessionClient } from '../support/sdk-versions.ts'
import { onPostgres, startReplica, startServer, type TestServer } from '../support/server.ts'
import { openStream } from '../support/streams.ts'
import { until } from '../support/until.ts'

let server: TestServer
let other: TestServer | undefined
let dealer: Dealer
let client: string
let token: string

beforeEach(async () => {
  server = await startServer()
  dealer = startDealer(server.port)
  client = await registerClient(server)
  token = (await deviceTokens(server, client, await signIn(server))).access_token
})
afterEach(async () => {
  await dealer.close()
  await other?.close()
  other = undefined
  await server.close()
})

const connect = (which: SessionClient) => connectClient(which, dealer.url, token)

/** Requests of a client without an SDK. */
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: { sampling: {} }, clientInfo: { name: 'test', version: '1' } },
}
const LIST = { jsonrpc: '2.0', id: 1, method: 'tools/list' }
const headers = (session?: string) => ({
  Authorization: `Bearer ${token}`,
  Accept: 'application/json, text/event-stream',
  ...(session ? { 'Mcp-Session-Id': session } : {}),
})
async function begin(on: TestServer, more: object = {}): Promise<string> {
  const message = { ...INITIALIZE, params: { ...INITIALIZE.params, ...more } }
  const answer = await on.postJson('/mcp', message, headers())
  expect((await answer.text()).includes('"result"')).toBe(true)
  return answer.headers.get('mcp-session-id')!
}
const statusOn = async (on: TestServer, session: string) => {
  const answer = await on.postJson('/mcp', LIST, headers(session))
  await answer.text()
  return answer.status
}
const end = (on: TestServer, session: string) =>
  fetch(`http://127.0.0.1:${on.port}/mcp`, { method: 'DELETE', headers: headers(session) })
const listen = (on: TestServer, session: string, last?: string) => {
  const stop = new AbortController()
  const given = { ...headers(session), ...(last ? { 'Last-Event-ID': last } : {}) }
  return openStream(fetch(`http://127.0.0.1:${on.port}/mcp`, { headers: given, signal: stop.signal }), stop)
}
/** Stops the server, and starts another one in its place. */
async function restart(): Promise<TestServer> {
  await server.stop()
  other = await startReplica(server)
  dealer.ports = [other.port]
  return other
}

describe('across a restart', () => {
  test.each(SESSION_CLIENTS)('%s continues its session', async (...which) => {
    const { sdk, transport, whoami } = await connect(which as unknown as SessionClient)
    const session = transport.sessionId
    expect(await whoami()).toBe('ada@example.com')
    await restart()
    for (const _ of [1, 2, 3]) expect(await whoami()).toBe('ada@example.com')
    expect(transport.sessionId).toBe(session!)
    expect(dealer.answers.filter(answer => answer.startsWith('POST 4'))).toEqual([])
    await sdk.close()
  })

  test('an ended session stays ended', async () => {
    const [ended, alive] = [await begin(server), await begin(server)]
    expect((await end(server, ended)).status).toBe(200)
    const after = await restart()
    expect([await statusOn(after, ended), await statusOn(after, alive)]).toEqual([404, 200])
  })

  test('the GET stream starts afresh, and a missed response is lost', async () => {
    const session = await begin(server)
    const before = await listen(server, session)
    const [, standalone] = /^id: (0-\S+)$/m.exec(await before.readUntil('data: \n'))!
    const after = await restart()
    const fresh = await listen(after, session, standalone!)
    expect([fresh.answer.status, await fresh.readUntil('data: \n')]).toEqual([200, expect.stringMatching(/id: 0-\d/)])
    fresh.close()
    const lost = await listen(after, session, standalone!.replace(/^0/, '1'))
    expect([lost.answer.status, lost.answer.headers.get('allow')]).toEqual([405, 'POST, DELETE'])
  })
})

describe('the id of a session', () => {
  test('is visible ASCII, at most 1 KiB, however much a client says about itself', async () => {
    const capabilities = { sampling: {}, extensions: { 'com.example/x': { settings: 'x'.repeat(5_000) } } }
    const long = { clientInfo: { name: '\u{1F600}"'.repeat(300), version: '\\'.repeat(500) }, capabilities }
    for (const session of [await begin(server), await begin(server, long)]) {
      expect(session).toMatch(/^[!-~]{1,1024}$/)
      expect(await statusOn(server, session)).toBe(200)
    }
  })

  test('that was changed, cut, lengthened or spelled differently gets the 404 of an unknown one', async () => {
    const session = await begin(server)
    const flipped = session.slice(0, 60) + (session[60] === 'A' ? 'B' : 'A') + session.slice(61)
    for (const wrong of [flipped, session.slice(0, -4), `${session}AAAA`, `${session}=`, 'x', 'A'.repeat(2_000)])
      expect(await statusOn(server, wrong)).toBe(404)
    await restart()
    for (const wrong of [flipped, `${session}=`]) expect(await statusOn(other!, wrong)).toBe(404)
    expect(await statusOn(other!, session)).toBe(200)
  })

  test('reveals nothing', async () => {
    const session = await begin(server, { clientInfo: { name: 'a-telling-name', version: '1' } })
    expect(Buffer.from(session, 'base64url').toString('latin1')).not.toContain('a-telling-name')
  })
})

describe.skipIf(!onPostgres)('requests alternating between two replicas', () => {
  beforeEach(async () => {
    other = await startReplica(server)
    dealer.ports = [server.port, other.port]
  })
  /** A notification is on its way for a moment. */
  async function becomes(on: TestServer, session: string, status: number): Promise<void> {
    await until(async () => (await statusOn(on, session)) === status)
  }

  test.each(SESSION_CLIENTS)('%s makes every call', async (...which) => {
    const { sdk, transport, whoami } = await connect(which as unknown as SessionClient)
    for (let i = 0; i < 6; i++) expect(await whoami()).toBe('ada@example.com')
    expect((await sdk.listTools()).tools.map(({ name }) => name)).toContain('whoami')
    expect(dealer.answers.filter(answer => answer.startsWith('POST 4'))).toEqual([])
    const session = transport.sessionId!
    await transport.terminateSession()
    await becomes(server, session, 404)
    await becomes(other!, session, 404)
    await sdk.close()
  })

  test('a session displaced by newer ones ends on both', async () => {
    const first = await begin(server)
    expect(await statusOn(other!, first)).toBe(200)
    for (let i = 0; i < 32; i++) await begin(server)
    await becomes(other!, first, 404)
    expect(await statusOn(server, first)).toBe(404)
  })

  test('a revoked grant ends its sessions on both', async () => {
    const own = await deviceTokens(server, client, await signIn(server))
    token = own.access_token
    const session = await begin(server)
    expect(await statusOn(other!, session)).toBe(200)
    await server.post('/api/oauth/revoke', { client_id: client, token: own.refresh_token })
    await becomes(other!, session, 401)
    expect(await statusOn(server, session)).toBe(401)
  })

  test('somebody else’s session gets the 404 of an unknown one on both', async () => {
    const session = await begin(server)
    token = (await deviceTokens(server, client, await signIn(server, 'eve@example.com'))).access_token
    expect([await statusOn(server, session), await statusOn(other!, session)]).toEqual([404, 404])
  })
})
