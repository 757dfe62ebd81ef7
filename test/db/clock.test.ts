import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import pino from 'pino'
import { databaseTime } from '../../sql/index.ts'
import { openClock } from '../../src/db/clock.ts'
import {
  decide,
  deviceTokens,
  poll,
  registerClient,
  requestDevice,
  rpc,
  signIn,
  type TokenAnswer,
} from '../support/flows.ts'
import { startReplica, startServer, type TestServer, timeSources } from '../support/server.ts'

setDefaultTimeout(300_000)

let server: TestServer
/** Two minutes ahead, by the clock of its machine. */
let ahead: TestServer
let client: string
let ada: string

beforeAll(async () => {
  server = await startServer()
  ahead = await startReplica(server, {}, 120)
  client = await registerClient(server)
  ada = await signIn(server)
})
afterAll(async () => {
  await ahead.close()
  await server.close()
})

const refresh = async (replica: TestServer, refresh_token: string): Promise<TokenAnswer & { error?: string }> => {
  const form = { grant_type: 'refresh_token', client_id: client, refresh_token }
  return (await (await replica.post('/api/oauth/token', form)).json()) as TokenAnswer & { error?: string }
}
const errorOf = async (answer: Response) => ((await answer.json()) as { error?: string }).error
const statusOf = async (replica: TestServer, token: string) => (await rpc(replica, token, 'tools/list')).status

describe('two replicas, one of them with its clock two minutes ahead', () => {
  test('a refresh on one and its retry on the other get one successor, in both orders', async () => {
    for (const [first, second] of [
      [server, ahead],
      [ahead, server],
    ] as const) {
      const { refresh_token } = await deviceTokens(server, client, ada)
      const rotated = await refresh(first, refresh_token)
      const retried = await refresh(second, refresh_token)
      expect([rotated.error, retried.refresh_token]).toEqual([undefined, rotated.refresh_token])
      expect(await statusOf(first, retried.access_token)).toBe(200)
      expect((await refresh(second, retried.refresh_token)).error).toBeUndefined()
    }
  })

  test('a device that polls them in turn every five seconds is never told to slow down', async () => {
    const { device_code, user_code } = await requestDevice(ahead, client)
    for (const replica of [ahead, server, ahead, server]) {
      expect(await errorOf(await poll(replica, client, device_code))).toBe('authorization_pending')
      server.clock.advance(5)
    }
    expect(await errorOf(await poll(ahead, client, device_code))).toBe('authorization_pending')
    expect(await errorOf(await poll(server, client, device_code))).toBe('slow_down')
    await decide(server, ada, user_code)
    expect((await poll(ahead, client, device_code)).status).toBe(200)
  })

  test('a token expires on both at the same moment, whichever issued it', async () => {
    const { access_token } = await deviceTokens(ahead, client, ada)
    server.clock.advance(3598)
    for (const replica of [server, ahead]) expect(await statusOf(replica, access_token)).toBe(200)
    server.clock.advance(3)
    for (const replica of [server, ahead]) expect(await statusOf(replica, access_token)).toBe(401)
  })
})

describe('a machine whose clock is set while the server runs', () => {
  afterEach(async () => {
    ada = await signIn(server)
  })

  test.each([
    ['a day ahead', 86_400],
    ['a day back', -86_400],
  ])('%s: nothing expires, nothing comes back', async (_, seconds) => {
    const [kept, ended] = [await deviceTokens(server, client, ada), await deviceTokens(server, client, ada)]
    await server.post('/api/oauth/revoke', { client_id: client, token: ended.refresh_token })
    server.clock.set(seconds)
    expect([await statusOf(server, kept.access_token), await statusOf(server, ended.access_token)]).toEqual([200, 401])
    await server.deps.db.sql`select 1` // by now it has asked the database for its time
    const rotated = await refresh(server, kept.refresh_token)
    expect((await refresh(server, kept.refresh_token)).refresh_token).toBe(rotated.refresh_token)
    server.clock.set(-seconds)
    expect([await statusOf(server, kept.access_token), await statusOf(server, ended.access_token)]).toEqual([200, 401])
  })
})

describe('the clock', () => {
  /** What is logged on a machine whose clock is that far ahead of the database's. */
  async function warningsOf(aheadSeconds: number): Promise<Record<string, unknown>[]> {
    const lines: Record<string, unknown>[] = []
    const log = pino({ level: 'info' }, { write: line => void lines.push(JSON.parse(line)) })
    const clock = await openClock(
      server.deps.sql,
      log,
      timeSources(server.time, () => aheadSeconds * 1000),
    )
    await clock.measure()
    expect(Math.abs(clock.now().getTime() - server.time.passed - (await databaseTime(server.deps.sql)))).toBeLessThan(
      500,
    )
    clock.close()
    return lines
  }

  test('is the database’s; a machine that is off by more than five seconds causes one warning', async () => {
    for (const seconds of [0, 4, -4]) expect(await warningsOf(seconds)).toEqual([])
    for (const seconds of [7, -7, 86_400])
      expect(await warningsOf(seconds)).toEqual([
        expect.objectContaining({
          level: 40,
          aheadSeconds: seconds,
          msg: 'the clocks of this machine and the database differ; the database’s is used, but synchronize both with NTP',
        }),
      ])
  })

  test('is read again at once after the machine slept', async () => {
    let slept = 0
    const awake = timeSources(server.time, () => slept)
    const sources = { ...awake, database: async (sql: typeof server.deps.sql) => (await awake.database(sql)) + slept }
    const clock = await openClock(server.deps.sql, server.deps.log, sources)
    const before = clock.now().getTime()
    slept = 8 * 3600_000 // the steady clock stood still
    while (clock.now().getTime() - before < slept) await Bun.sleep(5)
    expect(clock.now().getTime() - before).toBeLessThan(slept + 30_000)
    clock.close()
  })

  test('keeps running while the database does not answer', async () => {
    let isAway = false
    const here = timeSources(server.time)
    const clock = await openClock(server.deps.sql, server.deps.log, {
      ...here,
      database: sql => (isAway ? Promise.reject(new Error('away')) : here.database(sql)),
    })
    isAway = true
    await expect(clock.measure()).rejects.toThrow('away')
    const before = clock.now().getTime()
    server.clock.advance(60)
    expect(Math.round((clock.now().getTime() - before) / 1000)).toBe(60)
    clock.close()
  })
})
