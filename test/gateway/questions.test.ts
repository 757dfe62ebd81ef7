/** Requests from servers to the clients behind a call, across eras or without a reference to the call. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { RpcNotification } from '../../src/gateway/messages.ts'
import { RpcError } from '../../src/gateway/messages.ts'
import { callerOf, exchangeOf, startGateway, type TestGateway } from '../support/gateway.ts'
import { type Script, startScripted } from '../support/scripted.ts'
import { until } from '../support/until.ts'

let front: TestGateway
beforeAll(async () => {
  front = await startGateway({})
})
afterAll(() => front[Symbol.asyncDispose]())

const WIRES = ['stdio', 'http'] as const
const FORM = { message: 'Who?', requestedSchema: { type: 'object', properties: {} } }
const ELICITATION = { elicitation: { form: {}, url: {} } }
const textOf = (result: Record<string, unknown>) => (result.content as { text: string }[])[0]!.text
const said = (words: unknown) => ({ content: [{ type: 'text', text: JSON.stringify(words) }] })

/** Asks the client for a name, and returns the answer. */
const asking: Script = {
  tools: [{ name: 'who' }, { name: 'log' }, { name: 'plain' }],
  capabilities: { tools: {}, logging: {} },
  async answer({ method, params }, line) {
    if (method === 'logging/setLevel') return {}
    if (params?.name === 'log') line.tell({ method: 'notifications/message', params: { level: 'info', data: 'hi' } })
    if (params?.name !== 'who') return said('done')
    const { result, error } = await line.ask('elicitation/create', FORM)
    return said(result ?? error)
  },
}

function caller() {
  const send = (params: object, more: Parameters<typeof exchangeOf>[3] = {}, era: '2026' | '2025' = '2026') =>
    front.gateway.request('scripted', exchangeOf(era, 'tools/call', { arguments: {}, ...params }, more))
  return {
    send,
    ask: (more: object = {}) => send({ name: 'who' }, { capabilities: ELICITATION, ...more }),
    retry: (requestState: unknown, inputResponses: unknown, more: object = {}) =>
      send({ name: 'who', requestState, inputResponses }, { capabilities: ELICITATION, ...more }),
  }
}

async function errorOf(work: Promise<unknown>): Promise<RpcError> {
  const error = await work.then(
    result => result,
    (reason: unknown) => reason,
  )
  if (!(error instanceof RpcError)) throw new Error(`it did not fail: ${JSON.stringify(error)}`)
  return error
}

test.each(WIRES)(
  'questions to 2026 clients, of which 16 may be open, end with their calls: over %s more can follow',
  async wire => {
    using upstream = startScripted({ ...asking, wire })
    await front.configure({ scripted: upstream.entry })
    const ask = () => caller().ask({ caller: callerOf(`grace over ${wire}`) })
    for (let n = 0; n < 16; n++) expect((await ask()).resultType).toBe('input_required')
    // A server may have 64 questions open on one connection.
    for (let n = 1; n <= 50; n++) {
      expect((await errorOf(ask())).data).toMatchObject({ reason: 'busy' })
      await until(() => upstream.received.filter(({ error }) => error !== undefined).length === n)
    }
    expect(upstream.received.findLast(({ error }) => error !== undefined)).toMatchObject({
      error: { code: -32601, message: 'The client did not answer' },
    })
  },
)

test.each(WIRES)('a 2026 server over %s may ask a 2025 client in eight rounds, not in nine', async wire => {
  let rounds = 8
  using upstream = startScripted({
    era: '2026',
    wire,
    tools: [{ name: 'who' }],
    answer({ params }) {
      const round = params?.requestState === undefined ? 0 : Number(params.requestState)
      if (round === rounds) return { resultType: 'complete', ...said(params?.inputResponses) }
      const inputRequests = { [`of round ${round}`]: { method: 'elicitation/create', params: FORM } }
      return { resultType: 'input_required', inputRequests, requestState: `${round + 1}` }
    },
  })
  await front.configure({ scripted: upstream.entry })
  const { send } = caller()
  let asked = 0
  const ask = async () => ({ action: 'accept', content: { number: ++asked } })
  const call = () => send({ name: 'who' }, { capabilities: ELICITATION, ask }, '2025')
  expect(textOf(await call())).toBe('{"of round 7":{"action":"accept","content":{"number":8}}}')
  expect(upstream.of('tools/call').map(({ params }) => params?.requestState)).toEqual([
    ...[undefined, '1', '2', '3', '4', '5', '6', '7', '8'],
  ])
  rounds = 9
  const error = await errorOf(call())
  expect([error.rpcCode, error.message]).toEqual([-32603, 'The server asked more than 8 times'])
  expect([asked, upstream.of('tools/call').length]).toEqual([16, 18])
  expect(front.records.map(({ outcome }) => outcome).slice(-2)).toEqual(['ok', 'protocol_error'])
})

describe.each(WIRES)('a 2025 server over %s and a 2026 client', wire => {
  test('whose question stays unanswered can still ask in other calls, and each answer reaches its call', async () => {
    using upstream = startScripted({ ...asking, wire })
    await front.configure({ scripted: upstream.entry })
    const { ask, retry, send } = caller()
    const [first, second] = [await ask(), await ask()]
    expect(first).toEqual({
      resultType: 'input_required',
      inputRequests: { 'input-1': { method: 'elicitation/create', params: FORM } },
      requestState: expect.any(String),
    })
    expect(second).toMatchObject({ resultType: 'input_required' })
    expect(textOf(await send({ name: 'plain' }))).toBe('"done"')
    const answers = (name: string) => ({ 'input-1': { action: 'accept', content: { name } } })
    const b = retry(second.requestState, answers('b'))
    const a = retry(first.requestState, answers('a'))
    expect(textOf(await b)).toBe('{"action":"accept","content":{"name":"b"}}')
    expect(textOf(await a)).toBe('{"action":"accept","content":{"name":"a"}}')
    expect(upstream.of('tools/call')).toHaveLength(3)
  })

  test('an answer of the wrong kind is requested again, and does not reach the server', async () => {
    using upstream = startScripted({ ...asking, wire })
    await front.configure({ scripted: upstream.entry })
    const { ask, retry } = caller()
    let { requestState } = await ask()
    for (const answer of [12345, null, 'yes', {}, { action: 'maybe' }, { action: 'accept', content: 'Ada' }]) {
      const again = await retry(requestState, { 'input-1': answer, another: { action: 'accept' } })
      expect(again).toMatchObject({ resultType: 'input_required', inputRequests: { 'input-1': expect.anything() } })
      requestState = again.requestState
    }
    expect(textOf(await retry(requestState, { 'input-1': { action: 'decline' } }))).toBe('{"action":"decline"}')
    expect(upstream.received.filter(({ method }) => method === undefined)).toHaveLength(1)
  })

  test('answers to a question that was never asked are ignored: the call is a new one', async () => {
    using upstream = startScripted({ ...asking, wire })
    await front.configure({ scripted: upstream.entry })
    const { send } = caller()
    const inputResponses = { user_name: 12345 }
    expect(await send({ name: 'who', inputResponses }, { capabilities: ELICITATION })).toMatchObject({
      resultType: 'input_required',
    })
    expect(textOf(await send({ name: 'plain', inputResponses }))).toBe('"done"')
    expect(upstream.of('tools/call').map(({ params }) => Object.keys(params as object).sort())).toEqual([
      ['_meta', 'arguments', 'name'],
      ['_meta', 'arguments', 'name'],
    ])
  })

  test('logs to the client that asked for it, even while others wait for an answer', async () => {
    using upstream = startScripted({ ...asking, wire })
    await front.configure({ scripted: upstream.entry })
    const { ask, send } = caller()
    const told: RpcNotification[] = []
    const notify = (notification: RpcNotification) => void told.push(notification)
    await ask()
    await send({ name: 'log' }, { notify })
    expect(told).toEqual([])
    await send({ name: 'log', _meta: { 'io.modelcontextprotocol/logLevel': 'info' } }, { notify })
    expect(told).toEqual([{ jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'hi' } }])
  })

  test('that asks for URLs (-32042): the client opens them and calls again, or declines', async () => {
    const elicitations = [
      { mode: 'url', elicitationId: 'e1', url: 'https://example.com/one', message: 'Sign in' },
      { mode: 'url', elicitationId: 'e2', url: 'https://example.com/two', message: 'Pay' },
    ]
    let isOpen = false
    using upstream = startScripted({
      wire,
      tools: [{ name: 'who' }],
      answer: () =>
        isOpen ? said('in') : { error: { code: -32042, message: 'Open these first', data: { elicitations } } },
    })
    await front.configure({ scripted: upstream.entry })
    const { ask, retry, send } = caller()
    const asked = await ask()
    expect(asked).toEqual({
      resultType: 'input_required',
      inputRequests: {
        'url-1': {
          method: 'elicitation/create',
          params: { mode: 'url', message: 'Sign in', url: 'https://example.com/one' },
        },
        'url-2': {
          method: 'elicitation/create',
          params: { mode: 'url', message: 'Pay', url: 'https://example.com/two' },
        },
      },
      requestState: expect.any(String),
    })
    const { requestState } = asked
    const both = { 'url-1': { action: 'accept' }, 'url-2': { action: 'accept' } }
    expect(await retry(requestState, { ...both, 'url-2': { action: 'decline' } })).toMatchObject({
      resultType: 'complete',
      isError: true,
      content: [{ type: 'text', text: 'The user did not open the page.' }],
    })
    // Too early: the server asks again. So it does if nothing is said of a page.
    expect(await retry(requestState, both)).toMatchObject({ resultType: 'input_required' })
    expect(await retry(requestState, { 'url-1': 12345 })).toMatchObject({ resultType: 'input_required' })
    expect((await errorOf(send({ name: 'who', arguments: { a: 1 }, requestState }))).message).toBe(
      'requestState belongs to another request',
    )
    expect((await errorOf(retry(requestState, both, { caller: callerOf('bob') }))).rpcCode).toBe(-32602)
    isOpen = true
    expect(textOf(await retry(requestState, both))).toBe('"in"')
    expect(upstream.of('tools/call').every(({ params }) => !('requestState' in (params as object)))).toBe(true)
    // A client that cannot open pages is told so.
    isOpen = false
    const error = await errorOf(ask({ capabilities: { elicitation: {} } }))
    expect([error.rpcCode, error.data, error.httpStatus]).toEqual([
      -32021,
      { requiredCapabilities: { elicitation: { url: {} } } },
      400,
    ])
    // One of 2025 gets what the server said.
    const plain = await errorOf(send({ name: 'who' }, { capabilities: ELICITATION }, '2025'))
    expect([plain.rpcCode, plain.message, plain.data]).toEqual([-32042, 'Open these first', { elicitations }])
  })

  test('that says a page is done: the session that was asked for it hears so, whichever call is running', async () => {
    const data = {
      elicitations: [{ mode: 'url', elicitationId: 'e1', url: 'https://example.com/one', message: 'Pay' }],
    }
    using upstream = startScripted({
      wire,
      tools: [{ name: 'who' }],
      answer: () => ({ error: { code: -32042, message: 'Open this first', data } }),
    })
    await front.configure({ scripted: upstream.entry })
    const told: Record<string, RpcNotification[]> = {}
    const { send } = caller()
    const sessionOf = async (session: string) => {
      const mine = callerOf('ada', { session })
      told[session] = []
      await front.gateway.listen('scripted', mine, {}, notification => void told[session]!.push(notification))
      return mine
    }
    const [asked] = [await sessionOf('asked'), await sessionOf('other')]
    expect((await errorOf(send({ name: 'who' }, { capabilities: ELICITATION, caller: asked }, '2025'))).rpcCode).toBe(
      -32042,
    )
    const complete = (elicitationId: string) => ({
      method: 'notifications/elicitation/complete',
      params: { elicitationId },
    })
    for (const id of ['unknown', 'e1', 'e1']) upstream.broadcast(complete(id))
    await until(() => told.asked!.length > 0)
    // What was sent before the answer to a later call has arrived.
    await errorOf(
      send({ name: 'who' }, { capabilities: ELICITATION, caller: callerOf('ada', { session: 'other' }) }, '2025'),
    )
    expect(told).toEqual({ asked: [{ jsonrpc: '2.0', ...complete('e1') }], other: [] })
  })
})
