/** The primary of PostgreSQL dies under the load of two replicas of the binary, and a standby takes over. */
import { afterEach, expect, setDefaultTimeout, test } from 'bun:test'
import postgres from 'postgres'
import { addMachine, ping, revokesOn, runBinary, signInAt, startReplicas, statusOf, times } from '../support/faults.ts'
import { deviceTokens, poll, registerClient, type TokenAnswer } from '../support/flows.ts'
import { patroniInstalled, startPatroni } from '../support/patroni.ts'
import { until } from '../support/until.ts'
import { startCluster } from '../support/with-postgres.ts'

setDefaultTimeout(600_000)

const opened: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

/** Two replicas on these hosts, with somebody signed in, and load. */
async function openService(hosts: string) {
  const { env, replicas, close } = await startReplicas({ DATABASE_URL: `postgres://postgres@${hosts}/postgres` })
  opened.push(close)
  const [server, other] = replicas
  const client = await registerClient(server)
  const machine = await addMachine(env)
  const ada = await signInAt(server, env)
  let tokens = await deviceTokens(server, client, ada)
  const revoked = [await revokesOn(replicas, machine)]
  const requestDevice = () => server.post('/api/oauth/device', { client_id: client })
  const refresh = () => {
    const { refresh_token } = tokens
    return server.post('/api/oauth/token', { grant_type: 'refresh_token', client_id: client, refresh_token })
  }
  const everyReplica = (status: number) =>
    Promise.all(replicas.map(replica => until(async () => (await statusOf(replica.get('/readyz'))) === status)))

  return {
    everyReplica,
    /** @param change Resolves once another server is the primary. @returns the statuses that were seen meanwhile. */
    async survives(change: () => Promise<unknown>): Promise<number[]> {
      const acknowledged: string[] = []
      const seen = new Set<number>()
      let over = false
      const load = [
        async () => {
          const answer = await other.post('/api/oauth/device', { client_id: client })
          seen.add(answer.status)
          const { device_code } = (await answer.json()) as { device_code: string }
          if (answer.status === 200) acknowledged.push(device_code)
        },
        async () => {
          const answer = await refresh()
          seen.add(answer.status)
          if (answer.status === 200) tokens = (await answer.json()) as TokenAnswer
        },
        async () => void seen.add(await ping(other, tokens.access_token)),
      ].map(async work => {
        for (; !over; await Bun.sleep(5)) await work()
      })
      await until(() => acknowledged.length > 20)
      await change()
      const promoted = performance.now()
      await everyReplica(200)
      await until(async () => (await statusOf(requestDevice())) === 200)
      const took = performance.now() - promoted
      over = true
      await Promise.all(load)
      console.log(`all works ${Math.round(took)} ms after the promotion, ${acknowledged.length} device codes are kept`)

      for (const code of acknowledged)
        expect(await (await poll(server, client, code)).json()).toMatchObject({ error: 'authorization_pending' })
      expect(await statusOf(refresh())).toBe(200)
      expect(await statusOf(server.get('/account', { Cookie: ada }))).toBe(200)
      for (const token of revoked) for (const replica of replicas) expect(await ping(replica, token)).toBe(401)
      revoked.push(await revokesOn(replicas, machine))
      expect(await runBinary(['connection', 'list'], env)).toContain('ada@example.com')
      return [...seen].sort()
    },
  }
}

test('a standby is found: 503 until it is promoted, then all works; nothing acknowledged is lost, revocations are kept', async () => {
  const primary = await startCluster()
  opened.push(() => primary.remove())
  const standby = await startCluster({ primary })
  opened.push(() => standby.remove())
  const admin = postgres(primary.url, { max: 1, onnotice: () => {} })
  await admin`alter system set synchronous_standby_names = '*'`
  await admin`select pg_reload_conf()`
  await until(async () => (await admin`select from pg_stat_replication where sync_state = 'sync'`).length === 1)
  await admin.end()

  const service = await openService(`127.0.0.1:${primary.port},127.0.0.1:${standby.port}`)
  const seen = await service.survives(async () => {
    await primary.stop('immediate')
    await service.everyReplica(503)
    await standby.promote()
  })
  expect(seen).toEqual([200, 503])
})

const ROUNDS = 3
/** Less than anybody would choose, so that the test need not wait. */
const TTL_S = 5

test.skipIf(!patroniInstalled || times(0, 1) === 1)(
  `Patroni replaces the primary ${ROUNDS} times after a crash and hands it over as often: nothing acknowledged is lost, revocations are kept`,
  async () => {
    const patroni = await startPatroni(TTL_S)
    opened.push(() => patroni.remove())
    await patroni.ready()
    const service = await openService(patroni.hosts)
    for (let round = 0; round < ROUNDS; round++) {
      const primary = await patroni.ready()
      const seen = await service.survives(async () => {
        const crashed = performance.now()
        await patroni.crash(primary)
        await service.everyReplica(503)
        await patroni.replaced(primary)
        console.log(`another primary ${Math.round(performance.now() - crashed)} ms after the crash`)
      })
      expect(seen).toEqual([200, 503])
      patroni.revive(primary)
      const next = await patroni.ready()
      const handedOver = await service.survives(async () => {
        await patroni.switchOver(next)
        await patroni.replaced(next)
      })
      expect(handedOver.filter(status => ![200, 503].includes(status))).toEqual([])
    }
    await patroni.ready() // those that were replaced follow again
  },
)
