/** Event streams: bounded, kept alive, and ended when what they were opened with ends. */

import { afterAll, beforeAll, describe, expect, spyOn, test } from 'bun:test'
import { connect } from 'node:net'
import { openEventStream } from '../../../src/mcp/transport/event-stream.ts'
import { openStreams } from '../../../src/mcp/transport/streams.ts'
import { type Principal, revocableSubjects } from '../../../src/oauth/principal.ts'
import { verifyAccessToken } from '../../../src/oauth/tokens.ts'
import { deviceTokens, modernRpc, registerClient, signIn } from '../../support/flows.ts'
import { hold, startServer, type TestServer } from '../../support/server.ts'
import { openStream } from '../../support/streams.ts'
import { until } from '../../support/until.ts'

let server: TestServer
let client: string
let ada: string
/** What the server does every 15 seconds. */
let every15Seconds: () => void

beforeAll(async () => {
  const intervals = spyOn(globalThis, 'setInterval')
  server = await startServer()
  every15Seconds = intervals.mock.calls.find(([, ms]) => ms === 15_000)![0] as () => void
  intervals.mockRestore()
  client = await registerClient(server)
  ada = await signIn(server)
})
afterAll(() => server.close())

const INITIALIZE = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
}
const newToken = async (cookie = ada) => (await deviceTokens(server, client, cookie)).access_token
const headers = (token: string, session?: string) => ({
  Authorization: `Bearer ${token}`,
  Accept: 'application/json, text/event-stream',
  ...(session ? { 'Mcp-Session-Id': session } : {}),
})
async function begin(token: string): Promise<string> {
  const answer = await server.postJson('/mcp', INITIALIZE, headers(token))
  await answer.text()
  return answer.headers.get('mcp-session-id')!
}
function get(path: string, sent: Record<string, string>, on = server) {
  const stop = new AbortController()
  return openStream(
    fetch(on.base.replace('localhost', '127.0.0.1') + path, { headers: sent, signal: stop.signal }),
    stop,
  )
}

function listen(token: string) {
  const stop = new AbortController()
  const filter = { notifications: { toolsListChanged: true } }
  return openStream(modernRpc(server, token, 'subscriptions/listen', filter, { signal: stop.signal }), stop)
}

/** One stream of each kind. */
async function openEach(token: string) {
  return [
    await get('/sse', headers(token)),
    await get('/api/sse', headers(token)),
    await get('/mcp', headers(token, await begin(token))),
    await listen(token),
  ]
}

test('a GET stream opens at once even if nothing is sent, and a second one replaces it', async () => {
  const token = await newToken()
  const session = await begin(token)
  const first = await get('/mcp', headers(token, session))
  expect([first.answer.status, first.answer.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
  expect(await first.readUntil(':')).toStartWith(':')
  const second = await get('/mcp', headers(token, session))
  expect(second.answer.status).toBe(200)
  await first.rest()
  second.close()
})

test('every kind is kept alive by comments, and tells proxies not to buffer it', async () => {
  const streams = await openEach(await newToken())
  every15Seconds()
  for (const stream of streams) {
    expect(stream.answer.headers.get('x-accel-buffering')).toBe('no')
    expect(await stream.readUntil(': keep-alive\n\n')).toContain(': keep-alive\n\n')
    stream.close()
  }
})

describe('ends', () => {
  test('when its grant is revoked, whatever its kind', async () => {
    const own = await deviceTokens(server, client, ada)
    const streams = await openEach(own.access_token)
    await server.post('/api/oauth/revoke', { client_id: client, token: own.refresh_token })
    for (const stream of streams) await stream.rest()
  })

  test('when its grant was revoked while it was being opened', async () => {
    const own = await deviceTokens(server, client, ada)
    const { revoked } = server.deps.memory
    const principal = await verifyAccessToken(server.deps, own.access_token)
    const has = spyOn(revoked, 'has')
    // The check of the token finds nothing, and what comes next finds it revoked.
    for (const _ of revocableSubjects(principal)) has.mockImplementationOnce(() => false)
    has.mockImplementation(() => true)
    const stream = await get('/sse', headers(own.access_token))
    has.mockRestore()
    expect(stream.answer.status).toBe(200)
    await stream.rest()
  })

  test('when the token it was opened with expires', async () => {
    const brief = await startServer({ ACCESS_TOKEN_TTL: '60' })
    const id = await registerClient(brief)
    const short = await deviceTokens(brief, id, await signIn(brief))
    brief.clock.advance(58)
    const expiring = await get('/sse', headers(short.access_token), brief)
    expect(expiring.answer.status).toBe(200)
    await expiring.rest()
    await brief.close()
  })

  test('when the server stops, except for responses to calls in progress', async () => {
    const other = await startServer()
    const token = (await deviceTokens(other, await registerClient(other), await signIn(other))).access_token
    const begun = await other.postJson('/mcp', INITIALIZE, headers(token))
    await begun.text()
    const session = begun.headers.get('mcp-session-id')!
    const own = await get('/mcp', headers(token, session), other)
    const { held, release } = hold(other)
    const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } }
    const calling = other.postJson('/mcp', call, headers(token, session))
    await until(() => held() > 0)
    other.deps.stopping.abort()
    await own.rest()
    release()
    expect(await (await calling).text()).toContain('ada@example.com')
    await other.close()
  })

  test('when its reader stops reading: unread data does not pile up, and the connection is closed', async () => {
    const impatient = await startServer({}, undefined, 10)
    const token = (await deviceTokens(impatient, await registerClient(impatient), await signIn(impatient))).access_token
    const socket = connect(Number(new URL(impatient.base).port), '127.0.0.1')
    const { promise, resolve } = Promise.withResolvers<string>()
    let received = ''
    socket.on('data', chunk => {
      received += chunk
      const address = /data: (\/messages\S+)/.exec(received)?.[1]
      if (!address) return
      socket.pause()
      resolve(address)
    })
    const sent = Object.entries(headers(token)).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.write(`GET /sse HTTP/1.1\r\nHost: localhost\r\n${sent.join('')}\r\n`)
    const address = await promise
    const message = { jsonrpc: '2.0', method: 'tools/list' }
    const before = process.memoryUsage().rss
    let status = 202
    for (let megabytes = 0; status === 202 && megabytes < 60; megabytes++) {
      // A hundred answers of five kilobytes, twice
      for (const offset of [0, 100]) {
        const batch = Array.from({ length: 100 }, (_, i) => ({ ...message, id: megabytes * 200 + offset + i }))
        status = (await impatient.postJson(address, batch, headers(token))).status
      }
      await Bun.sleep(5)
    }
    expect(status).toBe(404) // its session ended with it
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024)
    while (impatient.pendingRequests() > 0) await Bun.sleep(100)
    socket.destroy()
    await impatient.close()
  })
})

describe('there are at most', () => {
  test('64 for one connection: then 429 with Retry-After', async () => {
    const token = await newToken()
    const session = await begin(token)
    const open = []
    for (let i = 0; i < 32; i++) {
      open.push(await get('/sse', headers(token)))
      open.push(await listen(token))
    }
    const refused = await get('/sse', headers(token))
    expect([refused.answer.status, refused.answer.headers.get('retry-after')]).toEqual([429, '5'])
    expect((await listen(token)).answer.status).toBe(429)
    // Calls go on: their answers need no stream.
    const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } }
    const called = await server.postJson('/mcp', call, headers(token, session))
    expect([called.status, called.headers.get('content-type')?.split(';')[0]]).toEqual([200, 'application/json'])
    expect(await called.json()).toMatchObject({ id: 1, result: { structuredContent: { user: {} } } })
    for (const stream of open) stream.close()
  })

  test('256 for one person, however many apps they connect', async () => {
    const { guard } = openStreams(server.deps)
    const principal: Principal = {
      userId: 'bob',
      clientId: 'c',
      grantId: '',
      tokenId: 't',
      keyId: 'k',
      scope: ['mcp'],
      audience: '',
      issuedAt: 0,
      expiresAt: Date.now() / 1000 + 3600,
    }
    const open = (userId: string, grantId: string, method = 'GET') => {
      const request = new Request(server.base, { method })
      return guard({ ...principal, userId, grantId }, request, openEventStream(() => {}).response)
    }
    const streams = Array.from({ length: 256 }, (_, i) => open('bob', `grant ${i % 8}`))
    expect(new Set(streams.map(({ status }) => status))).toEqual(new Set([200]))
    expect(open('bob', 'grant 9').status).toBe(429)
    // The answer to a call is let through all the same: the call was made.
    streams.push(open('bob', 'grant 9', 'POST'))
    expect(streams.at(-1)!.status).toBe(200)
    streams.push(open('eve', 'grant 9'))
    expect(streams.at(-1)!.status).toBe(200)
    for (const stream of streams.splice(0, 2)) await stream.body!.cancel()
    streams.push(open('bob', 'grant 9'))
    expect(streams.at(-1)!.status).toBe(200)
    for (const stream of streams) await stream.body!.cancel()
  })
})
