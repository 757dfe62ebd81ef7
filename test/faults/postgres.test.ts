/** PostgreSQL stops, hangs and loses connections under the load of two replicas of the binary. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import postgres from 'postgres'
import { addMachine, type Replica, signInAt, startBinary, statusOf, times } from '../support/faults.ts'
import { deviceTokens, registerClient, rpc, type TokenAnswer } from '../support/flows.ts'
import { until } from '../support/until.ts'
import { type Cluster, startCluster } from '../support/with-postgres.ts'

setDefaultTimeout(600_000)

/** Whose connections are those of notifications, and no others. */
const LISTENER = 'listener'
/** Statuses while the database is away. */
const ANSWERS = [200, 503]

let cluster: Cluster
let env: Record<string, string>
let server: Replica
let other: Replica
let ada: string
let client: string
let tokens: TokenAnswer
let machine: Record<string, string>

beforeAll(async () => {
  cluster = await startCluster()
  const admin = postgres(cluster.url, { max: 1 })
  await admin.unsafe(`create role ${LISTENER} login`)
  await admin.end()
  env = {
    DATABASE_URL: cluster.url,
    DATABASE_LISTEN_URL: cluster.url.replace('postgres@', `${LISTENER}@`),
    AUTH_SECRET: 'a secret of the tests, 32 characters or more',
    BASE_URL: 'http://localhost:3000',
  }
  server = await startBinary(env)
  other = await startBinary(env)
  ada = await signInAt(server, env)
  client = await registerClient(server)
  tokens = await deviceTokens(server, client, ada)
  machine = await addMachine(env)
})
afterAll(async () => {
  for (const replica of [server, other]) {
    replica.kill('SIGTERM')
    expect(await replica.exited).toBe(0)
  }
  await cluster.remove()
})

const work: [string, () => Promise<Response>][] = [
  ['device', () => server.post('/api/oauth/device', { client_id: client })],
  ['ping', () => rpc(other, tokens.access_token, 'ping')],
  ['account', () => other.get('/account', { Cookie: ada })],
  ['client credentials', () => server.post('/api/oauth/token', machine)],
]
const refresh = () =>
  server.post('/api/oauth/token', {
    grant_type: 'refresh_token',
    client_id: client,
    refresh_token: tokens.refresh_token,
  })

/** Everything works on both replicas, for more requests at once than the pool has connections. */
async function works(): Promise<void> {
  for (const replica of [server, other]) await until(async () => (await statusOf(replica.get('/readyz'))) === 200)
  await until(async () => {
    const many = Array.from({ length: 24 }, (_, i) =>
      statusOf((i % 2 ? server : other).get('/account', { Cookie: ada })),
    )
    return (await Promise.all(many)).every(status => status === 200)
  })
  for (const [, send] of work) await until(async () => (await statusOf(send())) === 200)
}

/** Does the work over and over meanwhile, and refreshes a token that must survive. @returns the statuses seen. */
async function underLoad(trouble: () => Promise<void>): Promise<number[]> {
  const seen = new Set<number>()
  let over = false
  const loads = work.map(async ([, send]) => {
    for (; !over; await Bun.sleep(5)) seen.add(await statusOf(send()))
  })
  const refreshing = (async () => {
    for (; !over; await Bun.sleep(5)) {
      const answer = await refresh()
      seen.add(answer.status)
      // An answer that was lost is asked for again with the same token.
      if (answer.status === 200) tokens = (await answer.json()) as TokenAnswer
    }
  })()
  try {
    await trouble()
    await works()
  } finally {
    over = true
    await Promise.all([...loads, refreshing])
  }
  return [...seen].sort()
}

describe('PostgreSQL', () => {
  const ROUNDS = times(20, 2)

  test(`stopped under load, in order and as by a crash, ${ROUNDS} times: every answer is 200 or 503, and all recovers`, async () => {
    let slowest = 0
    for (let round = 0; round < ROUNDS; round++) {
      const seen = await underLoad(async () => {
        await cluster.stop(round % 2 ? 'fast' : 'immediate')
        await until(async () => (await statusOf(server.get('/readyz'))) === 503)
        await cluster.start()
        const began = performance.now()
        await works()
        slowest = Math.max(slowest, performance.now() - began)
      })
      expect(seen).toEqual(ANSWERS)
    }
    console.log(`${ROUNDS} restarts of PostgreSQL: all works again ${Math.round(slowest)} ms at most after it is up`)
  })

  test('that accepts no connections, its open ones still working, disturbs nobody', async () => {
    await works()
    cluster.freeze(false)
    try {
      for (let i = 0; i < 20; i++) for (const [, send] of work) expect(await statusOf(send())).toBe(200)
    } finally {
      cluster.thaw()
    }
    await works()
  })

  test('that hangs makes what needs it answer 503 and the rest work, until it goes on', async () => {
    const seen = await underLoad(async () => {
      cluster.freeze(true)
      try {
        for (const replica of [server, other]) await until(async () => (await statusOf(replica.get('/readyz'))) === 503)
        for (let i = 0; i < times(60, 3); i++) {
          expect(await statusOf(server.post('/api/oauth/device', { client_id: client }))).toBe(503)
          expect(await statusOf(rpc(other, tokens.access_token, 'ping'))).toBe(503)
          expect(await statusOf(server.get('/healthz'))).toBe(200)
          expect(await statusOf(other.get('/.well-known/jwks.json'))).toBe(200)
          await Bun.sleep(1_000)
        }
      } finally {
        cluster.thaw()
      }
    })
    expect(seen).toEqual(ANSWERS)
  })

  test('that ends every connection, or no longer answers that of notifications, costs no revocation', async () => {
    const admin = postgres(cluster.url, { max: 1 })
    const { grant_type: _, ...credentials } = machine
    const pids = async (user: string) =>
      (
        await admin`select pid from pg_stat_activity where application_name = 'mcp-oauth-server' and usename like ${user}`
      ).map(({ pid }) => pid as number)
    for (let round = 0; round < times(20, 3); round++) {
      await works()
      const answer = await server.post('/api/oauth/token', machine)
      const { access_token } = (await answer.json()) as TokenAnswer
      await until(async () => (await statusOf(rpc(other, access_token, 'ping'))) === 200)
      const silent = round % 2 === 1
      const broken = await pids(silent ? LISTENER : '%')
      expect(broken.length).toBeGreaterThanOrEqual(2)
      for (const pid of broken) process.kill(pid, silent ? 'SIGSTOP' : 'SIGTERM')
      const revoked = () => server.post('/api/oauth/revoke', { ...credentials, token: access_token })
      await until(async () => (await statusOf(revoked())) === 200)
      await until(async () => (await statusOf(rpc(other, access_token, 'ping'))) === 401)
      if (silent) for (const pid of broken) process.kill(pid, 'SIGCONT')
    }
    await admin.end()
  })

  test('without a free connection answers 503 at worst, and all works when there are some again', async () => {
    const admin = postgres(cluster.url, { max: 1 })
    await admin`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mcp-oauth-server'`
    await admin.end()
    const hoarders: postgres.Sql[] = []
    for (let full = false; !full; ) {
      const hoarder = postgres(cluster.url, { max: 1, idle_timeout: 0, connection: { application_name: 'hoarder' } })
      full = await hoarder`select 1`.then(
        () => false,
        error => (error as postgres.PostgresError).code === '53300',
      )
      hoarders.push(hoarder)
    }
    const seen = new Set<number>()
    for (let i = 0; i < 10; i++) await Promise.all(work.map(async ([, send]) => seen.add(await statusOf(send()))))
    expect([...seen].filter(status => !ANSWERS.includes(status))).toEqual([])
    await Promise.all(hoarders.map(hoarder => hoarder.end({ timeout: 1 }).catch(() => {})))
    await works()
  })
})
