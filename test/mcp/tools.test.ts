/** The built-in tools, by the results of calls. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { insertAuditEvents, searchAuditEvents, searchIndexedEvents } from '../../sql/audit-events.ts'
import {
  decide,
  deviceTokens,
  enterCode,
  machineToken,
  modernRpc,
  poll,
  registerClient,
  requestDevice,
  rpc,
  signIn,
  type TokenAnswer,
} from '../support/flows.ts'
import { slowDown, startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'

let server: TestServer
let token: string
let client: string
/** More than the default scope. */
const MANAGING = { scope: 'mcp:tools:read mcp:tools:call connections:manage' }

beforeAll(async () => {
  server = await startServer()
  client = await registerClient(server)
  token = (await deviceTokens(server, client, await signIn(server), MANAGING)).access_token
})
afterAll(() => server.close())

interface Result {
  structuredContent: never
  isError?: boolean
  content: { text: string }[]
}
const call = async (value: string, name: string, args: unknown = {}) =>
  ((await (await rpc(server, value, 'tools/call', { name, arguments: args })).json()) as { result: Result }).result

test('each has a title, a description, hints, and input and output schemas', async () => {
  const admin = await machineToken(server, ['mcp', 'admin'])
  const lists = await Promise.all([token, admin].map(async value => (await rpc(server, value, 'tools/list')).json()))
  const tools = (lists as { result: { tools: Record<string, never>[] } }[]).flatMap(({ result }) => result.tools)
  expect(tools).toHaveLength(5)
  for (const tool of tools) {
    expect(tool).toMatchObject({
      title: expect.stringMatching(/./),
      description: expect.stringMatching(/\.$/),
      inputSchema: { type: 'object' },
      outputSchema: { type: 'object', required: expect.any(Array) },
      annotations: { readOnlyHint: tool.name !== ('revoke_connection' as never), openWorldHint: false },
    })
  }
})

test('whoami describes a machine, which has no connections to list', async () => {
  const machine = await machineToken(server, ['mcp:tools:read', 'mcp:tools:call'])
  const { result } = (await (await rpc(server, machine, 'tools/list')).json()) as {
    result: { tools: { name: string }[] }
  }
  expect(result.tools.map(tool => tool.name)).toEqual(['whoami'])
  expect((await call(machine, 'whoami')).structuredContent).toMatchObject({ user: null, client: { name: 'Machine' } })
  const refused = await rpc(server, machine, 'tools/call', { name: 'list_connections', arguments: {} })
  expect(await refused.json()).toMatchObject({ error: { code: -32602 } })
})

test('list_connections shows the caller’s own, and revoke_connection ends one of them at once', async () => {
  const bob = await signIn(server, 'bob@example.com')
  const first = (await deviceTokens(server, client, bob, MANAGING)).access_token
  const second = (await deviceTokens(server, client, bob)).access_token
  const { connections } = (await call(first, 'list_connections')).structuredContent as {
    connections: { id: string; current: boolean }[]
  }
  expect(connections.map(connection => connection.current).sort()).toEqual([false, true])
  const other = connections.find(connection => !connection.current)!
  expect((await call(first, 'revoke_connection', { id: other.id })).structuredContent).toEqual({
    revoked: true,
  } as never)
  expect((await rpc(server, second, 'tools/list')).status).toBe(401)
  expect((await rpc(server, first, 'tools/list')).status).toBe(200)
  expect(await call(first, 'revoke_connection', { id: other.id })).toMatchObject({
    isError: true,
    content: [{ text: expect.stringContaining('There is no such connection') }],
  })
})

test('ending other apps requires its own scope, which no client has unless its user was asked for it', async () => {
  const carol = await signIn(server, 'carol@example.com')
  const asked = await requestDevice(server, client, { scope: 'mcp connections:manage' })
  const path = (await enterCode(server, carol, asked.user_code)).headers.get('location')!
  expect(await (await server.get(path, { Cookie: carol })).text()).toContain(
    'Disconnect other apps that are connected as you',
  )

  const other = (await deviceTokens(server, client, carol)).access_token
  const { connections } = (await call(other, 'list_connections')).structuredContent as { connections: { id: string }[] }
  const form = { client_id: client }
  const byDefault = (await (await server.post('/api/oauth/device', form)).json()) as {
    user_code: string
    device_code: string
  }
  await decide(server, carol, byDefault.user_code)
  const tokens = (await (await poll(server, client, byDefault.device_code)).json()) as TokenAnswer
  expect(tokens.scope).toBe('mcp:tools:read mcp:tools:call')
  for (const value of [
    tokens.access_token,
    (await deviceTokens(server, client, carol, { scope: 'mcp' })).access_token,
  ]) {
    const tools = (await (await rpc(server, value, 'tools/list')).json()) as { result: { tools: { name: string }[] } }
    expect(tools.result.tools.map(({ name }) => name)).toEqual(['list_connections', 'whoami'])
    const refused = await rpc(server, value, 'tools/call', {
      name: 'revoke_connection',
      arguments: { id: connections[0]!.id },
    })
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
      403,
      `Bearer resource_metadata="${server.base}/.well-known/oauth-protected-resource/mcp", scope="mcp:tools:call connections:manage", error="insufficient_scope"`,
    ])
  }
  expect((await rpc(server, other, 'tools/list')).status).toBe(200)
})

test('nobody ends or sees another user’s connection', async () => {
  const mine = (await call(token, 'list_connections')).structuredContent as { connections: { id: string }[] }
  const eve = (await deviceTokens(server, client, await signIn(server, 'eve@example.com'), MANAGING)).access_token
  for (const { id } of mine.connections)
    expect(await call(eve, 'revoke_connection', { id })).toMatchObject({ isError: true })
  expect((await rpc(server, token, 'tools/list')).status).toBe(200)
})

describe('search_audit_log', () => {
  interface Found {
    events: { event: string; email?: string; client_id?: string; at: string; detail: { n?: string } }[]
    next_cursor?: string
  }
  const EVENTS = 25_000
  /** Older than everything that the tests here do. */
  const EPOCH = Date.UTC(2020, 0, 1)
  let admin: string
  const search = async (args: object) => (await call(admin, 'search_audit_log', args)).structuredContent as Found
  const numbers = ({ events }: Found) => events.map(({ detail }) => Number(detail.n))

  beforeAll(async () => {
    admin = await machineToken(server, ['mcp', 'admin'])
    const events = Array.from({ length: EVENTS }, (_, n) => ({
      at: new Date(EPOCH + Math.floor(n / 2) * 1000), // two at a time
      event: n % 1000 === 0 ? 'user.refused' : 'tool.called',
      userId: null,
      clientId: n % 5000 === 7 ? 'c_rare' : 'c_many',
      grantId: null,
      ip: n === 12_345 ? '2001:db8::7' : '192.0.2.1',
      detail: { n },
    }))
    for (let i = 0; i < EVENTS; i += 5_000) await insertAuditEvents(server.deps.sql, events.slice(i, i + 5_000), [])
  })

  test('is listed only where it may be called; a call without the scope names both required scopes', async () => {
    const { result } = (await (await rpc(server, token, 'tools/list')).json()) as {
      result: { tools: { name: string }[] }
    }
    expect(result.tools.map(tool => tool.name)).not.toContain('search_audit_log')
    for (const ask of [rpc, modernRpc]) {
      const refused = await ask(server, token, 'tools/call', { name: 'search_audit_log', arguments: {} })
      expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
        403,
        `Bearer resource_metadata="${server.base}/.well-known/oauth-protected-resource/mcp", scope="mcp:tools:call admin", error="insufficient_scope"`,
      ])
    }
  })

  test('shows the newest first: what, when, who and through which client', async () => {
    await call(token, 'whoami')
    const { events } = await search({ limit: 3, event: 'tool.called' })
    expect(events[0]).toMatchObject({
      ip: '127.0.0.1',
      event: 'tool.called',
      email: 'ada@example.com',
      client_id: client,
      detail: { tool: 'whoami' },
    })
    expect(events.map(({ at }) => at)).toEqual(
      events
        .map(({ at }) => at)
        .sort()
        .reverse(),
    )
  })

  test('finds by event, client, address, email and time, however far back', async () => {
    const until = new Date(EPOCH + 1e9).toISOString()
    expect(numbers(await search({ until, event: 'user.refused', limit: 3 }))).toEqual([24_000, 23_000, 22_000])
    expect(numbers(await search({ until, client_id: 'c_rare' }))).toEqual([20_007, 15_007, 10_007, 5_007, 7])
    expect(numbers(await search({ ip: '2001:db8::7' }))).toEqual([12_345])
    expect((await search({ email: 'ADA@example.com', event: 'user.signed_in' })).events).toHaveLength(1)
    const at = (n: number) => new Date(EPOCH + n * 1000).toISOString()
    expect(numbers(await search({ since: at(5), until: at(7) }))).toEqual([13, 12, 11, 10])
    expect(await search({ since: at(99_999), until: at(100_000) })).toEqual({ events: [] })
  })

  test('stops reading when its batch is full, even if the database has no statistics', async () => {
    const { sql } = server.deps
    await sql`delete from pg_statistic where starelid = 'audit_events'::regclass`
    const page = { before: { at: new Date(EPOCH + 12_000_000), id: '5' }, size: 1_000, limit: 50 }
    const filter = { ip: '2001:db8::7' }
    let plan = ''
    const explain = async (strings: readonly string[], ...values: never[]) => {
      const text = strings.with(0, `explain ${strings[0]}`)
      const rows = await sql<{ 'QUERY PLAN': string }[]>(Object.assign(text, { raw: text }) as never, ...values)
      plan = rows.map(row => row['QUERY PLAN']).join('\n')
      return [{ id: null }]
    }
    await searchAuditEvents(explain as never, filter, page)
    // The index, in its order, until the batch is full; nothing that reads all of the past first.
    expect(plan).toMatch(/CTE edge\s+-> {2}Limit .*\s+-> {2}Index (Only )?Scan Backward using audit_events_at/)
    expect(plan).toMatch(/Index Cond: .*at >= COALESCE/)
    for (const [key, index] of [
      [{ clientId: 'c_rare' }, 'audit_events_client'],
      [{ userId: crypto.randomUUID() }, 'audit_events_user'],
      [{ event: 'user.refused' }, 'audit_events_rare'],
    ] as const) {
      await searchIndexedEvents(explain as never, key, filter, page)
      expect(plan).toContain(index)
      expect(plan).not.toContain('audit_events_at')
    }
  })

  test.each<[filter: { client_id?: string; event?: string }, seconds: number, matches: (n: number) => boolean]>([
    [{}, 31, () => true],
    [{ client_id: 'c_many' }, 31, n => n !== 7],
    [{ client_id: 'c_many', event: 'tool.called' }, 31, n => n !== 7 && n !== 0],
    [{ event: 'user.refused' }, 12_500, n => n % 1000 === 0],
  ])('%j continues from its cursor, missing nothing and repeating nothing', async (filter, seconds, matches) => {
    const until = new Date(EPOCH + seconds * 1000).toISOString()
    const seen: number[] = []
    let cursor: string | undefined
    let pages = 0
    do {
      const page = await search({ ...filter, until, limit: 5, ...(cursor ? { cursor } : {}) })
      seen.push(...numbers(page))
      cursor = page.next_cursor
      pages++
    } while (cursor)
    expect(seen).toEqual(Array.from({ length: seconds * 2 }, (_, i) => seconds * 2 - 1 - i).filter(matches))
    expect(pages).toBe(Math.ceil(seen.length / 5)) // the last page is not an empty one
  })

  test.each([
    [{ limit: 0 }],
    [{ limit: 201 }],
    [{ event: 'no.such.event' }],
    [{ since: 'yesterday' }],
    [{ since: '0000-01-01T00:00:00Z' }],
    [{ until: '9999-12-31T23:59:59-01:00' }],
    [{ cursor: '0000-01-01T00:00:00.000Z_1' }],
    [{ cursor: 'x' }],
    [{ cursor: '2020-13-45T99:99:99Z_1' }],
    [{ cursor: "2020-01-01T00:00:00Z_1' or '1" }],
    [{ email: 'x'.repeat(400) }],
    [{ ip: 'a\u0000b' }],
  ])('%j is an answer that the agent can act on', async args => {
    const { isError, content } = await call(admin, 'search_audit_log', args)
    expect([isError, content[0]!.text]).toEqual([true, expect.stringMatching(/^Invalid arguments|cursor is not valid/)])
  })

  test('reports progress if asked to', async () => {
    const args = { name: 'search_audit_log', arguments: { ip: '2001:db8::404' } }
    const answer = await modernRpc(server, admin, 'tools/call', args, { meta: { progressToken: 'p' } })
    expect(answer.headers.get('content-type')).toBe('text/event-stream')
    const messages = [...(await answer.text()).matchAll(/data: (.*)/g)].map(match => JSON.parse(match[1]!))
    expect(messages.slice(0, -1).map(({ method, params }) => [method, params.progressToken, params.progress])).toEqual([
      ['notifications/progress', 'p', 1_000],
      ['notifications/progress', 'p', 21_000],
    ])
    expect(messages.at(-1)).toMatchObject({ id: 1, result: { structuredContent: { events: [] } } })
  })

  test.each([
    ['version 1', ClientV1, TransportV1],
    ['version 2', Client, StreamableHTTPClientTransport],
  ])('tells a client of the SDK, %s', async (_, AnyClient, AnyTransport) => {
    const sdk = new (AnyClient as typeof Client)({ name: 'test', version: '1' })
    const requestInit = { headers: { Authorization: `Bearer ${admin}` } }
    await sdk.connect(
      new (AnyTransport as typeof StreamableHTTPClientTransport)(new URL(`${server.base}/mcp`), { requestInit }),
    )
    const told: unknown[] = []
    const args = { name: 'search_audit_log', arguments: { ip: '2001:db8::404' } }
    const onprogress = (progress: { progress: number; message?: string }) =>
      void told.push([progress.progress, progress.message])
    // Version 1 has a parameter before the options.
    const call = sdk.callTool.bind(sdk) as (...given: unknown[]) => Promise<{ structuredContent: unknown }>
    const result = await (AnyClient === ClientV1 ? call(args, undefined, { onprogress }) : call(args, { onprogress }))
    expect(result.structuredContent).toEqual({ events: [] })
    expect(told).toEqual([
      [1_000, 'Searched 1000 events'],
      [21_000, 'Searched 21000 events'],
    ])
    await sdk.close()
  })

  test('stops when its caller disconnects (2026-07-28, "Cancellation")', async () => {
    await modernRpc(server, admin, 'tools/list') // from now on the dispatcher answers what asks for no progress
    let statements = 0
    const restore = slowDown(server, () => {
      statements += 1
      return 500
    })
    const args = { name: 'search_audit_log', arguments: { ip: '2001:db8::404' } }
    const ways: ((signal: AbortSignal) => Promise<Response>)[] = [
      signal => modernRpc(server, admin, 'tools/call', args, { meta: { progressToken: 1 }, signal }),
      signal => modernRpc(server, admin, 'tools/call', args, { signal }),
      // Of the revisions before, without a session: nobody could come back for the answer.
      signal =>
        fetch(`${server.base.replace('localhost', '127.0.0.1')}/mcp`, {
          method: 'POST',
          headers: { Authorization: `Bearer ${admin}`, 'Content-Type': 'application/json' },
          body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: args }),
          signal,
        }),
    ]
    for (const ask of ways) {
      statements = 0
      const stop = new AbortController()
      const left = ask(stop.signal).catch(error => error.name)
      await until(() => statements > 0)
      stop.abort()
      expect(await left).toBe('AbortError')
      await Bun.sleep(700) // there is no second one
      expect(statements).toBe(1)
    }
    restore()
  })
})
