/** Results, errors, progress and cancellation between clients and servers of both eras, played by the test. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { RpcError, type RpcNotification } from '../../src/gateway/messages.ts'
import { SERVER_INFO } from '../../src/gateway/protocol.ts'
import { callerOf, exchangeOf, startGateway, type TestGateway } from '../support/gateway.ts'
import { type Script, type Scripted, startScripted } from '../support/scripted.ts'
import { until } from '../support/until.ts'

let front: TestGateway
beforeAll(async () => {
  front = await startGateway({})
})
afterAll(() => front[Symbol.asyncDispose]())

type Json = Record<string, unknown>
type Era = '2025' | '2026'
const WIRES = ['stdio', 'http'] as const
const ERAS = ['2025', '2026'] as const
const PAIRS = WIRES.flatMap(wire => ERAS.flatMap(server => ERAS.map(client => [client, server, wire] as const)))
const done: Json = { content: [{ type: 'text', text: 'done' }] }
const serverInfo = { name: 'scripted', version: '1' }

async function open(script: Script, more: Json = {}): Promise<Scripted> {
  const upstream = startScripted({ tools: [{ name: 'work' }], ...script })
  await front.configure({ scripted: { ...upstream.entry, ...more } })
  return upstream
}

const send = (era: Era, method: string, params: Json = {}, more: Parameters<typeof exchangeOf>[3] = {}) =>
  front.gateway.request('scripted', exchangeOf(era, method, params, more))

async function errorOf(work: Promise<unknown>) {
  const error = await work.then(
    result => new Error(`it did not fail: ${JSON.stringify(result)}`),
    (reason: unknown) => reason,
  )
  if (!(error instanceof RpcError)) throw error
  return { code: error.rpcCode, message: error.message, data: error.data, status: error.httpStatus }
}

describe('how long an answer may be cached', () => {
  const offered = { listChanged: true }
  const answer: Script['answer'] = ({ method }) => ({
    ...(method === 'resources/list' ? { resources: [] } : { contents: [] }),
    resultType: 'complete',
    ttlMs: 5_000,
    cacheScope: 'public',
  })

  test('is for a 2026 client what a 2026 server says, and public only where all get the same', async () => {
    const hints = async (more: Json) => {
      using _ = await open({ era: '2026', capabilities: { tools: {}, resources: offered }, answer }, more)
      return [await send('2026', 'resources/read', { uri: 'a:b' }), await send('2026', 'resources/list')]
    }
    const [said, listed] = [{ contents: [] }, { resources: [] }].map(own => ({
      ...own,
      resultType: 'complete',
      ttlMs: 5_000,
    }))
    const all = { cacheScope: 'public' }
    const one = { cacheScope: 'private' }
    expect(await hints({})).toEqual([
      { ...said, ...all },
      { ...listed, ...all },
    ])
    for (const more of [{ users: ['ada@example.com'] }, { headers: { 'X-User': '${user.email}' } }])
      expect(await hints(more)).toEqual([
        { ...said, ...one },
        { ...listed, ...one },
      ])
  })

  test('is made up for a 2025 server: a minute for lists whose changes it announces, otherwise nothing', async () => {
    const capabilities = { tools: offered, resources: {} }
    using _ = await open({
      capabilities,
      answer: ({ method }) => (method === 'resources/list' ? { resources: [] } : { contents: [] }),
    })
    const ofUs = { resultType: 'complete', cacheScope: 'private', _meta: { [SERVER_INFO]: serverInfo } }
    await send('2026', 'resources/read', { uri: 'a:b' })
    expect(await send('2026', 'tools/list')).toMatchObject({ ...ofUs, ttlMs: 60_000, tools: [{ name: 'work' }] })
    expect(await send('2026', 'resources/list')).toEqual({ ...ofUs, ttlMs: 0, resources: [] })
    expect(await send('2026', 'resources/read', { uri: 'a:b' })).toEqual({ ...ofUs, ttlMs: 0, contents: [] })
  })

  test('is not said to a 2025 client, which would not understand it', async () => {
    using _ = await open({ era: '2026', capabilities: { tools: {}, resources: offered }, answer })
    expect(await send('2025', 'resources/read', { uri: 'a:b' })).toEqual({ contents: [] })
    expect(await send('2025', 'resources/list')).toEqual({ resources: [] })
  })
})

describe.each(WIRES)('an error over %s', wire => {
  test('for a resource that does not exist has the code of the client’s era', async () => {
    const error = (code: number) => ({ error: { code, message: 'Nothing there' } })
    const read = (era: Era) => errorOf(send(era, 'resources/read', { uri: 'a:b' }))
    const about = { message: 'Nothing there', status: 200 }
    using _ = await open({ wire, capabilities: { resources: {} }, answer: () => error(-32002) })
    expect(await read('2026')).toEqual({ ...about, code: -32602, data: { uri: 'a:b' } })
    expect(await read('2025')).toEqual({ ...about, code: -32002, data: undefined })
    using __ = await open({ era: '2026', wire, capabilities: { resources: {} }, answer: () => error(-32602) })
    for (const era of ERAS) expect(await read(era)).toEqual({ ...about, code: -32602, data: undefined })
  })

  test('that a capability is missing is a result for a 2025 client, which cannot add one', async () => {
    const data = { requiredCapabilities: { sampling: {} } }
    using upstream = await open({
      era: '2026',
      wire,
      answer: () => ({ error: { code: -32021, message: 'No sampling', data } }),
    })
    const capabilities = { elicitation: {} }
    expect(await send('2025', 'tools/call', { name: 'work' }, { capabilities })).toEqual({
      content: [{ type: 'text', text: 'This tool needs a client that supports sampling.' }],
      isError: true,
    })
    expect(await errorOf(send('2026', 'tools/call', { name: 'work' }, { capabilities }))).toEqual({
      ...{ code: -32021, message: 'No sampling', data, status: 400 },
    })
    for (const { params } of upstream.of('tools/call'))
      expect((params!._meta as Json)['io.modelcontextprotocol/clientCapabilities']).toEqual(capabilities)
  })
})

describe.each(PAIRS)('between a %s client and a %s server over %s', (client, server, wire) => {
  test('progress has the client’s token, and is dropped without one; trace context goes along', async () => {
    using upstream = await open({
      era: server,
      wire,
      answer({ params }, line) {
        const { progressToken } = params!._meta as Json
        for (const progress of [1, 2])
          line.tell({ method: 'notifications/progress', params: { progressToken, progress } })
        line.tell({ method: 'notifications/progress', params: { progressToken: 'mine', progress: 3 } })
        return { ...done }
      },
    })
    const trace = {
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      baggage: 'a=1',
      tracestate: 'b=2',
    }
    const told: RpcNotification[] = []
    const notify = (notification: RpcNotification) => void told.push(notification)
    await send(client, 'tools/call', { name: 'work' }, { notify })
    expect(told).toEqual([])
    await send(client, 'tools/call', { name: 'work', _meta: { ...trace, progressToken: 'mine' } }, { notify })
    expect(told.map(({ params }) => params)).toEqual([1, 2].map(progress => ({ progressToken: 'mine', progress })))
    expect(upstream.of('tools/call')[1]?.params?._meta).toMatchObject(trace)
    if (wire === 'http')
      for (const [name, value] of Object.entries(trace)) expect(upstream.headers()?.get(name)).toBe(value)
  })

  test('a call that its client leaves is cancelled at the server; another of the same client goes on', async () => {
    const answers: (() => void)[] = []
    using upstream = await open({
      era: server,
      wire,
      answer: () => new Promise<Json>(resolve => answers.push(() => resolve({ ...done }))),
    })
    const leaving = new AbortController()
    const call = (signal: AbortSignal) => send(client, 'tools/call', { name: 'work' }, { signal })
    const left = errorOf(call(leaving.signal))
    await until(() => answers.length === 1)
    const stays = call(new AbortController().signal)
    await until(() => answers.length === 2)
    leaving.abort()
    expect((await left).data).toMatchObject({ reason: 'cancelled' })
    const [first] = upstream.of('tools/call')
    if (server === '2026' && wire === 'http') {
      await until(() => upstream.abandoned() === 1)
      expect(upstream.of('notifications/cancelled')).toEqual([])
    } else {
      await until(() => upstream.of('notifications/cancelled').length === 1)
      expect(upstream.of('notifications/cancelled')[0]?.params).toEqual({
        requestId: first!.id,
        reason: 'the client cancelled the request',
      })
    }
    answers[1]!()
    expect(await stays).toMatchObject(done)
    expect(front.records.map(({ outcome }) => outcome).slice(-2)).toEqual(['cancelled', 'ok'])
  })
})

test.each(WIRES)('a 2025 server over %s that asks for roots while no call runs is refused', async wire => {
  using upstream = await open({ wire, answer: () => ({ ...done }) }, { roots: true })
  await send('2025', 'tools/call', { name: 'work' }, { caller: callerOf(), capabilities: { roots: {} } })
  // The stream of a session opens after the handshake.
  await until(() => {
    upstream.broadcast({ id: 'unasked', method: 'roots/list' })
    return upstream.received.some(({ id }) => id === 'unasked')
  })
  expect(upstream.received.find(({ id }) => id === 'unasked')).toEqual({
    jsonrpc: '2.0',
    id: 'unasked',
    error: { code: -32603, message: 'This request cannot be assigned to a call' },
  })
})
