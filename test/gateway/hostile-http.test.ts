/** Misbehavior of HTTP upstreams: clients get a clear error or the right result, in time, and the call is made once. */
// Not on PostgreSQL: it is about what upstreams answer over HTTP.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { RpcError, type RpcNotification } from '../../src/gateway/messages.ts'
import { readBody } from '../../src/gateway/outbound.ts'
import { callerOf, exchangeOf, startGateway, type TestGateway } from '../support/gateway.ts'
import { type HostileHttp, startHostileHttp } from '../support/hostile-http.ts'
import { until } from '../support/until.ts'

let front: TestGateway
let hostile: HostileHttp
beforeAll(async () => {
  hostile = startHostileHttp()
  const entry = { url: hostile.url, maxBytes: 1_048_576 }
  front = await startGateway({
    hostile: { ...entry, headers: { 'X-Key': 'configured' } },
    impatient: { ...entry, timeout: 1_000 },
    other: entry,
    wide: { ...entry, concurrency: 100 },
  })
})
afterAll(async () => {
  await front[Symbol.asyncDispose]()
  hostile[Symbol.dispose]()
})

const call = (name: string, more: Parameters<typeof exchangeOf>[3] = {}, endpoint = 'hostile') =>
  front.gateway.request(endpoint, exchangeOf('2026', 'tools/call', { name, arguments: {} }, more))

async function failureOf(work: Promise<unknown>): Promise<RpcError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof RpcError)) throw new Error('it did not fail as it should', { cause: error })
  return error
}

describe('an upstream that fails', () => {
  test.each<[tool: string, words: string, reason: string]>([
    ['status_401', 'rejected our credentials', 'unreachable'],
    ['status_403', 'rejected our credentials', 'unreachable'],
    ['status_307', 'cannot be reached', 'unreachable'],
    ['status_500', 'cannot be reached', 'unreachable'],
    ['html', 'sent an invalid MCP message', 'protocol_error'],
    ['not_json', 'sent an invalid MCP message', 'protocol_error'],
    ['silence', 'did not answer in time', 'timeout'],
    ['silence_in_stream', 'did not answer in time', 'timeout'],
    ['cut', 'cannot be reached', 'unreachable'],
    ['look_alike_id', 'sent an invalid MCP message', 'protocol_error'],
    ['no_object', 'sent an invalid MCP message', 'protocol_error'],
    ['one_line', 'sent too much data', 'protocol_error'],
    ['large_json', 'sent too much data', 'protocol_error'],
    ['bomb', 'sent too much data', 'protocol_error'],
  ])('%s: the client is told in our words, and the call is made once', async (tool, words, reason) => {
    const upstream = reason === 'timeout' ? 'impatient' : 'hostile'
    const failing = failureOf(call(tool, {}, upstream))
    // Another upstream answers meanwhile.
    expect(await call('fine', {}, 'other')).toMatchObject({ content: [{ text: 'fine' }] })
    const error = await failing
    expect({ code: error.rpcCode, message: error.message, data: error.data, status: error.httpStatus }).toEqual({
      code: -32603,
      message: `The server "${upstream}" ${words}`,
      data: { upstream, reason, reference: expect.stringMatching(/^[0-9a-f-]{36}$/) },
      status: 200,
    })
    expect(hostile.calls.get(tool)).toBe(1)
    expect(front.records.findLast(record => record.target === tool)).toMatchObject({
      upstream,
      outcome: reason,
    })
    await Bun.sleep(10) // nothing else comes
    expect(hostile.strayed()).toBe(0)
  })

  test.each<[tool: string, words: string]>([
    ['foreign_id', 'mine'],
    ['repeated', 'first'],
    ['unasked', 'anyway'],
    ['zipped', 'unzipped'],
  ])('%s: the right answer is found', async (tool, words) => {
    expect(await call(tool)).toMatchObject({ content: [{ type: 'text', text: words }] })
  })

  test('a flood of progress is throttled, and the result arrives', async () => {
    const told: RpcNotification[] = []
    const params = { name: 'flood', arguments: {}, _meta: { progressToken: 'mine' } }
    const exchange = exchangeOf('2026', 'tools/call', params, { notify: notification => void told.push(notification) })
    expect(await front.gateway.request('hostile', exchange)).toMatchObject({ content: [{ text: 'at last' }] })
    expect(told.length).toBeGreaterThanOrEqual(1_000)
    expect(told.length).toBeLessThan(10_000)
    expect(told[0]?.params).toEqual({ progressToken: 'mine', progress: 0 })
  })
})

test('what follows an answer is read to the end, so that its connection carries another call, but not forever', async () => {
  const before = hostile.cut()
  await Promise.all(['endless', ...Array(80).fill('left_open')].map(name => call(name, {}, 'wide')))
  await until(() => hostile.cut() === before + 81)
  const ports = new Set<string>()
  for (let times = 0; times < 20; times++) {
    const { content } = (await call('port')) as { content: { text: string }[] }
    ports.add(content[0]!.text)
    await Bun.sleep(10)
  }
  expect(ports.size).toBeLessThan(10)
})

test('the length that a header says does not limit a body in chunks', async () => {
  const headers = { 'Content-Length': '10', 'Transfer-Encoding': 'chunked' }
  const body = new Response('x'.repeat(1_001), { headers })
  expect(await readBody(body, 1_000).catch(({ failure }) => failure)).toMatchObject({ reason: 'too_large' })
})

test('an upstream gets only the headers of the protocol and of its configuration', async () => {
  const _meta = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }
  const result = await front.gateway.request(
    'hostile',
    exchangeOf('2026', 'tools/call', { name: 'headers', arguments: {}, _meta }),
  )
  const { content } = result as { content: { text: string }[] }
  const headers = JSON.parse(content[0]!.text)
  expect(headers).toEqual({
    accept: 'application/json, text/event-stream',
    'accept-encoding': 'identity',
    connection: 'keep-alive',
    'content-length': expect.any(String),
    'content-type': 'application/json',
    host: new URL(hostile.url).host,
    'mcp-method': 'tools/call',
    'mcp-name': 'headers',
    'mcp-protocol-version': '2026-07-28',
    traceparent: _meta.traceparent,
    'user-agent': expect.stringMatching(/^mcp-oauth-server\//),
    'x-key': 'configured',
  })
})

test('a client that disconnects is recorded as such, and its upstream request is aborted', async () => {
  const leaving = new AbortController()
  const failing = failureOf(call('silence', { signal: leaving.signal, caller: callerOf('leaver') }))
  await until(() => hostile.calls.get('silence') === 1)
  leaving.abort()
  expect((await failing).data).toMatchObject({ reason: 'cancelled' })
  expect(front.records.at(-1)).toMatchObject({ outcome: 'cancelled' })
})

test('tools that cannot be used safely are left out, the rest are listed', async () => {
  const deep = { type: 'object' } as Record<string, unknown>
  let inner = deep
  for (let i = 0; i < 70; i++) {
    const next = {}
    inner.properties = next
    inner = next
  }
  hostile.tools.push(
    { name: '__proto__', inputSchema: { type: 'object' } },
    { name: 'line\nbreak', inputSchema: { type: 'object' } },
    { name: 'no_schema' },
    { name: 'deep', inputSchema: deep },
    { name: 'fine', inputSchema: { type: 'object' } },
    { name: 'bad_header', inputSchema: { type: 'object', properties: { a: { type: 'object', 'x-mcp-header': 'A' } } } },
    7,
    { name: 'last', inputSchema: { type: 'object' } },
  )
  await using fresh = await startGateway({ hostile: { url: hostile.url } })
  const result = await fresh.gateway.request(undefined, exchangeOf('2026', 'tools/list', {}))
  const names = (result.tools as { name: string }[]).map(tool => tool.name)
  expect(names).toContain('hostile__last')
  expect(names.filter(name => /proto|line.break|no_schema|deep|bad_header/.test(name))).toEqual([])
  expect(names.filter(name => name === 'hostile__fine')).toHaveLength(1)
})
