/** Replicas of the compiled binary are replaced one after the other, behind nginx and under load. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { binary } from '../support/binary.ts'
import { follow } from '../support/command.ts'
import { type Balancer, startBalancer } from '../support/nginx.ts'
import { freePort } from '../support/ports.ts'
import { emptyDatabase, onPostgres } from '../support/server.ts'

setDefaultTimeout(120_000)

const GRACE_SECONDS = '2'
const ROUNDS = 4
const CLIENTS = 4

const work = mkdtempSync(join(tmpdir(), 'mcp-oauth-rolling-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

// Two processes share a database only if it is a PostgreSQL.
describe.skipIf(!onPostgres)('a rolling restart of two replicas behind nginx', () => {
  let database: Awaited<ReturnType<typeof emptyDatabase>>
  let balancer: Balancer
  const replicas = new Map<number, Awaited<ReturnType<typeof startReplica>>>()
  const env = (port: number, base: string): Record<string, string> => ({
    PATH: process.env.PATH ?? '',
    DATABASE_URL: database.env.DATABASE_URL!,
    AUTH_SECRET: database.env.AUTH_SECRET!,
    BASE_URL: base,
    PORT: String(port),
    SHUTDOWN_GRACE: GRACE_SECONDS,
    TRUSTED_PROXIES: '127.0.0.1',
  })

  async function startReplica(port: number) {
    const child = Bun.spawn([binary()], {
      cwd: work,
      env: env(port, 'http://localhost:3000'),
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'inherit',
    })
    const stdout = follow(child.stdout)
    await stdout.until(/is listening on/)
    void stdout.text()
    return child
  }

  beforeAll(async () => {
    database = await emptyDatabase()
    for (const port of [await freePort(), await freePort()]) replicas.set(port, await startReplica(port))
    balancer = await startBalancer([...replicas.keys()])
  })
  afterAll(async () => {
    await balancer?.close()
    for (const child of replicas.values()) {
      child.kill('SIGKILL')
      await child.exited
    }
    await database?.drop()
  })

  test(`loses no request, ${ROUNDS} times over`, async () => {
    const added = Bun.spawnSync([binary(), 'client', 'add', 'Load', '--grant', 'client_credentials'], {
      cwd: work,
      env: env(1, 'http://localhost:3000'),
    }).stdout.toString()
    const [, id] = /client_id +(\S+)/.exec(added)!
    const [, secret] = /client_secret +(\S+)/.exec(added)!
    const counts = new Map<string, number>()
    let over = false

    /** One request of its own connection: what is counted is what happens behind nginx. */
    async function send(path: string, init: RequestInit): Promise<Response | undefined> {
      const outcome = await fetch(balancer.base + path, { ...init, keepalive: false }).catch(error => error as Error)
      const what = outcome instanceof Error ? outcome.message : String(outcome.status)
      counts.set(`${path} ${what}`, (counts.get(`${path} ${what}`) ?? 0) + 1)
      return outcome instanceof Error ? undefined : outcome
    }
    async function load(): Promise<void> {
      while (!over) {
        const form = new URLSearchParams({ grant_type: 'client_credentials', client_id: id!, client_secret: secret! })
        const answer = await send('/api/oauth/token', { method: 'POST', body: form })
        const { access_token } = answer?.ok ? ((await answer.json()) as { access_token: string }) : {}
        const called = await send('/mcp', {
          method: 'POST',
          headers: { Authorization: `Bearer ${access_token}`, 'Content-Type': 'application/json' },
          body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","arguments":{}}}',
        })
        await called?.text()
        await (await send('/.well-known/oauth-authorization-server', {}))?.text()
      }
    }

    const clients = Array.from({ length: CLIENTS }, load)
    const codes: (number | null)[] = []
    for (let round = 0; round < ROUNDS; round++) {
      for (const [port, child] of replicas) {
        child.kill('SIGTERM')
        codes.push(await child.exited)
        replicas.set(port, await startReplica(port))
        await balancer.isUp(port)
      }
    }
    over = true
    await Promise.all(clients)

    expect(codes).toEqual(Array(2 * ROUNDS).fill(0))
    const expected = ['/.well-known/oauth-authorization-server 200', '/api/oauth/token 200', '/mcp 200']
    expect([[...counts.keys()].sort(), await balancer.errors()]).toEqual([expected, expect.any(String)])
    for (const count of counts.values()) expect(count).toBeGreaterThan(100)
  })
})
