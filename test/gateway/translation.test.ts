/** What is listed, named, forwarded and refused between a client and a server that a test plays. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { RpcError } from '../../src/gateway/messages.ts'
import { callerOf, exchangeOf, startGateway, type TestGateway } from '../support/gateway.ts'
import { type Script, type Scripted, startScripted } from '../support/scripted.ts'

let front: TestGateway
beforeAll(async () => {
  front = await startGateway({})
})
afterAll(() => front[Symbol.asyncDispose]())

type Json = Record<string, unknown>
const ERAS = ['2025', '2026'] as const
const ask = (endpoint: string | undefined, era: '2025' | '2026', method: string, params: Json = {}) =>
  front.gateway.request(endpoint, exchangeOf(era, method, params))
const done: Json = { content: [{ type: 'text', text: 'done' }] }

async function errorOf(work: Promise<unknown>): Promise<RpcError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof RpcError)) throw new Error('it did not fail', { cause: error })
  return error
}

async function open(script: Script, name = 'scripted'): Promise<Scripted> {
  const upstream = startScripted(script)
  await front.configure({ [name]: upstream.entry })
  return upstream
}

const toolsAt = async (endpoint: string | undefined): Promise<string[]> =>
  ((await ask(endpoint, '2026', 'tools/list')).tools as { name: string }[]).map(({ name }) => name)

describe('a server of 2024-11-05 over HTTP+SSE', () => {
  test.each(ERAS)('serves a %s client, also with questions', async era => {
    using upstream = await open({
      wire: 'sse',
      tools: [{ name: 'who' }],
      async answer(_, line) {
        const { result } = await line.ask('elicitation/create', {
          message: 'Who?',
          requestedSchema: { type: 'object' },
        })
        return { content: [{ type: 'text', text: JSON.stringify(result) }] }
      },
    })
    const answer = { action: 'accept', content: { name: 'Ada' } }
    const capabilities = { elicitation: {} }
    const call = (params: Json = {}) =>
      front.gateway.request(
        'scripted',
        exchangeOf(era, 'tools/call', { name: 'who', ...params }, { capabilities, ask: async () => answer }),
      )
    const first = await call()
    const { requestState, inputRequests = {} } = first as { requestState?: string; inputRequests?: object }
    const [key = ''] = Object.keys(inputRequests)
    const result = era === '2025' ? first : await call({ requestState, inputResponses: { [key]: answer } })
    expect(result).toMatchObject({ content: [{ type: 'text', text: JSON.stringify(answer) }] })
    expect(upstream.of('tools/call')).toHaveLength(1)
  })
})

describe('names in the hub', () => {
  test('of 64 characters at most, of letters that every model takes, different, and the same after a restart', async () => {
    const names = ['a'.repeat(80), `${'a'.repeat(80)}b`, 'with.dot', 'with_dot', 'ünïcode', 'plain']
    using upstream = await open({
      tools: names.map(name => ({ name })),
      answer: ({ params }) => ({ ...done, _meta: { called: params?.name } }),
    })
    const listed = await toolsAt(undefined)
    expect(new Set(listed).size).toBe(names.length)
    for (const name of listed) expect(name).toMatch(/^scripted__[A-Za-z0-9_-]{1,54}$/)
    expect(listed).toEqual(expect.arrayContaining(['scripted__plain', 'scripted__with_dot']))
    const called: unknown[] = []
    for (const name of listed)
      called.push(((await ask(undefined, '2026', 'tools/call', { name }))._meta as Json).called)
    expect(called.sort()).toEqual(names.toSorted())
    upstream.script.tools = names.toReversed().map(name => ({ name }))
    await front.configure({})
    await front.configure({ scripted: upstream.entry })
    expect(await toolsAt(undefined)).toEqual(listed)
  })

  test('that cannot be used are left out, with tools without a schema of an object and those nested too deep', async () => {
    let deep: Json = {}
    for (let i = 0; i < 70; i++) deep = { properties: deep }
    using _ = await open({
      tools: [
        { name: '__proto__' },
        { name: 'constructor' },
        { name: 'line\nbreak' },
        { name: 'a'.repeat(300) },
        { name: '' },
        { name: 7 },
        { name: 'no_object', inputSchema: { type: 'array' } },
        { name: 'deep', inputSchema: { type: 'object', ...deep } },
        { name: 'fine' },
      ],
    })
    expect(await toolsAt('scripted')).toEqual(['fine'])
    expect(await toolsAt(undefined)).toEqual(['scripted__fine'])
  })
})

describe('a server of 2026-07-28 over HTTP', () => {
  test.each(ERAS)('gets its own names in the header of a call in the hub, from a %s client', async era => {
    using upstream = await open({ era: '2026', tools: [{ name: 'größe' }], answer: () => ({ ...done }) })
    const [, name] = ['', ...(await toolsAt(undefined))]
    await ask(undefined, era, 'tools/call', { name })
    expect(upstream.of('tools/call').at(-1)?.params?.name).toBe('größe')
    expect(upstream.headers()?.get('mcp-name')).toBe(`=?base64?${Buffer.from('größe').toString('base64')}?=`)
  })

  test('that wants pages opened as servers of 2025 do (-32042): so the client is told, each in its way', async () => {
    const page = { mode: 'url', url: 'https://example.com/one', message: 'Sign in' }
    const data = { elicitations: [{ ...page, elicitationId: 'e1' }] }
    using _ = await open({
      era: '2026',
      tools: [{ name: 'who' }],
      answer: () => ({ error: { code: -32042, message: 'Open this first', data } }),
    })
    const call = (era: '2025' | '2026') =>
      front.gateway.request(
        'scripted',
        exchangeOf(era, 'tools/call', { name: 'who' }, { capabilities: { elicitation: { url: {} } } }),
      )
    expect(await call('2026')).toEqual({
      resultType: 'input_required',
      inputRequests: { 'url-1': { method: 'elicitation/create', params: page } },
      requestState: expect.any(String),
    })
    const error = await errorOf(call('2025'))
    expect([error.rpcCode, error.message, error.data]).toEqual([-32042, 'Open this first', data])
  })
})

const TASKS = { extensions: { 'io.modelcontextprotocol/tasks': {} } }

describe.each(['stdio', 'http'] as const)('tasks of a 2026 server over %s', wire => {
  const file = { type: 'resource_link', uri: 'file:///report', name: 'report' }
  const tasks: Script = {
    era: '2026',
    wire,
    capabilities: { tools: {}, ...TASKS },
    tools: [{ name: 'work' }],
    answer({ method, params }) {
      const declared = params?._meta as Json
      const task = { taskId: 'a:b', status: 'working', createdAt: 'now', lastUpdatedAt: 'now', ttlMs: 60_000 }
      if (method === 'tools/call')
        return Object.keys(declared['io.modelcontextprotocol/clientCapabilities'] as Json).length > 0
          ? { resultType: 'task', ...task }
          : { resultType: 'complete', ...done }
      if (params?.taskId !== 'a:b') return { error: { code: -32602, message: 'No such task' } }
      if (method !== 'tasks/get') return { resultType: 'complete' }
      return { resultType: 'complete', ...task, status: 'completed', result: { content: [file] } }
    },
  }

  test.each([
    ['its endpoint', 'scripted', 'work', /^[\w-]{22}\.a:b$/, file.uri],
    ['the hub', undefined, 'scripted__work', /^scripted:[\w-]{22}\.a:b$/, 'mcp+scripted://file////report'],
  ])('reach a 2026 client at %s', async (_, endpoint, name, id, uri) => {
    using upstream = await open(tasks)
    const send = (method: string, params: Json, caller = callerOf('ada')) =>
      front.gateway.request(endpoint, exchangeOf('2026', method, params, { capabilities: TASKS, caller }))
    const task = await send('tools/call', { name })
    const { taskId } = task
    expect(taskId).toMatch(id)
    expect(task).toMatchObject({ resultType: 'task', taskId, ttlMs: 60_000 })
    expect(await send('tasks/get', { taskId })).toMatchObject({
      resultType: 'complete',
      taskId,
      status: 'completed',
      result: { content: [{ ...file, uri }] },
    })
    const inputResponses = { name: { action: 'accept' } }
    for (const [method, params] of [
      ['tasks/update', { taskId, inputResponses }],
      ['tasks/cancel', { taskId }],
    ] as const)
      expect(await send(method, params)).toEqual({ resultType: 'complete' })
    expect(upstream.of('tasks/update')[0]?.params).toMatchObject({ taskId: 'a:b', inputResponses })
    if (wire === 'http') expect(upstream.headers()?.get('mcp-name')).toBe('a:b')
    for (const wrong of [`${taskId}c`, 'a:b', 'scripted:a:b', 'other:a:b', undefined])
      expect((await errorOf(send('tasks/get', { taskId: wrong }))).message).toBe('There is no such task')
    for (const method of ['tasks/get', 'tasks/update', 'tasks/cancel'])
      expect((await errorOf(send(method, { taskId }, callerOf('bob')))).message).toBe('There is no such task')
    expect(upstream.of('tasks/get')).toHaveLength(1)
  })

  test('are not offered for a 2025 client, whatever it declares: it gets the answer itself', async () => {
    using upstream = await open(tasks)
    const exchange = exchangeOf('2025', 'tools/call', { name: 'work', task: {} }, { capabilities: TASKS })
    expect(await front.gateway.request('scripted', exchange)).toEqual(done)
    expect(upstream.of('tools/call')[0]?.params).not.toHaveProperty('task')
    expect((await errorOf(ask('scripted', '2025', 'tasks/get', { taskId: 'a:b' }))).rpcCode).toBe(-32601)
  })
})

describe('URIs in the hub', () => {
  const uris = ['ui://page/main', 'file:///a b?x#y', 'no-scheme', 'urn:isbn:1']
  const resources: Script = {
    capabilities: { tools: {}, resources: { subscribe: true } },
    tools: [{ name: 'show', _meta: { ui: { resourceUri: 'ui://page/main' } } }],
    answer({ method, params }) {
      if (method === 'resources/list') return { resources: uris.map(uri => ({ uri, name: uri })) }
      if (method === 'resources/read') return { contents: [{ uri: params?.uri, text: 'x' }] }
      return { content: [{ type: 'resource', resource: { uri: 'ui://page/main', text: 'x' } }] }
    },
  }

  test.each(ERAS)('carry the server for a %s client, in lists, results and _meta, and lead back', async era => {
    using upstream = await open(resources)
    const { resources: listed } = (await ask(undefined, era, 'resources/list')) as { resources: { uri: string }[] }
    for (const { uri } of listed) {
      expect(uri).toStartWith('mcp+scripted://')
      expect(await ask(undefined, era, 'resources/read', { uri })).toMatchObject({ contents: [{ uri }] })
    }
    expect(
      upstream
        .of('resources/read')
        .map(({ params }) => params?.uri)
        .sort(),
    ).toEqual(uris.toSorted())
    const { tools } = (await ask(undefined, era, 'tools/list')) as { tools: Json[] }
    expect(tools[0]?._meta).toEqual({ ui: { resourceUri: listed[0]?.uri } })
    expect(await ask(undefined, era, 'tools/call', { name: 'scripted__show' })).toMatchObject({
      content: [{ type: 'resource', resource: { uri: listed[0]?.uri } }],
    })
  })
})

describe('pages', () => {
  const paged: Script = {
    answer({ params }) {
      if (params?.cursor === undefined)
        return { tools: [{ name: 'one', inputSchema: { type: 'object' } }], nextCursor: 'second' }
      if (params.cursor === 'second') return { tools: [{ name: 'two', inputSchema: { type: 'object' } }] }
      return { error: { code: -32602, message: 'Unknown cursor' } }
    },
  }

  test.each(ERAS)(
    'pass through at the endpoint for a %s client; the hub is one page; foreign cursors are refused',
    async era => {
      using upstream = await open(paged)
      await front.gateway.describe('scripted', exchangeOf(era, 'x', {}).caller)
      const first = await ask('scripted', era, 'tools/list')
      expect([first.nextCursor, (first.tools as Json[]).length]).toEqual(['second', 1])
      expect((await ask('scripted', era, 'tools/list', { cursor: 'second' })).tools).toMatchObject([{ name: 'two' }])
      expect((await errorOf(ask('scripted', era, 'tools/list', { cursor: 'foreign' }))).rpcCode).toBe(-32602)
      expect((await errorOf(ask(undefined, era, 'tools/list', { cursor: 'second' }))).rpcCode).toBe(-32602)
      expect(await toolsAt(undefined)).toEqual(['scripted__one', 'scripted__two'])
      expect(upstream.of('tools/list').length).toBeGreaterThan(2)
    },
  )
})

describe('methods that are not of the protocol', () => {
  test.each(ERAS)(
    'pass at the endpoint for a %s client if a vendor’s name is in front, and never in the hub',
    async era => {
      using upstream = await open({ answer: ({ params }) => ({ got: params?.x ?? null }) })
      expect(await ask('scripted', era, 'com.example/do', { x: 1 })).toMatchObject({ got: 1 })
      const status = era === '2026' ? 404 : 200
      for (const [endpoint, method] of [
        [undefined, 'com.example/do'],
        ['scripted', 'unknown/method'],
      ] as const) {
        const { rpcCode, httpStatus } = await errorOf(ask(endpoint, era, method))
        expect([rpcCode, httpStatus]).toEqual([-32601, status])
      }
      expect(upstream.of('com.example/do')).toHaveLength(1)
    },
  )
})
