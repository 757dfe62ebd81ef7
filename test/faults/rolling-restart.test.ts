/** Replicas of the binary are replaced one after the other, behind nginx, under load and under connected clients. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addMachine, faultDatabase, type Replica, runBinary, signInAt, startBinary, times } from '../support/faults.ts'
import { deviceTokens, modernRpc, registerClient, type TokenAnswer } from '../support/flows.ts'
import { node, startBridge } from '../support/mcp-remote.ts'
import { type Balancer, startBalancer } from '../support/nginx.ts'
import { freePort } from '../support/ports.ts'
import { connectClient, SESSION_CLIENTS } from '../support/sdk-versions.ts'
import { requestsTo } from '../support/server.ts'
import { openStream } from '../support/streams.ts'
import { until } from '../support/until.ts'

setDefaultTimeout(600_000)

const REPLICAS = times(3, 2)
const ROUNDS = times(4, 1)
const CLIENTS = 4

const home = mkdtempSync(join(tmpdir(), 'mcp-oauth-rolling-'))
let database: Awaited<ReturnType<typeof faultDatabase>>
let balancer: Balancer
let env: Record<string, string>
const replicas = new Map<number, Replica>()

/** The grace period lasts until the test has seen that the balancer knows. */
const start = (port: number) => startBinary({ ...env, PORT: String(port), SHUTDOWN_GRACE: '600' })

beforeAll(async () => {
  database = await faultDatabase('PostgreSQL')
  const ports = await Promise.all(Array.from({ length: REPLICAS }, freePort))
  const entrance = await freePort()
  env = { ...database.env, BASE_URL: `http://localhost:${entrance}`, TRUSTED_PROXIES: '127.0.0.1' }
  for (const port of ports) replicas.set(port, await start(port))
  balancer = await startBalancer(ports, entrance)
})
afterAll(async () => {
  await balancer?.close()
  for (const replica of replicas.values()) {
    replica.kill('SIGINT')
    await replica.exited
  }
  await database?.drop()
  rmSync(home, { recursive: true, force: true })
})

test(`a rolling restart of ${REPLICAS} replicas loses no request and no session, ${ROUNDS} times over`, async () => {
  const entrance = { ...requestsTo(balancer.base), base: env.BASE_URL! }
  const cookie = await signInAt(entrance, env)
  const machine = await addMachine(env)
  const { access_token } = await deviceTokens(entrance, await registerClient(entrance), cookie, { scope: 'mcp' })

  const counts = new Map<string, number>()
  const count = (what: string) => void counts.set(what, (counts.get(what) ?? 0) + 1)
  const inFlight = new Set<Promise<unknown>>()
  /** Does something again and again, and counts how it went. */
  let over = false
  async function repeat(name: string, work: () => Promise<unknown>): Promise<void> {
    for (; !over; await Bun.sleep(2)) {
      const running = work().then(
        outcome => count(`${name}: ${outcome}`),
        error => count(`${name}: ${error}`),
      )
      inFlight.add(running)
      await running
      inFlight.delete(running)
    }
  }

  /** Each request has a connection of its own: what is counted is what happens behind nginx. */
  const send = (path: string, init: RequestInit = {}) => fetch(balancer.base + path, { ...init, keepalive: false })
  let token = ''
  const load = async () => {
    const answer = await send('/api/oauth/token', { method: 'POST', body: new URLSearchParams(machine) })
    token = ((await answer.json()) as TokenAnswer).access_token
    const called = await send('/mcp', {
      method: 'POST',
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}',
    })
    await called.text()
    const metadata = await send('/.well-known/oauth-authorization-server')
    await metadata.text()
    return [answer.status, called.status, metadata.status].join(' ')
  }
  const added = await runBinary(['token', 'add', 'Script', '--user', 'ada@example.com'], env)
  const [personal] = /^mpt_\S+/m.exec(added)!
  const tokens = [personal, access_token, access_token]
  const clients = await Promise.all(SESSION_CLIENTS.map((which, i) => connectClient(which, balancer.base, tokens[i]!)))
  const sessions = clients.map(({ transport }) => transport.sessionId)
  const bridge = startBridge(`${env.BASE_URL}/mcp`, home, ['--header', `Authorization: Bearer ${access_token}`])
  if (node) await bridge.connect()
  const bridged = async () => {
    const { structuredContent } = await bridge.client.callTool({ name: 'whoami' })
    return (structuredContent as { user: { email: string } }).user.email
  }

  const running = [
    ...Array.from({ length: CLIENTS }, () => repeat('load', load)),
    ...SESSION_CLIENTS.map(([name], i) => repeat(name, clients[i]!.whoami)),
    ...(node ? [repeat('mcp-remote', bridged)] : []),
  ]
  for (let round = 0; round < ROUNDS; round++) {
    for (const [port, replica] of replicas) {
      replica.kill('SIGTERM')
      await balancer.isDown(port)
      await Promise.all([...inFlight]) // whatever nginx had sent there by then has been answered
      replica.kill('SIGINT')
      expect(await replica.exited).toBe(0)
      replicas.set(port, await start(port))
      await balancer.isUp(port)
      const before = counts.get('load: 200 200 200') ?? 0
      await until(() => (counts.get('load: 200 200 200') ?? 0) > before + 20)
    }
  }
  over = true
  await Promise.all(running)

  const expected = [
    'load: 200 200 200',
    ...SESSION_CLIENTS.map(([name]) => `${name}: ada@example.com`),
    ...(node ? ['mcp-remote: ada@example.com'] : []),
  ]
  expect([[...counts.keys()].sort(), await balancer.errors()]).toEqual([expected.sort(), expect.any(String)])
  expect(clients.map(({ transport }) => transport.sessionId)).toEqual(sessions)
  await bridge.client.close()
  for (const { sdk } of clients) await sdk.close()
  console.log(`${REPLICAS * ROUNDS} restarts: ${JSON.stringify(Object.fromEntries(counts))}`)
})

test('nginx buffers no stream, of either era: an event is there while its stream is open', async () => {
  const entrance = { ...requestsTo(balancer.base), base: env.BASE_URL! }
  const { access_token } = await deviceTokens(entrance, await registerClient(entrance), await signInAt(entrance, env))
  const headers = {
    Authorization: `Bearer ${access_token}`,
    'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream',
  }
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
  const began = await entrance.postJson('/mcp', { jsonrpc: '2.0', id: 0, method: 'initialize', params }, headers)
  await began.text()
  const session = { ...headers, 'Mcp-Session-Id': began.headers.get('mcp-session-id')! }
  const filter = { notifications: { toolsListChanged: true } }
  for (const ask of [
    (signal: AbortSignal) => fetch(`${balancer.base}/mcp`, { headers: session, signal }),
    (signal: AbortSignal) => modernRpc(entrance, access_token, 'subscriptions/listen', filter, { signal }),
  ]) {
    const stop = new AbortController()
    const stream = await openStream(ask(stop.signal), stop)
    expect(stream.answer.status).toBe(200)
    expect(await stream.readUntil('\n\n')).toContain('\n\n')
    stream.close()
  }
})
