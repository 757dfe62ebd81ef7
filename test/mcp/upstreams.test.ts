/** Upstream servers as clients see them: at their own endpoints, and in the hub. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { addClient } from '../../src/oauth/clients/index.ts'
import { DEVICE_CODE_GRANT, deviceTokens, modernRpc, registerClient, rpc, signIn } from '../support/flows.ts'
import { type Front, startFront, tokenFor } from '../support/front.ts'
import { startScripted } from '../support/scripted.ts'
import { openStream } from '../support/streams.ts'
import { until } from '../support/until.ts'
import { startUpstream } from '../support/upstreams/start.ts'

let server: Front
let upstream: Awaited<ReturnType<typeof startUpstream>>
let atFixture: string
let atHub: string

beforeAll(async () => {
  upstream = await startUpstream('sdk2')
  server = await startFront(servers())
  atFixture = await tokenFor(server, 'fixture')
  atHub = await tokenFor(server)
})
afterAll(async () => {
  await server.close()
  await upstream[Symbol.asyncDispose]()
})

const TASKS = { extensions: { 'io.modelcontextprotocol/tasks': {} } }

function startHtml(answer: () => Response) {
  const http = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: answer })
  return { url: `http://127.0.0.1:${http.port}/mcp`, [Symbol.dispose]: () => void http.stop(true) }
}

const servers = () => ({
  fixture: { url: upstream.url, scopes: { test_simple_text: 'files:write' } },
  private: { url: upstream.url, users: ['grace@example.com'] },
})
const FIXTURE = '/mcp/fixture'
const modern = (token: string, method: string, params: object = {}, path = FIXTURE) =>
  modernRpc(server, token, method, params as Record<string, unknown>, { path })
const namesOf = async (answer: Promise<Response>) => {
  const { result } = (await (await answer).json()) as { result: { tools: { name: string }[] } }
  return result.tools.map(({ name }) => name)
}
const challenge = (path: string, scope: string, error?: string) =>
  `Bearer resource_metadata="${server.base}/.well-known/oauth-protected-resource${path}", scope="${scope}"${error ? `, error="${error}"` : ''}`
const BASIC = 'mcp:tools:read mcp:tools:call'

describe('an endpoint is a resource of its own', () => {
  test('with metadata that name it and its scopes', async () => {
    const answer = await server.get(`/.well-known/oauth-protected-resource${FIXTURE}`)
    expect(await answer.json()).toMatchObject({
      resource: `${server.base}${FIXTURE}`,
      scopes_supported: ['mcp:tools:read', 'mcp:tools:call', 'files:write'],
    })
  })

  test('a hub token gets 401 there, and its token gets 401 at the hub', async () => {
    const there = await rpc(server, atHub, 'tools/list', {}, FIXTURE)
    expect([there.status, there.headers.get('www-authenticate')]).toEqual([
      401,
      challenge(FIXTURE, BASIC, 'invalid_token'),
    ])
    const atTheHub = await rpc(server, atFixture, 'tools/list')
    expect([atTheHub.status, atTheHub.headers.get('www-authenticate')]).toEqual([
      401,
      challenge('/mcp', BASIC, 'invalid_token'),
    ])
  })

  test.each(['nobody', '__proto__', 'constructor', 'a%22b', 'x%0d%0ay'])(
    'there is none of the name %s: 401, with a token and without one',
    async name => {
      for (const token of [atHub, atFixture]) {
        const answer = await rpc(server, token, 'tools/list', {}, `/mcp/${name}`)
        expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
          401,
          challenge('/mcp', BASIC, 'invalid_token'),
        ])
      }
      const bare = await server.postJson(`/mcp/${name}`, { jsonrpc: '2.0', id: 1, method: 'ping' })
      expect([bare.status, bare.headers.get('www-authenticate')]).toEqual([401, challenge('/mcp', BASIC)])
    },
  )

  test('whoever may not use it gets 403, and does not see it in the hub', async () => {
    const token = await tokenFor(server, 'private')
    const refused = await rpc(server, token, 'tools/list', {}, '/mcp/private')
    expect([refused.status, await refused.json()]).toEqual([
      403,
      { error: 'access_denied', error_description: 'You do not have access to this server' },
    ])
    expect((await namesOf(rpc(server, atHub, 'tools/list'))).some(name => name.startsWith('private__'))).toBe(false)
    const grace = await tokenFor(server, undefined, 'mcp', 'grace@example.com')
    expect(await namesOf(rpc(server, grace, 'tools/list'))).toContain('private__test_simple_text')
  })

  test('once it is removed, its tokens get 401, and the hub does not list it', async () => {
    await server.configure({ ...servers(), brief: { url: upstream.url } })
    const token = await tokenFor(server, 'brief')
    expect((await rpc(server, token, 'tools/list', {}, '/mcp/brief')).status).toBe(200)
    const listening = await modern(
      token,
      'subscriptions/listen',
      { notifications: { toolsListChanged: true } },
      '/mcp/brief',
    )
    await server.configure(servers())
    expect(await listening.text()).toContain('"resultType":"complete"') // said goodbye
    expect((await rpc(server, token, 'tools/list', {}, '/mcp/brief')).status).toBe(401)
    expect((await server.get('/.well-known/oauth-protected-resource/mcp/brief')).status).toBe(404)
  })
})

describe('a scope that the configuration adds', () => {
  const scopeOf = async (client: string) => {
    const answer = await deviceTokens(server, client, await signIn(server), {
      scope: 'mcp late:scope',
      resource: `${server.base}/mcp/late`,
    })
    return answer.scope
  }
  const late = { url: '', scopes: { '*': 'late:scope' } }

  test('can be requested by a client that registered before', async () => {
    const client = await registerClient(server)
    await server.configure({ ...servers(), late: { ...late, url: upstream.url } })
    expect(await scopeOf(client)).toBe('mcp late:scope')
  })

  test('is not given to the operator’s clients, whose scope the operator chose', async () => {
    const { id } = await addClient(server.deps, {
      name: 'Chosen',
      grantTypes: [DEVICE_CODE_GRANT, 'refresh_token'],
      scope: ['mcp'],
      redirectUris: [],
    })
    expect(await scopeOf(id)).toBe('mcp')
    await server.configure(servers())
  })
})

describe('what an upstream offers', () => {
  test('is listed at its endpoint under its own names, in the hub with a prefix, sorted, beside our own', async () => {
    expect(await namesOf(modern(atFixture, 'tools/list'))).toContain('test_simple_text')
    for (const ask of [rpc, modernRpc]) {
      const names = await namesOf(ask(server, atHub, 'tools/list'))
      expect(names).toEqual(expect.arrayContaining(['fixture__test_simple_text', 'list_connections', 'whoami']))
      expect(names).toEqual(names.toSorted())
    }
  })

  test('is announced only as far as the token allows; the rest is -32601', async () => {
    const narrow = await tokenFor(server, 'fixture', BASIC)
    const capabilitiesOf = async (token: string) => {
      const { result } = (await (await modern(token, 'server/discover')).json()) as { result: { capabilities: object } }
      return Object.keys(result.capabilities)
    }
    expect(await capabilitiesOf(atFixture)).toEqual(expect.arrayContaining(['tools', 'prompts', 'resources']))
    const narrowed = await capabilitiesOf(narrow)
    expect([narrowed.includes('tools'), narrowed.includes('prompts'), narrowed.includes('resources')]).toEqual([
      true,
      false,
      false,
    ])
    const answer = await modern(narrow, 'prompts/list')
    expect([answer.status, await answer.json()]).toMatchObject([404, { error: { code: -32601 } }])
  })

  test('is called in both eras, in the hub and at its endpoint', async () => {
    const wide = 'mcp files:write'
    const [hub, own] = [await tokenFor(server, undefined, wide), await tokenFor(server, 'fixture', wide)]
    const calls = [
      rpc(server, hub, 'tools/call', { name: 'fixture__test_simple_text' }),
      modern(hub, 'tools/call', { name: 'fixture__test_simple_text' }, '/mcp'),
      rpc(server, own, 'tools/call', { name: 'test_simple_text' }, FIXTURE),
      modern(own, 'tools/call', { name: 'test_simple_text' }),
    ]
    for (const answer of await Promise.all(calls))
      expect([answer.status, await answer.json()]).toMatchObject([
        200,
        { result: { content: [{ type: 'text', text: expect.any(String) }] } },
      ])
  })

  test('is called by each message of a batch of 2025-03-26', async () => {
    const call = (id: number, name: string) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name } })
    const batch = [
      call(1, 'test_image_content'),
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      call(2, 'nothing'),
      { jsonrpc: '2.0', id: 3, method: 'tools/list' },
    ]
    const headers = { Authorization: `Bearer ${atFixture}`, Accept: 'application/json, text/event-stream' }
    const answers = (await (await server.postJson(FIXTURE, batch, headers)).json()) as { id: number }[]
    expect(answers.toSorted((a, b) => a.id - b.id)).toMatchObject([
      { jsonrpc: '2.0', id: 1, result: { content: [{ type: 'image' }] } },
      { jsonrpc: '2.0', id: 2, error: { code: -32602, message: 'There is no such tool' } },
      { jsonrpc: '2.0', id: 3, result: { tools: expect.any(Array) } },
    ])
  })

  test('is 403 without the scope that the configuration requires, naming all that a call needs', async () => {
    const asked = [
      [rpc(server, atFixture, 'tools/call', { name: 'test_simple_text' }, FIXTURE), FIXTURE],
      [modern(atFixture, 'tools/call', { name: 'test_simple_text' }), FIXTURE],
      [rpc(server, atHub, 'tools/call', { name: 'fixture__test_simple_text' }), '/mcp'],
    ] as const
    for (const [answer, path] of asked) {
      const { status, headers } = await answer
      expect([status, headers.get('www-authenticate')]).toEqual([
        403,
        challenge(path, 'mcp:tools:call files:write', 'insufficient_scope'),
      ])
    }
    const other = await rpc(server, atFixture, 'tools/call', { name: 'test_image_content' }, FIXTURE)
    expect(other.status).toBe(200)
  })

  test('is 400 if a header says something else of an argument than the body', async () => {
    const call = (region: string | undefined, path: string, token: string) => {
      const name = path === '/mcp' ? 'fixture__test_header_parameter' : 'test_header_parameter'
      const headers: Record<string, string> = region === undefined ? {} : { 'Mcp-Param-Region': region }
      return modernRpc(server, token, 'tools/call', { name, arguments: { region: 'eu' } }, { path, headers })
    }
    for (const [path, token] of [
      [FIXTURE, atFixture],
      ['/mcp', atHub],
    ] as const) {
      for (const region of ['us', undefined]) {
        const answer = await call(region, path, token)
        expect([answer.status, await answer.json()]).toEqual([
          400,
          {
            jsonrpc: '2.0',
            id: 1,
            error: { code: -32020, message: 'Mcp-Param-Region differs from the argument in the body' },
          },
        ])
      }
      for (const region of ['eu', `=?base64?${btoa('eu')}?=`]) {
        const { result } = (await (await call(region, path, token)).json()) as { result: { content: object[] } }
        expect(result.content).toEqual([{ type: 'text', text: '{"region":"eu","header":"eu"}' }])
      }
    }
  })

  test('is kept back with all its headers if it is no MCP: HTML, whatever its status', async () => {
    const serveAt = (url: string) => server.configure({ ...servers(), legacy: { url }, modern: { url } })
    await serveAt(upstream.url)
    const tokens = { legacy: await tokenFor(server, 'legacy'), modern: await tokenFor(server, 'modern') }
    const calls = () => [
      rpc(server, tokens.legacy, 'tools/call', { name: 'test_error_handling' }, '/mcp/legacy'),
      modern(tokens.modern, 'tools/call', { name: 'test_error_handling' }, '/mcp/modern'),
    ]
    const usual = (await Promise.all(calls())).map(answer => [...answer.headers.keys()].sort())
    for (const status of [200, 307, 401, 403, 500]) {
      const words = 'only for the gateway'
      const headers = {
        'Content-Type': 'text/html',
        'Set-Cookie': 'stolen=1',
        'WWW-Authenticate': `Bearer realm="${words}"`,
        Location: `${server.base}/healthz`,
        'X-Secret': words,
      }
      using hostile = startHtml(() => new Response(`<h1>${words}</h1>`, { status, headers }))
      await serveAt(hostile.url)
      for (const [at, answer] of (await Promise.all(calls())).entries()) {
        expect([answer.status, [...answer.headers.keys()].sort()]).toEqual([200, usual[at]!])
        const text = await answer.text()
        expect(text).toContain('"code":-32603,"message":"The server \\"')
        expect(text + JSON.stringify([...answer.headers])).not.toMatch(new RegExp(`${words}|stolen|<h1>`))
      }
    }
    await server.configure(servers())
  })

  test('may be a task, which the hub finds by its id, for its caller only; a session is offered none', async () => {
    using scripted = startScripted({
      era: '2026',
      capabilities: { tools: {}, ...TASKS },
      tools: [{ name: 'work' }],
      answer: ({ method }) => ({
        ...{ resultType: method === 'tools/call' ? 'task' : 'complete', taskId: '7', status: 'working' },
      }),
    })
    await server.configure({ ...servers(), scripted: scripted.entry })
    const meta = { 'io.modelcontextprotocol/clientCapabilities': TASKS }
    const called = await modernRpc(server, atHub, 'tools/call', { name: 'scripted__work' }, { meta })
    const { result: task } = (await called.json()) as { result: { taskId: string } }
    expect(task.taskId).toMatch(/^scripted:[\w-]{22}\.7$/)
    const poll = (taskId: string, token = atHub) =>
      modernRpc(server, token, 'tasks/get', { taskId }, { meta, headers: { 'Mcp-Name': taskId } })
    const answer = await poll(task.taskId)
    expect([answer.status, await answer.json()]).toEqual([
      200,
      { jsonrpc: '2.0', id: 1, result: { resultType: 'complete', taskId: task.taskId, status: 'working' } },
    ])
    const grace = await tokenFor(server, undefined, 'mcp', 'grace@example.com')
    for (const refused of [poll('scripted:7'), poll('nobody:7'), poll(task.taskId, grace)])
      expect(await (await refused).json()).toMatchObject({ error: { code: -32602, message: 'There is no such task' } })
    const legacy = await rpc(server, atHub, 'tasks/get', { taskId: task.taskId })
    expect(await legacy.json()).toMatchObject({ error: { code: -32601 } })
    const token = await tokenFor(server, 'scripted')
    const discovered = await modern(token, 'server/discover', {}, '/mcp/scripted')
    expect(await discovered.json()).toMatchObject({
      result: { capabilities: TASKS },
    })
    const hello = { protocolVersion: '2025-11-25', clientInfo: { name: 'test', version: '1' }, capabilities: {} }
    const opened = await rpc(server, token, 'initialize', hello, '/mcp/scripted')
    expect(await opened.text()).toContain('"capabilities":{"tools":{}}')
    await server.configure(servers())
  })

  test('is -32602 for an unknown name, in the hub too', async () => {
    const answer = await rpc(server, atHub, 'tools/call', { name: 'fixture__nothing' })
    expect(await answer.json()).toMatchObject({ error: { code: -32602 } })
  })
})

test('a call whose client leaves or cancels it while the tools are still being listed is not made', async () => {
  const listed = Promise.withResolvers<void>()
  using cold = startScripted({
    async answer({ method, params }) {
      if (method === 'tools/list') await listed.promise
      return method === 'tools/list'
        ? { tools: [{ name: 'work', inputSchema: { type: 'object' } }] }
        : { content: [{ type: 'text', text: JSON.stringify(params?.arguments) }] }
    },
  })
  await server.configure({ ...servers(), cold: cold.entry })
  const params = (by: string) => ({ name: 'cold__work', arguments: { by } })
  const message = (id: number, by: string) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: params(by) })
  const headers = { Authorization: `Bearer ${atHub}`, Accept: 'application/json, text/event-stream' }
  const hello = { protocolVersion: '2025-11-25', clientInfo: { name: 'test', version: '1' }, capabilities: {} }
  const begun = await rpc(server, atHub, 'initialize', hello)
  await begun.text()
  const inSession = {
    ...headers,
    Accept: 'application/json', // however long the answer takes
    'Mcp-Session-Id': begun.headers.get('mcp-session-id')!,
  }

  const leaving = new AbortController()
  const idle = server.pendingRequests()
  const left = Promise.allSettled([
    modernRpc(server, atHub, 'tools/call', params('left, 2026'), { signal: leaving.signal }),
    fetch(`${server.base}/mcp`, {
      method: 'POST',
      headers: { ...headers, 'Content-Type': 'application/json' },
      body: JSON.stringify(message(1, 'left, 2025')),
      signal: leaving.signal,
    }),
  ])
  await until(() => server.pendingRequests() === idle + 2)
  leaving.abort()
  expect((await left).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  await until(() => server.pendingRequests() === idle)
  const cancelled = server.postJson('/mcp', message(1, 'cancelled'), inSession)
  const other = server.postJson('/mcp', message(2, 'other'), inSession)
  await until(() => server.pendingRequests() === idle + 2)
  const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }
  expect((await server.postJson('/mcp', cancel, inSession)).status).toBe(202)
  listed.resolve()
  expect((await cancelled).status).toBe(202)
  expect(await (await other).json()).toMatchObject({ id: 2, result: { content: [{ text: '{"by":"other"}' }] } })
  expect(cold.of('tools/call').map(call => call.params?.arguments)).toEqual([{ by: 'other' }])
  await server.configure(servers())
})

test.each(['2025', '2026'] as const)(
  'questions of a %s server that nobody answers, or whose call was cancelled, do not keep others from it',
  async era => {
    const question = { method: 'elicitation/create', params: { message: 'Who?', requestedSchema: { type: 'object' } } }
    let told: unknown
    using asking = startScripted({
      era,
      tools: [{ name: 'ask' }, { name: 'plain' }],
      async answer({ params }, line) {
        if (params?.name === 'plain') return { content: [] }
        if (era === '2026') return { resultType: 'input_required', inputRequests: { who: question } }
        told = await line.ask(question.method, question.params)
        return { content: [] }
      },
    })
    await server.configure({ ...servers(), asking: { ...asking.entry, concurrency: 1, queue: 0 } })
    const path = '/mcp/asking'
    const [ada, grace] = [
      await tokenFor(server, 'asking'),
      await tokenFor(server, 'asking', 'mcp', 'grace@example.com'),
    ]
    const hello = { protocolVersion: '2025-11-25', clientInfo: { name: 'test', version: '1' } }
    const begun = await rpc(server, ada, 'initialize', { ...hello, capabilities: { elicitation: {} } }, path)
    await begun.text()
    const inSession = {
      Authorization: `Bearer ${ada}`,
      Accept: 'application/json, text/event-stream',
      'Mcp-Session-Id': begun.headers.get('mcp-session-id')!,
    }
    const before = server.records.length
    for (const id of [1, 2]) {
      const call = { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'ask' } }
      const stream = await openStream(server.postJson(path, call, inSession), new AbortController())
      expect(await stream.readUntil('elicitation/create')).toContain('elicitation/create')
      const other = await rpc(server, grace, 'tools/call', { name: 'plain' }, path)
      expect(await other.json()).toEqual({ jsonrpc: '2.0', id: 1, result: { content: [] } })
      const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id } }
      if (id === 2) expect((await server.postJson(path, cancel, inSession)).status).toBe(202)
    }
    await until(() => server.records.length === before + 3)
    expect(server.records.slice(before).map(({ outcome }) => outcome)).toEqual(['ok', 'ok', 'cancelled'])
    if (era === '2025') {
      await until(() => told !== undefined)
      expect(told).toMatchObject({ error: { code: -32601, message: 'The client did not answer' } })
    }
    await server.configure(servers())
  },
)

test('whoami names the servers that do not work, and why, to those who may use them', async () => {
  const ofAda = { command: 'there-is-no-such-program', users: ['ada@example.com'] }
  using away = startScripted({ tools: [{ name: 'anything' }] })
  await server.configure({ ...servers(), away: away.entry, broken: ofAda })
  const unavailable = async (token: string) => {
    const { result } = (await (await rpc(server, token, 'tools/call', { name: 'whoami' })).json()) as {
      result: { structuredContent: { unavailable_servers?: object[] } }
    }
    return result.structuredContent.unavailable_servers
  }
  expect(await unavailable(atHub)).toBeUndefined()
  await rpc(server, atHub, 'tools/list')
  server.clock.advance(-60) // the pause after a first failure is shorter than a busy machine may take for the next call
  const broken = {
    name: 'broken',
    reason: 'The server "broken" could not be started',
    retry_at: expect.stringMatching(/^20\d\d-.*Z$/),
  }
  expect(await unavailable(atHub)).toEqual([broken])
  away[Symbol.dispose]()
  await rpc(server, atHub, 'tools/call', { name: 'away__anything' })
  expect(await unavailable(atHub)).toEqual([
    { name: 'away', reason: 'The server "away" cannot be reached', retry_at: expect.any(String) },
    broken,
  ])
  const bob = await tokenFor(server, undefined, 'mcp', 'bob@example.com')
  expect((await unavailable(bob))?.map(one => (one as { name: string }).name)).toEqual(['away'])
  server.clock.advance(60)
  await server.configure(servers())
})
