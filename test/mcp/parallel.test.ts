import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { deviceTokens, modernRpc, registerClient, rpc, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

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
    const sql = server.deps.sql
    // Answers overtake each other: every statement waits for a time of its own.
    server.deps.sql = new Proxy(sql, {
      apply: async (target, self, args) => {
        await Bun.sleep(Math.random() * 100)
        return Reflect.apply(target as never, self, args)
      },
    })
    const calls = Array.from({ length: 200 }, async (_, i) => {
      const { email, token } = people[i % 20]!
      const answer = await (i % 2 ? modernRpc : rpc)(server, token, 'tools/call', { name: 'whoami', arguments: {} })
      const { result } = (await answer.json()) as { result: { structuredContent: { user: { email: string } } } }
      return [email, result.structuredContent.user.email]
    })
    for (const [asked, told] of await Promise.all(calls)) expect(told).toBe(asked!)
    server.deps.sql = sql
  })

  test('5,000 connections that are opened and broken off leave nothing behind', async () => {
    const { access_token } = await deviceTokens(server, client, await signIn(server))
    const headers = { Authorization: `Bearer ${access_token}`, Accept: 'text/event-stream' }
    const url = `${server.base.replace('localhost', '127.0.0.1')}/sse`
    const connectAndAbort = async () => {
      const abort = new AbortController()
      const answer = await fetch(url, { headers, signal: abort.signal })
      abort.abort()
      return answer.status
    }
    const round = async (count: number) => {
      for (let i = 0; i < count; i += 8) await Promise.all(Array.from({ length: 8 }, connectAndAbort))
      await Bun.sleep(100)
      Bun.gc(true)
      return process.memoryUsage().heapUsed
    }
    const before = await round(1000)
    const after = await round(4000)
    expect(after - before).toBeLessThan(20 * 1024 * 1024)
    // A principal has room for 32 streams: there would be none if broken ones still counted.
    const open = await Promise.all(Array.from({ length: 32 }, () => fetch(url, { headers })))
    expect(open.map(answer => answer.status)).toEqual(Array(32).fill(200))
    for (const answer of open) await answer.body?.cancel()
  })
})
