import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { randomBytes } from 'node:crypto'
import { addClient } from '../../src/oauth/clients/index.ts'
import { DEVICE_CODE_GRANT } from '../../src/oauth/grants/types.ts'
import { KEY_SET_SECONDS, rotateKeys } from '../../src/oauth/keys.ts'
import { revokeGrant } from '../../src/oauth/tokens.ts'
import { createSignInLink } from '../../src/signin/service.ts'
import { sweep } from '../../src/sweeper.ts'
import { deviceTokens, enterCode, registerClient, requestDevice, signIn } from '../support/flows.ts'
import { onPostgres, startServer, type TestServer } from '../support/server.ts'

// Generous, for a busy machine.
setDefaultTimeout(300_000)

const HOUR = 3600
const DAY = 24 * HOUR

let server: TestServer
let ada: string
let operators: string
beforeAll(async () => {
  server = await startServer({ SESSION_TTL: String(365 * DAY), ACCESS_TOKEN_TTL: '3600' })
  ada = await signIn(server)
  const { id } = await addClient(server.deps, {
    name: 'Console',
    grantTypes: [DEVICE_CODE_GRANT, 'refresh_token'],
    redirectUris: [],
    scope: ['mcp'],
  })
  operators = id
})
afterAll(() => server.close())
beforeEach(async () => {
  // Each test begins with nothing to sweep.
  server.clock.advance(2 * DAY)
  await sweep(server.deps)
})

const TABLES = [
  'clients',
  'device_codes',
  'grants',
  'refresh_tokens',
  'revocations',
  'sessions',
  'sign_in_links',
  'signing_keys',
  'throttles',
] as const

async function counts(): Promise<Record<(typeof TABLES)[number], number>> {
  const rows = await Promise.all(
    TABLES.map(async table => {
      const [row] = await server.deps.sql<{ count: number }[]>`
        select count(*)::int as count from ${server.deps.sql(table)}`
      return [table, row!.count] as const
    }),
  )
  return Object.fromEntries(rows) as Record<(typeof TABLES)[number], number>
}

/** How many rows a round of sweeping deletes per table; unchanged tables are left out. */
async function swept(): Promise<Record<string, number>> {
  const before = await counts()
  const total = await sweep(server.deps)
  const after = await counts()
  const lost = Object.fromEntries(
    TABLES.map(table => [table, before[table] - after[table]] as const).filter(([, count]) => count !== 0),
  )
  expect(total).toBeGreaterThanOrEqual(Math.max(0, ...Object.values(lost)))
  return lost
}

describe('the sweeper deletes what nobody can use any more, and nothing else', () => {
  test('device codes: an hour after they expired', async () => {
    const used = await requestDevice(server, operators)
    expect(await swept()).toEqual({})
    server.clock.advance(used.expires_in + HOUR - 60)
    expect(await swept()).toEqual({})
    server.clock.advance(120)
    expect(await swept()).toEqual({ device_codes: 1 })
  })

  test('grants and their refresh tokens: a day after they were revoked; active ones stay', async () => {
    await deviceTokens(server, operators, ada)
    const [row] = await server.deps.sql<{ id: string }[]>`select id from grants order by created_at desc limit 1`
    await deviceTokens(server, operators, ada)
    await revokeGrant(server.deps, { grantId: row!.id, by: 'operator' })
    server.clock.advance(HOUR - 60)
    expect(await swept()).toEqual({})
    server.clock.advance(120)
    expect(await swept()).toEqual({})
    server.clock.advance(DAY)
    expect(await swept()).toEqual({ device_codes: 2, grants: 1, refresh_tokens: 1 })
    // What is revoked is remembered for twice the longest life of an access token, however long it is today.
    const remembered = server.deps.memory.revoked.size
    server.clock.advance(DAY - 2 * HOUR)
    expect(await swept()).toEqual({})
    server.clock.advance(2 * HOUR)
    expect(await swept()).toEqual({ revocations: 1 })
    expect(server.deps.memory.revoked.size).toBe(remembered - 1)
  })

  test('refresh tokens: a day after they expired, used or not, and grants with all of theirs at their end', async () => {
    const { refresh_token } = await deviceTokens(server, operators, ada)
    const refresh = { grant_type: 'refresh_token', client_id: operators, refresh_token }
    server.clock.advance(20 * DAY)
    expect((await server.post('/api/oauth/token', refresh)).status).toBe(200)
    await sweep(server.deps)
    const living = (await counts()).refresh_tokens
    server.clock.advance(11 * DAY + 120) // the first one would have lived 30 days
    await sweep(server.deps)
    expect((await counts()).refresh_tokens).toBeLessThan(living)
    const [left] = await server.deps.sql<{ count: number }[]>`
      select count(*)::int as count from refresh_tokens where consumed_at is null and expires_at > ${server.deps.now()}`
    expect(left!.count).toBeGreaterThan(0)
    server.clock.advance(60 * DAY)
    await sweep(server.deps)
    expect(await counts()).toMatchObject({ grants: 0, refresh_tokens: 0 })
  })

  test('sessions when they expire, one-time links a day later', async () => {
    await signIn(server, 'eve@example.com')
    await createSignInLink(server.deps, 'eve@example.com')
    server.clock.advance(DAY + 14 * 60)
    expect(await swept()).toEqual({})
    server.clock.advance(120)
    expect(await swept()).toEqual({ sign_in_links: 2 })
    await server.deps.sql`update sessions set expires_at = ${server.deps.now()} where user_agent is distinct from 'none'
      and user_id in (select id from users where email = 'eve@example.com')`
    expect(await swept()).toEqual({ sessions: 1 })
  })

  test('counters of wrong guesses when their time is over', async () => {
    ada = await signIn(server)
    expect((await enterCode(server, ada, 'BBBB-BBBB')).status).toBe(400)
    server.clock.advance(14 * 60)
    expect(await swept()).toEqual({})
    server.clock.advance(120)
    expect(await swept()).toEqual({ throttles: 3 }) // session, user and network
    server.clock.advance(DAY)
    await sweep(server.deps)
  })

  test('signing keys, long after their last token has expired; never the one that signs', async () => {
    await rotateKeys(server.deps)
    server.clock.advance(KEY_SET_SECONDS + HOUR + DAY - 60)
    expect(await swept()).toEqual({})
    server.clock.advance(120)
    expect(await swept()).toEqual({ signing_keys: 1 })
    server.clock.advance(400 * DAY)
    await sweep(server.deps)
    expect((await counts()).signing_keys).toBe(1)
    ada = await signIn(server)
  })

  test('clients that registered themselves and got no token in 7 days; but not used ones, operators’, or ones whose code is open or has just expired', async () => {
    const unused = await registerClient(server, { client_name: 'Unused' })
    const used = await registerClient(server, { client_name: 'Used' })
    const waiting = await registerClient(server, { client_name: 'Waiting' })
    const approved = await registerClient(server, { client_name: 'Approved' })
    await deviceTokens(server, used, ada)
    server.clock.advance(7 * DAY - 60)
    await sweep(server.deps)
    const present = async () => {
      const rows = await server.deps.sql<{ id: string }[]>`select id from clients order by created_at, name`
      return rows.map(row => row.id)
    }
    expect((await present()).sort()).toEqual([operators, unused, used, waiting, approved].sort())
    await requestDevice(server, waiting)
    const now = server.deps.now()
    await server.deps.sql`
      insert into authorization_codes
        (code_hash, client_id, user_id, redirect_uri, scope, resource, code_challenge, created_at, expires_at)
      select ${randomBytes(32)}, ${approved}, id, 'https://client.example/', '{mcp}', 'https://mcp.example/mcp',
        repeat('x', 43), ${now}, ${now}::timestamptz + interval '1 minute'
      from users limit 1`
    server.clock.advance(120)
    await sweep(server.deps)
    expect((await present()).sort()).toEqual([operators, used, waiting, approved].sort())
    server.clock.advance(600 + HOUR)
    await sweep(server.deps)
    expect((await present()).sort()).toEqual([operators, used, approved].sort())
    server.clock.advance(DAY)
    await sweep(server.deps)
    expect((await present()).sort()).toEqual([operators, used].sort())
    // The deleted client is told to register again.
    while (server.deps.memory.clients.has(waiting)) await Bun.sleep(10)
    const answer = await server.post('/api/oauth/device', { client_id: waiting })
    expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([401, 'invalid_client'])
  })
})

/** Many sessions that have expired. */
async function expiredSessions(count: number): Promise<void> {
  const now = server.deps.now()
  const [user] = await server.deps.sql<{ id: string }[]>`select id from users limit 1`
  const rows = Array.from({ length: count }, () => ({
    id_hash: randomBytes(32),
    user_id: user!.id,
    created_at: now,
    expires_at: now,
  }))
  for (let i = 0; i < count; i += 500) {
    await server.deps.sql`insert into sessions ${server.deps.sql(rows.slice(i, i + 500))}`
  }
}

describe('sweeping many rows', () => {
  test('takes batch after batch until nothing is left', async () => {
    await expiredSessions(1700)
    expect(await swept()).toEqual({ sessions: 1700 })
  })

  test('two sweepers at once share the work and neither fails', async () => {
    await expiredSessions(3000)
    const totals = await Promise.all([sweep(server.deps), sweep(server.deps), sweep(server.deps)])
    expect(totals[0]! + totals[1]! + totals[2]!).toBeGreaterThanOrEqual(3000)
    const [row] = await server.deps
      .sql`select count(*)::int as count from sessions where expires_at <= ${server.deps.now()}`
    expect(row).toEqual({ count: 0 })
  })

  test.skipIf(!onPostgres)('a locked row is left for the next round, not waited for', async () => {
    await expiredSessions(2)
    await server.deps.db.begin(async transaction => {
      await transaction`select from sessions where expires_at <= ${server.deps.now()} limit 1 for update`
      expect(await sweep(server.deps)).toBe(1)
    })
    expect(await sweep(server.deps)).toBe(1)
  })
})
