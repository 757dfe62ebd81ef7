/** What locks several rows meets everything else that does: no two of them may wait for each other. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { randomBytes, randomUUID } from 'node:crypto'
import { consumeAuthorizationCodes, insertAuthorizationCode } from '../../sql/authorization-codes.ts'
import { upsertConsent } from '../../sql/consents.ts'
import { decideDeviceCode, insertDeviceCodes, redeemDeviceCode } from '../../sql/device-codes.ts'
import { lockGranted, sweepExpiredGrants } from '../../sql/grants.ts'
import { rotateRefreshTokens } from '../../sql/refresh-tokens.ts'
import { deleteSessionsOfUsers } from '../../sql/sessions.ts'
import { deleteUser } from '../../sql/users.ts'
import { updateUses } from '../../sql/uses.ts'
import { inTransaction } from '../../src/db/index.ts'
import { DatabaseUnavailable } from '../../src/lib/errors.ts'
import { removeClient } from '../../src/oauth/clients/index.ts'
import { sweepUnusedDocuments } from '../../src/oauth/sweeps.ts'
import { revokeGrant, revokeGrantsOfClient, revokeGrantsOfUser } from '../../src/oauth/tokens.ts'
import { createSignInLink, disableUsers, useSignInLink } from '../../src/signin/service.ts'
import { times } from '../support/faults.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(1_200_000)

/** How often each pair meets. */
const MEETINGS = times(40, 2)
const AT_ONCE = 4
const CLIENTS = 4
const DEADLOCK = '40P01'
const RESOURCE = 'https://mcp.example/mcp'
const CALLBACK = 'https://client.example/callback'

let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.close())

/** A user with a session, some clients to which they granted something, as many that only have codes, and as many unused. */
interface Scene {
  userId: string
  email: string
  link: string
  session: Buffer
  clients: string[]
  /** The user approved them, and they have not exchanged their codes. */
  approved: string[]
  unused: string[]
  grants: string[]
  hashes: Buffer[]
  approvedHashes: Buffer[]
  now: Date
  later: Date
}

async function scene(): Promise<Scene> {
  const { deps } = server
  const { sql } = deps
  const email = `${randomUUID()}@example.com`
  const link = new URL(await createSignInLink(deps, email)).searchParams.get('token')!
  const [user] = await sql<{ id: string }[]>`select id from users where email = ${email}`
  const userId = user!.id
  const now = deps.now()
  const later = new Date(now.getTime() + 3_600_000)
  const some = () => Array.from({ length: CLIENTS }, () => `https://client.example/${randomUUID()}`)
  const [clients, approved, unused] = [some(), some(), some()]
  const grants = clients.map(() => randomUUID())
  const hashes = clients.map(() => randomBytes(32))
  const approvedHashes = approved.map(() => randomBytes(32))
  const session = randomBytes(32)
  await sql`
    insert into sessions (id_hash, user_id, created_at, expires_at)
    values (${session}, ${userId}, ${now}, ${later})`
  const rows = clients.map((client, n) => ({
    client,
    granted: grants[n]!,
    hash: `\\x${hashes[n]!.toString('hex')}`,
    code: userCode(),
  }))
  await sql`
    with given as materialized (
      select client, granted, hash, code, md5(client)::uuid as id
      from jsonb_to_recordset(${sql.json(rows)}) as given (client text, granted uuid, hash bytea, code text)
    ),
    known as (
      insert into clients (id, name, source, auth_method, grant_types, scope, created_at, fresh_until, used_at)
      select client, 'Client', 'metadata', 'none', '{refresh_token}'::text[], '{mcp}'::text[], ${now}, ${later}::timestamptz, ${now}::timestamptz
      from given
      union all
      select unused, 'Client', 'metadata', 'none', '{refresh_token}'::text[], '{mcp}'::text[], ${now}, ${later}, null
      from unnest(${[...approved, ...unused]}::text[]) as unused
    ),
    allowed as (
      insert into consents (user_id, client_id, redirect_host, resource, scope, created_at)
      select ${userId}, client, 'client.example', ${RESOURCE}, '{mcp}', ${now} from given
    ),
    granted as (
      insert into grants (id, client_id, user_id, scope, resource, created_at, used_at, expires_at)
      select granted, client, ${userId}, '{mcp}', ${RESOURCE}, ${now}, ${now}, ${later} from given
    ),
    refreshing as (
      insert into refresh_tokens (token_hash, grant_id, created_at, expires_at)
      select hash, granted, ${now}, ${later} from given
    ),
    exchangeable as (
      insert into authorization_codes
        (code_hash, client_id, user_id, redirect_uri, scope, resource, code_challenge, created_at, expires_at)
      select hash, client, ${userId}, ${CALLBACK}, '{mcp}', ${RESOURCE}, repeat('x', 43), ${now}::timestamptz, ${later}::timestamptz
      from (
        select hash, client from given
        union all
        select decode(hash, 'hex'), client
        from unnest(${approvedHashes.map(hash => hash.toString('hex'))}::text[], ${approved}::text[]) as approved (hash, client)
      ) as allowed
    )
    insert into device_codes
      (id, device_code_hash, user_code, client_id, scope, resource, interval_seconds, created_at, expires_at,
        session_hash, user_id, decision, decided_at, granted_scope)
    select
      id, hash, code, client, '{mcp}', ${RESOURCE}, 5,
      ${now}, ${later}, ${session}, ${userId},
      case client when ${clients[0]!} then 'approved' end,
      case client when ${clients[0]!} then ${now}::timestamptz end,
      case client when ${clients[0]!} then '{mcp}'::text[] end
    from given`
  return { userId, email, link, session, clients, approved, unused, grants, hashes, approvedHashes, now, later }
}

const WORK: Record<string, (of: Scene) => Promise<unknown>> = {
  'refreshing tokens': ({ hashes, grants, now, later }) =>
    rotateRefreshTokens(
      server.deps.sql,
      hashes.map((tokenHash, n) => ({
        ...{ tokenHash, grantId: grants[n]!, now, expiresAt: later },
        ...{ successorHash: randomBytes(32), network: '192.0.2.1', agent: 'test' },
      })),
    ),
  'exchanging codes': ({ hashes, approvedHashes, now, later }) =>
    consumeAuthorizationCodes(
      server.deps.sql,
      [...hashes, ...approvedHashes].map(codeHash => ({
        ...{ codeHash, now, scope: ['mcp'], grant: { id: randomUUID(), expiresAt: later } },
        refresh: { tokenHash: randomBytes(32), expiresAt: later },
      })),
    ),
  'fetching with a device code': ({ hashes, clients, now, later }) =>
    redeemDeviceCode(
      server.deps.sql,
      { deviceCodeHash: hashes[0]!, clientId: clients[0]!, now },
      { id: randomUUID(), expiresAt: later, refreshTokenHash: randomBytes(32), refreshExpiresAt: later },
    ),
  'approving a device': async ({ clients, session, now }) => {
    const [code] = await server.deps.sql`select id from device_codes where client_id = ${clients[1]!}`
    if (!code) return
    await decideDeviceCode(server.deps.sql, { id: code.id, sessionHash: session, approvedScope: ['mcp'], now })
  },
  'approving an app': async ({ userId, clients, session, now, later }) => {
    const asked = { clientId: clients[0]!, resource: RESOURCE, scope: ['mcp'], sessionHash: session }
    await upsertConsent(server.deps.sql, { ...asked, userId, redirectHost: 'client.example', now })
    await insertAuthorizationCode(server.deps.sql, {
      ...asked,
      ...{ codeHash: randomBytes(32), consentHost: 'client.example', redirectUri: CALLBACK },
      ...{ codeChallenge: 'x'.repeat(43), createdAt: now, expiresAt: later },
    })
  },
  'asking for device codes': ({ clients, approved, unused, now, later }) =>
    insertDeviceCodes(
      server.deps.sql,
      [...clients, ...approved, ...unused].map(clientId => ({
        ...{ id: randomUUID(), clientId, deviceCodeHash: randomBytes(32), userCode: userCode(), scope: ['mcp'] },
        ...{ resource: RESOURCE, intervalSeconds: 5, requestIp: null, requestAgent: null },
        ...{ createdAt: now, expiresAt: later },
      })),
    ),
  'signing in by link': ({ link }) => useSignInLink(server.deps, link, null),
  'disconnecting one app': ({ userId, grants }) =>
    revokeGrant(server.deps, { grantId: grants[0]!, userId, by: 'user' }),
  'withdrawing from one app': ({ userId, clients }) =>
    revokeGrantsOfUser(server.deps, { userId, clientId: clients[0]! }, 'user'),
  'disconnecting all': ({ userId }) => revokeGrantsOfUser(server.deps, { userId }, 'user'),
  'disconnecting everybody from an app': ({ clients }) => revokeGrantsOfClient(server.deps, clients[0]!),
  'removing an app': ({ clients }) => removeClient(server.deps, clients[0]!),
  'disabling a user': ({ email }) => disableUsers(server.deps, email),
  'removing a user': async ({ userId }) => {
    await deleteSessionsOfUsers(server.deps.sql, [userId])
    await inTransaction(server.deps, async sql => {
      await lockGranted(sql, { userId })
      await deleteUser(sql, userId)
    })
  },
  'storing uses': ({ grants, now }) =>
    updateUses(
      server.deps.sql,
      grants.toReversed().map(id => ({ id, at: now, network: '192.0.2.1' })),
    ),
  'sweeping grants': ({ later }) => sweepExpiredGrants(server.deps.sql, new Date(later.getTime() + 1), CLIENTS),
  'sweeping apps': () => sweepUnusedDocuments(server.deps, 0, 50),
}

const LETTERS = 'BCDFGHJKLMNPQRST'
let issued = 0
/** Each another one: of as many random ones as are needed here, two may be the same. */
const userCode = () =>
  (issued++)
    .toString(16)
    .padStart(8, '0')
    .replace(/./g, digit => LETTERS[Number.parseInt(digit, 16)]!)

/** A busy machine answers some statements too late. */
function ifBusy(error: unknown): undefined {
  if (!(error instanceof DatabaseUnavailable)) throw error
}

test(`on PostgreSQL, nothing that locks several rows waits in a circle: each pair meets ${MEETINGS} times`, async () => {
  const names = Object.keys(WORK)
  const pairs = names.flatMap((one, n) => names.slice(n).map(other => [one, other] as const))
  const circles: string[] = []
  const meet = async ([one, other]: readonly [string, string]) => {
    const of = await scene().catch(ifBusy)
    if (!of) return
    const act = async (name: string) => {
      await Bun.sleep(Math.random() * 2)
      await WORK[name]!(of).catch(ifBusy)
    }
    for (const end of await Promise.allSettled([act(one), act(other)])) {
      if (end.status === 'fulfilled') continue
      const { code, message } = end.reason as { code?: string; message: string }
      if (code === DEADLOCK) circles.push(`${one} and ${other}`)
      // Of two that cannot both be done, one is refused.
      else expect(`${code} ${message}`).toMatch(/^23503 |This link no longer works$/)
    }
  }
  const meetings = pairs.flatMap(pair => Array.from({ length: MEETINGS }, () => pair))
  const inTurn = async () => {
    for (let pair = meetings.pop(); pair; pair = meetings.pop()) await meet(pair)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, inTurn))
  expect(circles).toEqual([])
})
