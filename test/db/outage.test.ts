import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import postgres from 'postgres'
import { isOutage } from '../../src/db/index.ts'
import { DatabaseUnavailable } from '../../src/lib/errors.ts'
import { addClient, removeClient } from '../../src/oauth/clients/index.ts'
import { DEVICE_CODE_GRANT } from '../../src/oauth/grants/types.ts'
import { KEY_SET_SECONDS, rotateKeys } from '../../src/oauth/keys.ts'
import { deviceTokens, registerClient, rpc, signIn, type TokenAnswer } from '../support/flows.ts'
import { onPostgres, startReplica, startServer, type TestServer } from '../support/server.ts'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { type Cluster, startCluster } from '../support/with-postgres.ts'

setDefaultTimeout(300_000)

/** A response within 5 s, and recovery within 5 s. */
const PROMISED_MS = 5_000

let cluster: Cluster
let proxy: TcpProxy
let server: TestServer
/** Another replica, which reaches the database through the proxy. */
let other: TestServer
let ada: string
let client: string
let robot: Record<string, string>

beforeAll(async () => {
  if (!onPostgres) return
  cluster = await startCluster()
  const url = new URL(cluster.url)
  proxy = await startProxy(Number(url.port))
  server = await startServer({ DATABASE_URL: cluster.url })
  url.port = String(proxy.port)
  other = await startReplica(server, { DATABASE_URL: url.href })
  ada = await signIn(server)
  client = await registerClient(server)
  const { id, secret } = await addClient(server.deps, {
    name: 'Robot',
    grantTypes: ['client_credentials', DEVICE_CODE_GRANT],
    redirectUris: [],
    scope: ['mcp'],
  })
  robot = { grant_type: 'client_credentials', client_id: id, client_secret: secret! }
})
afterAll(async () => {
  if (!onPostgres) return
  await other.close()
  await server.close()
  await proxy.close()
  await cluster.remove()
})

/** Fails if the promise takes longer than allowed. */
async function inTime<T>(work: Promise<T>, ms = PROMISED_MS): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${ms} ms`)), ms)
  return Promise.race([work, late.promise]).finally(() => clearTimeout(timer))
}

/** Repeats a request until the response is the expected one. */
async function becomes<T>(ask: () => Promise<T>, expected: T, ms = PROMISED_MS): Promise<void> {
  const end = Date.now() + ms
  let last = await ask()
  while (last !== expected) {
    if (Date.now() > end) throw new Error(`after ${ms} ms still ${last}, not ${expected}`)
    await Bun.sleep(10)
    last = await ask()
  }
}

const ready = (of: TestServer) => async () => (await inTime(of.get('/readyz'))).status
const mcp = (of: TestServer, token: string) => async () => (await inTime(rpc(of, token, 'ping'))).status

async function machineToken(): Promise<string> {
  const answer = await server.post('/api/oauth/token', robot)
  expect(answer.status).toBe(200)
  return ((await answer.json()) as TokenAnswer).access_token
}

describe('which database errors are transient', () => {
  const postgresError = (code: string) =>
    Object.assign(Object.create(postgres.PostgresError.prototype) as Error, { code })
  test.each([
    '08006',
    '25006',
    '25P03',
    '28P01',
    '3D000',
    '40001',
    '40P01',
    '53100',
    '53300',
    '55P03',
    '57014',
    '57P01',
    '57P03',
    '58030',
  ])('SQLSTATE %s does', code => expect(isOutage(postgresError(code))).toBe(true))
  test.each(['22021', '22P02', '23503', '23505', '25P02', '42601', '42703', 'XX000'])('SQLSTATE %s does not', code =>
    expect(isOutage(postgresError(code))).toBe(false),
  )
  test.each([
    'ECONNREFUSED',
    'ECONNRESET',
    'CONNECTION_CLOSED',
    'CONNECTION_DESTROYED',
    'CONNECT_TIMEOUT',
    'EAI_AGAIN',
  ])('%s does', code => expect(isOutage(Object.assign(new Error(), { code }))).toBe(true))
  test('a missed deadline is, our own mistakes are not', () => {
    expect(isOutage(new DatabaseUnavailable('late'))).toBe(true)
    for (const error of [new TypeError('x'), undefined, null, 'text', { code: 42 }]) expect(isOutage(error)).toBe(false)
  })
})

describe.skipIf(!onPostgres)('while the database is down', () => {
  test('what needs it answers 503 in time, the rest works, and everything recovers when it is back', async () => {
    const tokens = await deviceTokens(server, client, ada)
    expect(await mcp(server, tokens.access_token)()).toBe(200)
    await cluster.stop()
    await becomes(ready(server), 503)

    const api = {
      error: 'temporarily_unavailable',
      error_description: 'The server cannot reach its database; try again in a few seconds',
    }
    const bearer = { Authorization: `Bearer ${tokens.access_token}`, Accept: 'application/json, text/event-stream' }
    const asks: [string, () => Promise<Response>][] = [
      ['device', () => server.post('/api/oauth/device', { client_id: client })],
      ['refresh', () => refresh(tokens.refresh_token)],
      ['client credentials', () => server.post('/api/oauth/token', robot)],
      ['register', () => server.postJson('/api/oauth/register', { redirect_uris: ['http://localhost/callback'] })],
      ['revoke', () => server.post('/api/oauth/revoke', { client_id: client, token: tokens.refresh_token })],
      // Fails closed: the token is good, but nobody can know whether it was revoked meanwhile.
      ['mcp', () => rpc(server, tokens.access_token, 'tools/list')],
      ['validate', () => server.post('/api/oauth/validate', {}, bearer)],
      ['readyz', () => server.get('/readyz')],
      [
        'json of a page',
        () => server.postJson('/api/oauth/device/verify', { user_code: 'BBBB-BBBB' }, { Cookie: ada }),
      ],
    ]
    for (const [name, ask] of asks) {
      const answer = await inTime(ask())
      expect([name, answer.status, answer.headers.get('retry-after')]).toEqual([name, 503, '5'])
      expect(await answer.json()).toEqual(api)
    }
    for (const path of ['/account', '/auth/device']) {
      const page = await inTime(server.get(path, { Cookie: ada, Accept: 'text/html' }))
      expect([page.status, page.headers.get('retry-after')]).toEqual([503, '5'])
      expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
      expect(await page.text()).toContain('Back in a moment')
    }
    for (const path of ['/healthz', '/', '/.well-known/jwks.json', '/.well-known/oauth-authorization-server']) {
      expect([path, (await inTime(server.get(path))).status]).toEqual([path, 200])
    }
    // A request without a token needs no database to be refused.
    expect((await inTime(server.get('/mcp'))).status).toBe(401)

    await cluster.start()
    await becomes(ready(server), 200)
    await becomes(mcp(server, tokens.access_token), 200)
    expect((await server.get('/account', { Cookie: ada })).status).toBe(200)
    expect((await refresh(tokens.refresh_token)).status).toBe(200) // nothing was consumed meanwhile
    await becomes(ready(other), 200)
  })

  test('a hundred requests at once are all answered in time, and none of them piles up', async () => {
    await cluster.stop()
    const asks = Array.from({ length: 100 }, () => inTime(server.post('/api/oauth/device', { client_id: client })))
    expect(new Set((await Promise.all(asks)).map(answer => answer.status))).toEqual(new Set([503]))
    await cluster.start()
    await becomes(ready(server), 200)
    const [row] = await server.deps.sql`select count(*)::int as count from device_codes where decision is null`
    expect(row).toEqual({ count: 0 })
  })

  test('events recorded meanwhile are in the audit log afterwards', async () => {
    await server.deps.audit.flush()
    await cluster.stop()
    const refused = await inTime(server.post('/api/oauth/device', { client_id: 'no/such client' }))
    expect(refused.status).toBe(401)
    await cluster.start()
    await becomes(async () => {
      const rows = await server.deps.sql`select from audit_events where event = 'client.refused'`.catch(() => [])
      return rows.length
    }, 1)
  })
})

function refresh(token: string, of = server): Promise<Response> {
  return of.post('/api/oauth/token', { grant_type: 'refresh_token', client_id: client, refresh_token: token })
}

describe.skipIf(!onPostgres)('statements that hang', () => {
  test('a locked row makes its own requests answer 503 in time, and no others', async () => {
    const { refresh_token } = await deviceTokens(server, client, ada)
    const locker = postgres(cluster.url, { max: 1 })
    await locker.begin(async sql => {
      await sql`lock table refresh_tokens in access exclusive mode`
      const blocked = [refresh(refresh_token), refresh(refresh_token)].map(answer => inTime(answer))
      expect((await inTime(server.get('/account', { Cookie: ada }))).status).toBe(200)
      for (const answer of await Promise.all(blocked)) {
        expect(answer.status).toBe(503)
        expect(await answer.json()).toMatchObject({ error: 'temporarily_unavailable' })
      }
    })
    await locker.end()
    expect((await refresh(refresh_token)).status).toBe(200)
  })

  test('a network that drops everything is noticed, answered with 503 in time, and recovered from', async () => {
    const token = await machineToken()
    await becomes(mcp(other, token), 200)
    proxy.hang()
    const answer = await inTime(other.post('/api/oauth/device', { client_id: client }))
    expect(answer.status).toBe(503)
    await becomes(mcp(other, token), 503)
    expect((await inTime(other.get('/healthz'))).status).toBe(200)
    // What is revoked elsewhere meanwhile is not served here, now or afterwards.
    await server.post('/api/oauth/revoke', { ...robot, token })
    expect(await mcp(other, token)()).toBe(503)
    proxy.release()
    await becomes(ready(other), 200)
    await becomes(mcp(other, token), 401)
  })
})

describe.skipIf(!onPostgres)('two replicas on one database, within a second', () => {
  test('a grant that ends on one ends on the other', async () => {
    const { access_token, refresh_token } = await deviceTokens(server, client, ada)
    expect(await mcp(other, access_token)()).toBe(200)
    await server.post('/api/oauth/revoke', { client_id: client, token: refresh_token })
    expect(await mcp(server, access_token)()).toBe(401)
    await becomes(mcp(other, access_token), 401, 1_000)
    expect((await refresh(refresh_token, other)).status).toBe(400)
  })

  test('a client that is removed on one is unknown on the other', async () => {
    const { id, secret } = await addClient(server.deps, {
      name: 'Short-lived',
      grantTypes: ['client_credentials'],
      redirectUris: [],
      scope: ['mcp'],
    })
    const form = { grant_type: 'client_credentials', client_id: id, client_secret: secret! }
    const answer = await other.post('/api/oauth/token', form)
    const { access_token } = (await answer.json()) as TokenAnswer
    expect(await mcp(other, access_token)()).toBe(200)
    expect(await removeClient(server.deps, id)).toBe(true)
    await becomes(mcp(other, access_token), 401, 1_000)
    expect((await other.post('/api/oauth/token', form)).status).toBe(401)
  })

  test('a key that is rotated on one signs on the other, and old tokens stay valid on both', async () => {
    const before = await machineToken()
    const { kid } = await rotateKeys(server.deps)
    for (const replica of [server, other]) {
      const published = async () => {
        const { keys } = (await (await replica.get('/.well-known/jwks.json')).json()) as { keys: { kid: string }[] }
        return keys[0]!.kid
      }
      await becomes(published, kid, 1_000)
    }
    server.clock.advance(KEY_SET_SECONDS)
    const after = await machineToken()
    expect(JSON.parse(atob(after.split('.')[0]!))).toMatchObject({ kid })
    for (const replica of [server, other])
      for (const token of [before, after]) expect(await mcp(replica, token)()).toBe(200)
  })

  test('a revocation is seen even if its notification was lost, 10 times over', async () => {
    for (let round = 0; round < 10; round++) {
      const token = await machineToken()
      await becomes(mcp(other, token), 200)
      proxy.cut()
      await server.post('/api/oauth/revoke', { ...robot, token })
      await becomes(mcp(other, token), 401)
    }
  })
})
