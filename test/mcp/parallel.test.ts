import { heapStats } from 'bun:jsc'
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { deviceTokens, machineToken, modernRpc, registerClient, rpc, signIn } from '../support/flows.ts'
import { hold, slowDown, startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'

let server: TestServer
let client: string

beforeAll(async () => {
  server = await startServer()
  client = await registerClient(server)
})
afterAll(() => server.close())

describe('many at once', () => {
  test('200 slow calls of 20 principals: every answer reaches its own caller, in both eras', async () => {
    const people = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const email = `person-${i}@example.com`
        return { email, token: (await deviceTokens(server, client, await signIn(server, email))).access_token }
      }),
    )
    // Responses overtake each other: every statement is delayed differently.
    const restore = slowDown(server, () => Math.random() * 100)
    const calls = Array.from({ length: 200 }, async (_, i) => {
      const { email, token } = people[i % 20]!
      const answer = await (i % 2 ? modernRpc : rpc)(server, token, 'tools/call', { name: 'whoami', arguments: {} })
      const { result } = (await answer.json()) as { result: { structuredContent: { user: { email: string } } } }
      return [email, result.structuredContent.user.email]
    })
    for (const [asked, told] of await Promise.all(calls)) expect(told).toBe(asked!)
    restore()
  })

  test('128 calls of one person at once: more get 429, and nobody else does', async () => {
    const [bob, eve] = await Promise.all(
      ['bob@example.com', 'eve@example.com'].map(
        async email => (await deviceTokens(server, client, await signIn(server, email))).access_token,
      ),
    )
    const whoami = async (token: string) =>
      (await (await rpc(server, token, 'tools/call', { name: 'whoami', arguments: {} })).json()) as {
        result: { isError?: boolean; content: { text: string }[] }
      }
    const { held, release } = hold(server)
    const refused: string[] = []
    const calls = Array.from({ length: 200 }, async () => {
      const { isError, content } = (await whoami(bob!)).result
      if (isError) refused.push(content[0]!.text)
    })
    await until(() => refused.length === 72)
    const before = held()
    const others = whoami(eve!)
    await until(() => held() > before)
    release()
    expect((await others).result.isError).toBeUndefined()
    await Promise.all(calls)
    expect(refused).toEqual(Array(72).fill('128 calls are already in progress; wait until some have finished.'))
    expect((await whoami(bob!)).result.isError).toBeUndefined()
  })

  test('4 searches of the audit log by one person at once', async () => {
    const admin = await machineToken(server, ['mcp', 'admin'])
    const { release } = hold(server)
    const search = async () => {
      const answer = await rpc(server, admin, 'tools/call', { name: 'search_audit_log', arguments: {} })
      return ((await answer.json()) as { result: { isError?: boolean } }).result.isError === true
    }
    let refused = 0
    const searches = Array.from({ length: 6 }, async () => {
      if (await search()) refused += 1
    })
    await until(() => refused === 2)
    release()
    await Promise.all(searches)
    expect(refused).toBe(2)
    expect(await search()).toBe(false)
  })

  test('5,000 aborted connections leave nothing behind: memory, streams, timers', async () => {
    const { access_token } = await deviceTokens(server, client, await signIn(server))
    const url = (path: string) => server.base.replace('localhost', '127.0.0.1') + path
    const headers = { Authorization: `Bearer ${access_token}`, Accept: 'application/json, text/event-stream' }
    const initialize = {
      jsonrpc: '2.0',
      id: 0,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
    }
    const begun = await server.postJson('/mcp', initialize, headers)
    await begun.text()
    const inSession = { ...headers, 'Mcp-Session-Id': begun.headers.get('mcp-session-id')! }
    const whoami = { name: 'whoami', arguments: {} }
    const message = { jsonrpc: '2.0', method: 'tools/call', params: whoami }
    let id = 0
    const listen = (signal?: AbortSignal) => {
      const filter = { notifications: { toolsListChanged: true } }
      return modernRpc(server, access_token, 'subscriptions/listen', filter, signal && { signal })
    }
    const kinds: ((signal: AbortSignal) => Promise<Response>)[] = [
      signal => fetch(url('/sse'), { headers, signal }),
      signal => fetch(url('/mcp'), { headers: inSession, signal }),
      listen,
      signal => modernRpc(server, access_token, 'tools/call', whoami, { signal }),
      signal => {
        const body = JSON.stringify({ ...message, id: ++id })
        return fetch(url('/mcp'), {
          method: 'POST',
          body,
          headers: { ...inSession, 'Content-Type': 'application/json' },
          signal,
        })
      },
    ]
    /** Breaks a connection off as soon as it is answered, or a moment after the request. */
    const connectAndAbort = async (i: number) => {
      const abort = new AbortController()
      const answer = kinds[i % kinds.length]!(abort.signal)
      if (i % 2) setTimeout(() => abort.abort(), 1)
      else
        answer.then(
          () => abort.abort(),
          () => {},
        )
      const status = await answer.then(
        ({ status }) => status,
        error => error.name,
      )
      expect([200, 'AbortError']).toContain(status)
      abort.abort()
    }
    const round = async (count: number) => {
      for (let i = 0; i < count; i += 10)
        await Promise.all(Array.from({ length: 10 }, (_, k) => connectAndAbort(i + k)))
      await Bun.sleep(300) // nothing says when the last of them is forgotten
      Bun.gc(true)
      const { objectTypeCounts } = heapStats() as { objectTypeCounts: Record<string, number> }
      const open = ['ReadableStream', 'ReadableStreamDefaultController', 'Timeout', 'Response', 'Map', 'AsyncGenerator']
      return { heap: process.memoryUsage().heapUsed, objects: open.map(type => objectTypeCounts[type] ?? 0) }
    }
    const before = await round(1000)
    const after = await round(4000)
    expect(after.heap - before.heap).toBeLessThan(20 * 1024 * 1024)
    for (const [i, count] of after.objects.entries()) expect(count - before.objects[i]!).toBeLessThan(200)
    // One connection has room for 64 streams: there would be none if broken ones still counted.
    const streams = await Promise.all(Array.from({ length: 64 }, () => listen()))
    expect(streams.map(answer => answer.status)).toEqual(Array(64).fill(200))
    for (const answer of streams) await answer.body?.cancel()
  })
})
