/** What SIGTERM does, in the order in which a load balancer and its clients see it. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { connect, type Socket } from 'node:net'
import { signInAt, startBinary } from '../support/faults.ts'
import { deviceTokens, registerClient } from '../support/flows.ts'
import { serve } from '../support/processes.ts'
import { migratedDatabase } from '../support/server.ts'
import { openStream } from '../support/streams.ts'

setDefaultTimeout(300_000)

/** Of four connections, each of which may have 32 sessions. */
const STREAMS = 100
const CALLS = 100

let database: Awaited<ReturnType<typeof migratedDatabase>>
const sockets: Socket[] = []
beforeAll(async () => {
  database = await migratedDatabase()
})
afterAll(async () => {
  for (const socket of sockets) socket.destroy()
  await database.drop()
})

const start = (env: Record<string, string>) => serve({ ...database.env, LOG_LEVEL: 'info', ...env })

/** A connection that stays open between requests, as a proxy keeps them. */
async function keepAlive(port: number) {
  const socket = connect(port, '127.0.0.1')
  sockets.push(socket)
  let received = ''
  let changed = Promise.withResolvers<void>()
  const change = () => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  const closed = new Promise<number>(resolve => socket.on('close', () => resolve(performance.now())))
  socket.on('data', chunk => {
    received += chunk.toString('latin1')
    change()
  })
  socket.on('close', change)
  socket.on('error', () => socket.destroy())
  await new Promise<void>(resolve => socket.once('connect', resolve))
  return {
    closed,
    isOpen: () => !socket.destroyed,
    write: (text: string) => socket.write(text),
    /** The head of the next response that has one. */
    async answer(): Promise<string> {
      while (!received.includes('\r\n\r\n') && !socket.destroyed) await changed.promise
      const [head = ''] = received.split('\r\n\r\n')
      received = ''
      return head
    },
    async get(path: string, method = 'GET'): Promise<string> {
      socket.write(`${method} ${path} HTTP/1.1\r\nHost: localhost:${port}\r\n\r\n`)
      return this.answer()
    },
  }
}

const endsConnection = (head: string) => /^connection: close$/im.test(head)
const statusOf = (head: string) => Number(head.split(' ')[1])

describe('SIGTERM', () => {
  test('readyz fails first; requests are served with Connection: close during the grace period; then connections close', async () => {
    const grace = 5
    const program = await start({ SHUTDOWN_GRACE: String(grace) })
    const [used, idle, slow] = await Promise.all([1, 2, 3].map(() => keepAlive(program.port)))
    for (const connection of [used!, idle!]) {
      const head = await connection.get('/readyz')
      expect([statusOf(head), endsConnection(head)]).toEqual([200, false])
    }
    const body = '{"client_name":"Slow","grant_types":["urn:ietf:params:oauth:grant-type:device_code"]}'
    slow!.write(
      `POST /api/oauth/register HTTP/1.1\r\nHost: localhost:${program.port}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 20)}`,
    )
    await (await keepAlive(program.port)).get('/healthz') // so the server has seen the half request, which came first

    const signalled = performance.now()
    program.kill('SIGTERM')
    await program.printed('"signal":"SIGTERM"')
    const ready = await used!.get('/readyz')
    expect([statusOf(ready), endsConnection(ready)]).toEqual([503, true])
    await used!.closed
    for (const [method, path, status] of [
      ['GET', '/healthz', 200],
      ['GET', '/', 200],
      ['GET', '/.well-known/oauth-authorization-server', 200],
      ['GET', '/assets/style.css', 200],
      ['GET', '/auth/device', 303],
      ['GET', '/nowhere', 404],
      ['GET', '/api/oauth/token', 405],
      ['OPTIONS', '/mcp', 204],
      ['GET', '/mcp', 401],
      ['POST', '/api/oauth/token', 401],
    ] as const) {
      const connection = await keepAlive(program.port)
      const head = await connection.get(path, method)
      expect([path, statusOf(head), endsConnection(head)]).toEqual([path, status, true])
      await connection.closed
    }
    expect(idle!.isOpen()).toBe(true) // or nothing above was within the grace
    expect((await idle!.closed) - signalled).toBeGreaterThan(grace * 1000 - 50)

    await expect(fetch(`${program.base}/healthz`)).rejects.toThrow()
    slow!.write(body.slice(20))
    const finished = await slow!.answer()
    expect([statusOf(finished), endsConnection(finished)]).toEqual([201, true])
    expect(await program.exited).toBe(0)
  })

  test('a hundred streams end, and a hundred calls in flight are answered', async () => {
    const env = { ...database.env, LOG_LEVEL: 'info', SHUTDOWN_GRACE: '0', BASE_URL: 'http://localhost:3000' }
    const server = await startBinary(env)
    const client = await registerClient(server)
    const cookie = await signInAt(server, env)
    const tokens = await Promise.all([1, 2, 3, 4].map(() => deviceTokens(server, client, cookie)))
    const bearer = (i: number) => ({
      Authorization: `Bearer ${tokens[i % 4]!.access_token}`,
      Accept: 'application/json, text/event-stream',
    })
    const begin = async (i: number) => {
      const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
      const message = { jsonrpc: '2.0', id: 0, method: 'initialize', params }
      const answer = await server.postJson('/mcp', message, bearer(i))
      await answer.text()
      return { ...bearer(i), 'Mcp-Session-Id': answer.headers.get('mcp-session-id')! }
    }
    const url = `http://127.0.0.1:${server.port}/mcp`
    const streams = await Promise.all(
      Array.from({ length: STREAMS }, async (_, i) => {
        const stop = new AbortController()
        const stream = await openStream(fetch(url, { headers: await begin(i), signal: stop.signal }), stop)
        await stream.readUntil('\n')
        return stream
      }),
    )
    const body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}'
    const head = `POST /mcp HTTP/1.1\r\nHost: localhost:${server.port}\r\nContent-Type: application/json\r\nAuthorization: Bearer ${tokens[0]!.access_token}\r\nContent-Length: ${body.length}\r\n\r\n`
    const calls = await Promise.all(Array.from({ length: CALLS }, () => keepAlive(server.port)))
    for (const call of calls) call.write(head + body.slice(0, 40))
    await (await keepAlive(server.port)).get('/healthz') // so the server has seen the half requests, which came first
    server.kill('SIGTERM')
    await server.printed('"signal":"SIGTERM"')
    await Promise.all(streams.map(stream => stream.rest()))
    for (const call of calls) call.write(body.slice(40))
    const heads = await Promise.all(calls.map(call => call.answer()))
    expect(heads.map(statusOf)).toEqual(Array(CALLS).fill(200))
    expect(await server.exited).toBe(0)
  })

  test('a request that never ends does not keep the server from exiting', async () => {
    const program = await start({ SHUTDOWN_GRACE: '0' })
    const stuck = await keepAlive(program.port)
    stuck.write(
      `POST /api/oauth/register HTTP/1.1\r\nHost: localhost:${program.port}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`,
    )
    await (await keepAlive(program.port)).get('/healthz')
    const signalled = performance.now()
    program.kill('SIGTERM')
    expect(await program.exited).toBe(0)
    expect(performance.now() - signalled).toBeGreaterThan(5_000)
  })

  test('Ctrl-C skips the grace period, or ends one that has begun', async () => {
    for (const first of ['SIGINT', 'SIGTERM'] as const) {
      const program = await start({ SHUTDOWN_GRACE: '600' })
      program.kill(first)
      await program.printed(`"signal":"${first}"`)
      program.kill('SIGINT')
      expect(await program.exited).toBe(0)
    }
  })
})
