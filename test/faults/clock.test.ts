/** Two replicas of the binary, one of which has a clock that is wrong and jumps. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { type FalseClock, falseClock } from '../support/faketime.ts'
import { addMachine, faultDatabase, type Replica, signInAt, startBinary, times } from '../support/faults.ts'
import {
  deviceTokens,
  type Http,
  poll,
  registerClient,
  requestDevice,
  rpc,
  type TokenAnswer,
} from '../support/flows.ts'
import { until } from '../support/until.ts'

setDefaultTimeout(300_000)

const DAY = 86_400

let database: Awaited<ReturnType<typeof faultDatabase>>
let env: Record<string, string>
let right: Replica
let wrong: Replica
let clock: FalseClock
let cookie: string
let client: string

beforeAll(async () => {
  database = await faultDatabase('PostgreSQL')
  env = { ...database.env, BASE_URL: 'http://localhost:3000' }
  clock = falseClock(120)
  right = await startBinary(env)
  wrong = await startBinary({ ...env, ...clock.env })
  cookie = await signInAt(right, env)
  client = await registerClient(right)
})
afterAll(async () => {
  for (const replica of [right, wrong]) {
    replica.kill('SIGTERM')
    expect(await replica.exited).toBe(0)
  }
  await database.drop()
})

const refresh = async (of: Http, refresh_token: string): Promise<TokenAnswer> => {
  const answer = await of.post('/api/oauth/token', { grant_type: 'refresh_token', client_id: client, refresh_token })
  expect(answer.status).toBe(200)
  return (await answer.json()) as TokenAnswer
}
const statusAt = async (of: Http, token: string) => (await rpc(of, token, 'ping')).status

/** How far off the clock is, in seconds. */
const OFFSETS = [120, -300, 2 * DAY, -2 * DAY, 0]

describe('a replica whose clock is wrong and jumps', () => {
  test('logs one warning that names the difference', () =>
    expect(wrong.output().match(/"aheadSeconds":\d+.*synchronize both with NTP/g)).toEqual([
      expect.stringMatching(/"aheadSeconds":1(19|2[01])\b/),
    ]))

  test.each(OFFSETS)(
    '%d s off: a refresh here and its retry there get one successor, and the token works on both',
    async seconds => {
      clock.set(seconds)
      for (const [here, there] of [
        [right, wrong],
        [wrong, right],
      ] as const) {
        const { refresh_token } = await deviceTokens(here, client, cookie)
        const rotated = await refresh(here, refresh_token)
        const retried = await refresh(there, refresh_token)
        expect(retried.refresh_token).toBe(rotated.refresh_token)
        for (const { access_token } of [rotated, retried])
          expect([await statusAt(here, access_token), await statusAt(there, access_token)]).toEqual([200, 200])
        const claims = JSON.parse(atob(retried.access_token.split('.')[1]!)) as { iat: number; exp: number }
        expect([Math.abs(claims.iat - Date.now() / 1000) < 60, claims.exp - claims.iat]).toEqual([true, 3600])
      }
    },
  )

  test('a device that polls both in turn is never told to slow down', async () => {
    clock.set(120)
    const { device_code, interval } = await requestDevice(wrong, client)
    const replicas = [wrong, right]
    for (let i = 0; i < times(8, 2); i++) {
      if (i > 0) await Bun.sleep(interval * 1000) // the interval is real time here
      const answer = await poll(replicas[i % 2]!, client, device_code)
      expect(await answer.json()).toMatchObject({ error: 'authorization_pending' })
    }
  })

  test('a revoked token stays revoked, on both, over jumps and a restart with a shorter lifetime', async () => {
    clock.set(0)
    const machine = await addMachine(env)
    const { access_token } = (await (await wrong.post('/api/oauth/token', machine)).json()) as TokenAnswer
    const alive = (await (await wrong.post('/api/oauth/token', machine)).json()) as TokenAnswer
    const { grant_type: _, ...credentials } = machine
    expect((await wrong.post('/api/oauth/revoke', { ...credentials, token: access_token })).status).toBe(200)
    await until(async () => (await statusAt(right, access_token)) === 401)
    for (const seconds of OFFSETS) {
      clock.set(seconds)
      expect([await statusAt(wrong, access_token), await statusAt(wrong, alive.access_token)]).toEqual([401, 200])
    }
    clock.set(DAY)
    wrong.kill('SIGTERM')
    await wrong.exited
    wrong = await startBinary({ ...env, ...clock.env, ACCESS_TOKEN_TTL: '60' })
    for (const replica of [wrong, right]) expect(await statusAt(replica, access_token)).toBe(401)
    expect(await statusAt(wrong, alive.access_token)).toBe(200)
  })
})
