/** What a client gets that lost its connection (2025-11-25, "Resumability and Redelivery"), and one that cancels. */

import { afterAll, beforeAll, describe, expect, jest, test } from 'bun:test'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { ToolListChangedNotificationSchema } from '@modelcontextprotocol/sdk/types.js'
import type { Message } from '../../../src/gateway/messages.ts'
import type { StopSignal } from '../../../src/lib/stop.ts'
import type { Caller } from '../../../src/mcp/caller.ts'
import type { Call, Catalogue } from '../../../src/mcp/catalogue.ts'
import { openConversation, receive } from '../../../src/mcp/conversation.ts'
import type { Prepared } from '../../../src/mcp/core.ts'
import { eventsAfter, idOf, openEventLogs } from '../../../src/mcp/transport/event-log.ts'
import { closeTransport, openHttpTransport, sendMessage } from '../../../src/mcp/transport/http.ts'
import { addClient } from '../../../src/oauth/clients/index.ts'
import { DEVICE_CODE_GRANT } from '../../../src/oauth/grants/types.ts'
import { deviceTokens, registerClient, signIn, type TokenAnswer } from '../../support/flows.ts'
import { hold, slowDown, startServer, type TestServer } from '../../support/server.ts'
import { openStream } from '../../support/streams.ts'
import { startProxy, type TcpProxy } from '../../support/tcp-proxy.ts'
import { until } from '../../support/until.ts'

let server: TestServer
let proxy: TcpProxy
let client: string
let ada: string
let token: string

beforeAll(async () => {
  server = await startServer()
  proxy = await startProxy(Number(new URL(server.base).port))
  client = await registerClient(server)
  ada = await signIn(server)
  token = (await deviceTokens(server, client, ada)).access_token
})
afterAll(async () => {
  await proxy.close()
  await server.close()
})

const WHOAMI = { name: 'whoami', arguments: {} }
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 0,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
}
const call = (id: unknown) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: WHOAMI })
const cancel = (requestId: unknown) => ({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } })

const headers = (session?: string, more: Record<string, string> = {}) => ({
  Authorization: `Bearer ${token}`,
  Accept: 'application/json, text/event-stream',
  ...(session ? { 'Mcp-Session-Id': session, 'MCP-Protocol-Version': '2025-11-25' } : {}),
  ...more,
})
async function begin(): Promise<string> {
  const answer = await server.postJson('/mcp', INITIALIZE, headers())
  await answer.text()
  return answer.headers.get('mcp-session-id')!
}
const post = (session: string, message: unknown, more: Record<string, string> = {}) =>
  server.postJson('/mcp', message, headers(session, more))

/** A request whose connection can be cut by the client. */
function open(session: string, message?: unknown, more: Record<string, string> = {}) {
  const stop = new AbortController()
  const init = message
    ? {
        method: 'POST',
        body: JSON.stringify(message),
        headers: { ...headers(session, more), 'Content-Type': 'application/json' },
      }
    : { headers: headers(session, more) }
  return openStream(
    fetch(`${server.base.replace('localhost', '127.0.0.1')}/mcp`, { ...init, signal: stop.signal }),
    stop,
  )
}
const lastIdIn = (text: string) => [...text.matchAll(/^id: (.*)$/gm)].at(-1)![1]!

/** A client of the SDK, version 1, behind a network that can be cut; what it sent so far, as `METHOD last-event-id status`. */
async function connectV1(through: { port: number } | undefined = undefined, bearer = () => token) {
  const sent: string[] = []
  const url = new URL(`${server.base}/mcp`)
  if (through) url.port = String(through.port)
  const transport = new TransportV1(url, {
    async fetch(to, init) {
      const given = new Headers(init?.headers)
      given.set('Authorization', `Bearer ${bearer()}`)
      const answer = await fetch(to, { ...init, headers: given })
      sent.push(`${init?.method ?? 'GET'} ${given.get('last-event-id')} ${answer.status}`)
      return answer
    },
  })
  const sdk = new ClientV1({ name: 'test', version: '1' })
  await sdk.connect(transport)
  while (!sent.some(request => request.startsWith('GET'))) await Bun.sleep(5) // it opens its stream behind our back
  return { sdk, sent, close: () => sdk.close() }
}

test('a quick response is JSON, as there is nothing to resume; a large one is sent whole, with the events of a stream', async () => {
  const session = await begin()
  const quick = await post(session, { jsonrpc: '2.0', id: 7, method: 'ping' })
  expect(quick.headers.get('content-type')).toBe('application/json;charset=utf-8')
  expect(quick.headers.get('mcp-session-id')).toBe(session)
  expect(await quick.text()).toBe('{"jsonrpc":"2.0","id":7,"result":{}}')
  const ids = Array.from({ length: 50 }, (_, n) => `${n}`.padStart(200, '-'))
  const large = await post(
    session,
    ids.map(id => ({ jsonrpc: '2.0', id, method: 'ping' })),
  )
  const text = await large.text()
  expect(large.headers.get('content-type')).toBe('text/event-stream')
  expect(large.headers.get('content-length')).toBe(`${text.length}`)
  expect(text.replace(/-[0-9a-f]{12}\n/g, '-LOG\n')).toBe(
    ids
      .map((id, n) => `event: message\nid: 3-${n + 2}-LOG\ndata: {"jsonrpc":"2.0","id":"${id}","result":{}}\n\n`)
      .reduce((all, one) => all + one, 'id: 3-1-LOG\nretry: 2000\ndata: \n\n'),
  )
})

describe('a response that arrives while the client is disconnected', () => {
  test('is delivered once when it resumes, and other streams continue', async () => {
    const session = await begin()
    const standalone = await open(session)
    const restore = slowDown(server, () => 300)
    const asking = await open(session, call(1))
    const beginning = await asking.readUntil('data: \n')
    expect(beginning).toContain('\nretry: 2000\n')
    const primed = lastIdIn(beginning)
    asking.close()
    await Bun.sleep(600) // nothing tells a client that has left when its answer is there
    restore()
    const resumed = await open(session, undefined, { 'Last-Event-ID': primed })
    const text = await resumed.rest()
    expect(text.match(/"email\\":/g)).toHaveLength(1)
    const again = await open(session, undefined, { 'Last-Event-ID': lastIdIn(text) })
    expect([again.answer.status, again.answer.headers.get('allow')]).toEqual([405, 'POST, DELETE'])
    standalone.close()
    expect(await standalone.rest().catch(error => error.name)).toBe('AbortError') // it had not ended by itself
  })

  test('is sent on the new connection if it comes later, and the old one ends', async () => {
    const session = await begin()
    const { release } = hold(server)
    const asking = await open(session, call('x'))
    const primed = lastIdIn(await asking.readUntil('data: \n'))
    const resumed = await open(session, undefined, { 'Last-Event-ID': primed })
    expect(await asking.rest()).not.toContain('"result"')
    release()
    expect(await resumed.rest()).toContain('"id":"x"')
  })

  test('reaches a client of the SDK whose network was cut', async () => {
    const { sdk, sent, close } = await connectV1(proxy)
    const { release } = hold(server)
    const primed = Promise.withResolvers<unknown>()
    const called = sdk.callTool(WHOAMI, undefined, { onresumptiontoken: primed.resolve })
    await primed.promise
    proxy.cut()
    release()
    expect((await called).structuredContent).toMatchObject({ user: { email: 'ada@example.com' } })
    expect(sent.filter(request => /^GET [1-9]\d*-\d+-\S+ 200$/.test(request))).toHaveLength(1)
    expect((await sdk.callTool(WHOAMI)).structuredContent).toMatchObject({ user: { email: 'ada@example.com' } })
    await close()
  })

  test('reaches clients of both versions of the SDK whose network was cut twice', async () => {
    const proxies = await Promise.all([1, 2].map(() => startProxy(Number(new URL(server.base).port))))
    const v1 = await connectV1(proxies[0])
    const v2 = new Client({ name: 'test', version: '2' })
    const url = new URL(`${server.base}/mcp`)
    url.port = String(proxies[1]!.port)
    const requestInit = { headers: { Authorization: `Bearer ${token}` } }
    await v2.connect(new StreamableHTTPClientTransport(url, { requestInit }))
    const restore = slowDown(server, () => 6_000)
    const primed = [1, 2].map(() => Promise.withResolvers<unknown>())
    const calls = [
      v1.sdk.callTool(WHOAMI, undefined, { onresumptiontoken: primed[0]!.resolve }),
      v2.callTool(WHOAMI, { onresumptiontoken: primed[1]!.resolve }),
    ]
    await Promise.all(primed.map(({ promise }) => promise))
    for (const proxy of proxies) proxy.cut()
    await Bun.sleep(3_000) // they come back after two, and there is nothing to tell yet
    for (const proxy of proxies) proxy.cut()
    for (const { structuredContent } of await Promise.all(calls))
      expect(structuredContent).toMatchObject({ user: { email: 'ada@example.com' } })
    restore()
    await v1.close()
    await v2.close()
    for (const proxy of proxies) await proxy.close()
  })

  test('that is an error does not make the SDK’s client reconnect over and over', async () => {
    const { sdk, sent, close } = await connectV1()
    const before = sent.length
    const { audit } = server.deps
    // A call waits while too many events are to be written.
    server.deps.audit = Object.create(audit, { waiting: { value: 10_000 }, flush: { value: () => Bun.sleep(100) } })
    await expect(sdk.callTool({ name: 'no_such_tool', arguments: {} })).rejects.toThrow('-32602')
    server.deps.audit = audit
    await Bun.sleep(5_000) // it is told to come back after two seconds
    expect(sent.slice(before).map(request => request.replace(/ \d+-\d+-\S+ /, ' '))).toEqual([
      'POST null 200',
      'GET 405',
    ])
    await close()
  })

  test.each(['1-999-LOG', '0-999-LOG', '77-1-LOG', '1-1', 'x', '-1', '0', '__proto__-1'])(
    'after the event %s is lost if that was never sent',
    async id => {
      const session = await begin()
      const first = await open(session)
      const [, log] = /^id: 0-\d+-(.*)$/m.exec(await first.readUntil('data: \n'))!
      first.close()
      const resumed = await open(session, undefined, { 'Last-Event-ID': id.replace('LOG', log!) })
      expect([resumed.answer.status, (await resumed.rest()).includes('-32000')]).toEqual([400, true])
    },
  )

  test('on another session’s stream stays there', async () => {
    const mine = await begin()
    const other = await begin()
    const { release } = hold(server)
    const asking = await open(mine, call(1))
    const primed = lastIdIn(await asking.readUntil('data: \n'))
    release()
    expect(await asking.rest()).toContain('ada@example.com')
    const resumed = await open(other, undefined, { 'Last-Event-ID': primed })
    expect([resumed.answer.status, (await resumed.rest()).includes('ada@example.com')]).toEqual([405, false])
  })
})

describe('tools/list_changed', () => {
  /** An administrator's app, and its token with all or some of its scope. */
  async function adminApp() {
    const { id } = await addClient(server.deps, {
      name: 'Admin app',
      grantTypes: [DEVICE_CODE_GRANT, 'refresh_token'],
      redirectUris: [],
      scope: ['mcp', 'admin'],
    })
    const root = await signIn(server, 'root@example.com', { admin: true })
    let tokens = await deviceTokens(server, id, root, { scope: 'mcp admin' })
    return {
      token: () => tokens.access_token,
      async refresh(scope: string) {
        const form = { grant_type: 'refresh_token', client_id: id, refresh_token: tokens.refresh_token, scope }
        tokens = (await (await server.post('/api/oauth/token', form)).json()) as TokenAnswer
      },
    }
  }
  const SEARCH = 'search_audit_log'

  test('tells the SDK’s client that a refreshed token shows other tools, even if it was disconnected meanwhile', async () => {
    const app = await adminApp()
    const { sdk, sent, close } = await connectV1(proxy, app.token)
    const changes: string[] = []
    sdk.setNotificationHandler(ToolListChangedNotificationSchema, ({ method }) => void changes.push(method))
    const tools = async () => (await sdk.listTools()).tools.map(tool => tool.name)
    expect(await tools()).toContain(SEARCH)

    await app.refresh('mcp')
    expect(await tools()).not.toContain(SEARCH)
    while (changes.length < 1) await Bun.sleep(10)
    expect(await tools()).not.toContain(SEARCH)

    proxy.cut()
    await app.refresh('mcp admin')
    expect(await tools()).toContain(SEARCH)
    while (changes.length < 2) await Bun.sleep(10)
    expect(sent.some(request => /^GET 0-\d+-\S+ 200$/.test(request))).toBe(true)
    await Bun.sleep(200) // no third one comes
    expect(changes).toHaveLength(2)
    await close()
  })
})

describe('cancellation (2025-11-25, "Cancellation")', () => {
  test('ends the response’s stream for good', async () => {
    const session = await begin()
    const { release } = hold(server)
    for (let i = 0; i < 70; i++) {
      const asking = await open(session, call(i)) // 70 that stayed open would be more than one connection may have
      expect(asking.answer.status).toBe(200)
      expect((await post(session, cancel(i))).status).toBe(202)
      const text = await asking.rest()
      expect(text).not.toContain('"result"')
      if (i % 10 === 0)
        expect((await open(session, undefined, { 'Last-Event-ID': lastIdIn(text) })).answer.status).toBe(405)
    }
    release()
    expect(await (await post(session, call('after'))).text()).toContain('"id":"after"')
  })

  test('by the SDK’s client rejects its call, and the connection stays usable', async () => {
    const { sdk, close } = await connectV1()
    const { held, release } = hold(server)
    const stop = new AbortController()
    const called = sdk.callTool(WHOAMI, undefined, { signal: stop.signal })
    void until(() => held() > 0).then(() => stop.abort('changed my mind'))
    await expect(called).rejects.toThrow('changed my mind')
    release()
    expect((await sdk.callTool(WHOAMI)).structuredContent).toMatchObject({ user: { email: 'ada@example.com' } })
    await close()
  })

  test('of a request that comes later in the same batch is ignored', async () => {
    const session = await begin()
    const answer = await post(session, [cancel(1), call(1)])
    expect(await answer.text()).toContain('"result"')
  })

  test.each(['application/json, text/event-stream', 'application/json'])(
    'of a request earlier in the same batch leaves an answer that was there already, and no other one; accepting %s',
    async Accept => {
      const session = await begin()
      const ids = async (...batch: object[]) => {
        const answer = await post(session, batch, { Accept })
        return [answer.status, [...(await answer.text()).matchAll(/"id":"(\w+)"/g)].map(([, id]) => id).toSorted()]
      }
      const ping = (id: string) => ({ jsonrpc: '2.0', id, method: 'ping' })
      expect(await ids(ping('a'), cancel('a'), ping('b'))).toEqual([200, ['a', 'b']])
      const { release } = hold(server)
      expect(await ids(call('a'), cancel('a'), ping('b'))).toEqual([200, ['b']])
      expect(await ids(call('a'), cancel('a'))).toEqual([Accept.includes('stream') ? 200 : 202, []])
      release()
    },
  )

  test('works although an earlier request, cancelled and slow to end, had an id that was used again', async () => {
    const sent: unknown[] = []
    const conversation = openConversation(server.deps, {} as Catalogue, {
      endpoint: undefined,
      send: message => void sent.push(message),
    })
    const say = (item: Prepared) => receive(conversation, item, {} as Caller, false)
    const run = (id: number) => {
      const { promise, resolve } = Promise.withResolvers<Record<string, unknown>>()
      let signal: StopSignal | undefined
      const answer = (asked: Call) => {
        signal = asked.signal
        return promise
      }
      const target = { scopes: [], isRemote: false, answer }
      say({ message: { jsonrpc: '2.0', id, method: 'tools/call' }, target })
      return { signal: signal!, end: () => Promise.resolve(resolve({})).then(() => promise) }
    }
    const stop = (requestId: number) =>
      say({ message: { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } } })
    const slow = run(1)
    stop(1)
    await run(1).end()
    const last = run(2)
    await slow.end()
    stop(2)
    await last.end()
    expect([slow.signal.aborted, last.signal.aborted]).toEqual([true, true])
    expect(sent).toEqual([{ jsonrpc: '2.0', id: 1, result: {} }])
  })

  test('reaches the client for a question that it has not answered for ten minutes; it can be asked 64 at once', async () => {
    jest.useFakeTimers()
    const sent: Message[] = []
    const conversation = openConversation(server.deps, {} as Catalogue, {
      endpoint: undefined,
      send: message => void sent.push(message),
    })
    const answer = ({ ask }: Call) =>
      Promise.allSettled(Array.from({ length: 65 }, () => ask!('roots/list', {}, new AbortController().signal))).then(
        answers => ({ reasons: answers.map(one => one.status === 'rejected' && one.reason.message) }),
      )
    const target = { scopes: [], isRemote: true, answer }
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/call' } as const
    receive(conversation, { message, target }, {} as Caller, true)
    const asked = sent.map(question => ('id' in question ? question.id : undefined))
    jest.advanceTimersByTime(600_000)
    jest.useRealTimers()
    await until(() => sent.length === 2 * 64 + 1)
    expect(sent.slice(64, 128)).toEqual(
      asked.map(requestId => ({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } }) as Message),
    )
    const reasons = [...asked.map(() => 'The client did not answer'), 'The client has too many questions to answer']
    expect(sent[128]).toEqual({ jsonrpc: '2.0', id: 1, result: { reasons } })
    expect(conversation.questions).toBeUndefined()
  })

  test('of an unknown or answered request is ignored', async () => {
    const session = await begin()
    await (await post(session, call(1))).text()
    for (const id of [1, 2, null, {}, undefined]) expect((await post(session, cancel(id))).status).toBeLessThan(500)
    expect((await post(session, call(2))).status).toBe(200)
  })
})

describe('in a session', () => {
  test.each(['*/*', 'application/json'])('a client that accepts %s is answered in JSON', async accept => {
    const session = await begin()
    const answer = await post(session, call(1), { Accept: accept })
    expect([answer.status, answer.headers.get('content-type')?.split(';')[0]]).toEqual([200, 'application/json'])
    expect(await answer.json()).toMatchObject({ id: 1, result: { structuredContent: { user: {} } } })
  })

  test('that ends, a call in progress gets an error, however it was to be answered', async () => {
    const session = await begin()
    const { held, release } = hold(server, 2) // ending a session takes a statement, too
    const calls = [post(session, call(1)), post(session, call(2), { Accept: 'application/json' })]
    await until(() => held() === 2)
    const url = `${server.base.replace('localhost', '127.0.0.1')}/mcp`
    expect((await fetch(url, { method: 'DELETE', headers: headers(session) })).status).toBe(200)
    for (const [i, answer] of (await Promise.all(calls)).entries())
      expect(await answer.text()).toContain(`"id":${i + 1},"error":{"code":-32000,"message":"The session has ended"}`)
    release()
  })

  test('a request whose id is in use is refused, and the first one is answered', async () => {
    const session = await begin()
    const { held, release } = hold(server)
    const first = post(session, call(1))
    await until(() => held() > 0)
    const second = await post(session, call(1))
    expect([second.status, await second.json()]).toMatchObject([400, { error: { code: -32600 } }])
    release()
    expect(await (await first).text()).toContain('"result"')
    const twice = await post(session, [call(2), call(2)])
    expect(twice.status).toBe(400)
  })

  test.each([
    ['a second initialize', INITIALIZE, {}, 400, -32600],
    ['initialize in a batch', [INITIALIZE, call(1)], {}, 400, -32600],
    ['an empty batch', [], {}, 400, -32600],
    ['what is no message', { hello: 'world' }, {}, 400, -32600],
    ['a version that is not served', call(1), { 'MCP-Protocol-Version': '1999-01-01' }, 400, -32000],
    ['a client that takes neither type', call(1), { Accept: 'text/html' }, 406, -32000],
  ])('%s is refused', async (_, message, more: Record<string, string>, status, code) => {
    const answer = await post(await begin(), message, more)
    expect([answer.status, await answer.json()]).toMatchObject([status, { error: { code } }])
  })
})

describe('the log of events', () => {
  test('is emptied when its session ends', async () => {
    const logs = openEventLogs()
    const log = logs.open('ada')
    const prepared = { events: new Headers(), json: new Headers() }
    const transport = openHttpTransport({ prepared, logs, session: { id: 'x', log }, primed: true, deliver() {} })
    sendMessage(transport, { jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
    expect(eventsAfter(log, { stream: 0, number: 0 })).toHaveLength(1)
    closeTransport(transport)
    expect(eventsAfter(log, { stream: 0, number: 0 })).toBeUndefined()
  })

  test('holds the last 256 of a session, or the last MiB', () => {
    const logs = openEventLogs()
    const log = logs.open('ada')
    for (let i = 0; i < 300; i++) logs.append(log, 1, 'x')
    expect(eventsAfter(log, { stream: 1, number: 0 })!.map(event => idOf(log, event))).toEqual(
      Array.from({ length: 256 }, (_, i) => `1-${i + 45}-${log.name}`),
    )
    for (let i = 0; i < 5; i++) logs.append(log, 2, 'x'.repeat(400_000))
    expect(eventsAfter(log, { stream: 1, number: 0 })).toBeUndefined()
    expect(eventsAfter(log, { stream: 2, number: 0 })!.map(({ number }) => number)).toEqual([304, 305])
  })

  test('does not keep an event that is larger than that', () => {
    const logs = openEventLogs()
    const log = logs.open('ada')
    expect(idOf(log, logs.append(log, 1, 'x'.repeat(1024 * 1024)))).toBe(`1-1-${log.name}`)
    expect(eventsAfter(log, { stream: 1, number: 0 })).toBeUndefined()
  })

  test('takes room from the session that holds most', () => {
    const logs = openEventLogs()
    const ada = logs.open('ada')
    logs.append(ada, 0, 'x')
    const megabyte = 'x'.repeat(1024 * 1024 - 150)
    const eves = Array.from({ length: 140 }, () => logs.open('eve'))
    for (const log of eves) logs.append(log, 0, megabyte)
    expect(eventsAfter(ada, { stream: 0, number: 0 })).toHaveLength(1)
    expect(eves.filter(log => eventsAfter(log, { stream: 0, number: 0 }))).toHaveLength(127)
  })

  test('holds 128 MiB over all sessions: the least recently active loses its events', () => {
    const logs = openEventLogs()
    const all = Array.from({ length: 130 }, () => logs.open('ada'))
    const megabyte = 'x'.repeat(1024 * 1024 - 150) // and what an event takes besides
    for (const log of all.slice(0, 128)) logs.append(log, 0, megabyte)
    expect(eventsAfter(all[0]!, { stream: 0, number: 0 })).toHaveLength(1)
    logs.append(all[0]!, 0, megabyte)
    logs.append(all[128]!, 0, megabyte)
    expect(all.map(log => eventsAfter(log, { stream: 0, number: 0 })?.length)).toEqual([
      1,
      undefined,
      ...Array(127).fill(1),
      undefined,
    ])
    for (const log of all) logs.clear(log)
    logs.append(all[129]!, 0, megabyte)
    expect(eventsAfter(all[129]!, { stream: 0, number: 0 })).toHaveLength(1)
  })
})
