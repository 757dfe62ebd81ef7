import type { ClientSource } from './clients.ts'
import type { Queries, UserRights } from './index.ts'

export interface NewDeviceCode {
  id: string
  deviceCodeHash: Buffer
  userCode: string
  clientId: string
  scope: string[]
  resource: string
  intervalSeconds: number
  requestIp: string | null
  requestAgent: string | null
  createdAt: Date
  expiresAt: Date
}

/** Stores codes. @returns a row for each that was stored; the user codes of the others are taken. */
export function insertDeviceCodes(sql: Queries, codes: readonly NewDeviceCode[]): Promise<{ key: string }[]> {
  const rows = codes.map(code => ({
    id: code.id,
    device_code_hash: `\\x${code.deviceCodeHash.toString('hex')}`,
    user_code: code.userCode,
    client_id: code.clientId,
    scope: code.scope,
    resource: code.resource,
    interval_seconds: code.intervalSeconds,
    request_ip: code.requestIp,
    request_agent: code.requestAgent,
    created_at: code.createdAt,
    expires_at: code.expiresAt,
  }))
  return sql<{ key: string }[]>`
    insert into device_codes
      (id, device_code_hash, user_code, client_id, scope, resource, interval_seconds, request_ip, request_agent, created_at, expires_at)
    select *
    from jsonb_to_recordset(${sql.json(rows as never)}) as code (
      id uuid, device_code_hash bytea, user_code text, client_id text, scope text[], resource text, interval_seconds integer,
      request_ip text, request_agent text, created_at timestamptz, expires_at timestamptz
    )
    on conflict (user_code) do nothing
    returning user_code as key`
}

/** Who polls with which code, and when. */
export interface Poll {
  deviceCodeHash: Buffer
  clientId: string
  now: Date
}

/** The client of a code, if it is a public one: then whoever has the code need not name it. */
export async function findPublicClientOfCode(sql: Queries, deviceCodeHash: Uint8Array): Promise<string | undefined> {
  const [row] = await sql<{ id: string }[]>`
    select client.id
    from device_codes as code
    join clients as client on client.id = code.client_id
    where code.device_code_hash = ${deviceCodeHash}
      and client.auth_method = 'none'`
  return row?.id
}

export interface RedeemedDeviceCode {
  outcome: 'denied' | 'expired' | 'used' | 'approved'
  client_id: string
  user_id: string
  resource: string
  granted_scope: string[]
  refreshable: boolean
  user_is_admin: boolean
}

/**
 * A poll with a code that is decided or has expired, in one statement: it consumes an approved code, and creates the grant
 * and its refresh token. Of concurrent polls exactly one gets `approved`.
 *
 * @param grant Written only if this poll gets the tokens.
 */
export async function redeemDeviceCode(
  sql: Queries,
  poll: Poll,
  grant: { id: string; expiresAt: Date; refreshTokenHash: Uint8Array; refreshExpiresAt: Date },
): Promise<RedeemedDeviceCode | undefined> {
  const { now } = poll
  const [row] = await sql<RedeemedDeviceCode[]>`
    with polled as (
      update device_codes as code
      set
        outcome = case
          when consumed_at is not null then 'used'
          when decision = 'denied' then 'denied'
          when expires_at <= ${now} then 'expired'
          when decision = 'approved' then 'approved'
        end,
        consumed_at = case
          when consumed_at is null and decision = 'approved' and expires_at > ${now} then ${now}
          else consumed_at
        end
      where device_code_hash = ${poll.deviceCodeHash}
        and (client_id = ${poll.clientId}) is true -- so that no index of clients is used
      returning
        *,
        (select 'refresh_token' = any (grant_types) from clients where clients.id = code.client_id) as refreshable,
        (select is_admin from users where users.id = code.user_id) as user_is_admin
    ),
    issued as (
      insert into grants (id, client_id, user_id, scope, resource, created_at, used_at, expires_at)
      select ${grant.id}, client_id, user_id, granted_scope, resource, ${now}, ${now}, ${grant.expiresAt}
      from polled
      where outcome = 'approved'
      returning id, client_id
    ),
    refreshing as (
      insert into refresh_tokens (token_hash, grant_id, created_at, expires_at)
      select ${grant.refreshTokenHash}, issued.id, ${now}, ${grant.refreshExpiresAt}
      from issued, polled
      where polled.refreshable
    ),
    used as (
      update clients
      set used_at = ${now}
      where id = (select client_id from issued)
        and coalesce(used_at < ${now}::timestamptz - interval '1 minute', true) -- many users may share a client
    )
    select outcome, client_id, user_id, resource, granted_scope, refreshable, user_is_admin
    from polled`
  return row
}

export type DeviceCodeState = 'undecided' | 'approved' | 'denied' | 'fetched' | 'expired'

export interface DeviceRequest {
  id: string
  user_code: string
  client_id: string
  client_name: string
  client_source: ClientSource
  /** Whether the client gets a refresh token. */
  refreshable: boolean
  scope: string[]
  granted_scope: string[] | null
  resource: string
  request_ip: string | null
  request_agent: string | null
  created_at: Date
  expires_at: Date
  state: DeviceCodeState
}

/**
 * Binds a request to the session that entered its user code, if it is undecided, unexpired and not bound to another one.
 *
 * @returns the request's id; undefined if the code is unknown, expired, used, decided or taken, without telling which.
 */
export async function claimDeviceCode(
  sql: Queries,
  claim: { userCode: string; sessionHash: Uint8Array; userId: string; now: Date },
): Promise<string | undefined> {
  const [row] = await sql<{ id: string }[]>`
    update device_codes
    set
      session_hash = ${claim.sessionHash},
      user_id = ${claim.userId}
    where user_code = ${claim.userCode}
      and decision is null
      and expires_at > ${claim.now}
      and (session_hash is null or session_hash = ${claim.sessionHash})
    returning id`
  return row?.id
}

/** Finds a request whose code this session entered; once it is decided, any session of the same user can see it. */
export async function findDeviceRequest(
  sql: Queries,
  find: { id: string; sessionHash: Uint8Array; userId: string; now: Date },
): Promise<DeviceRequest | undefined> {
  const [row] = await sql<DeviceRequest[]>`
    select
      code.id, code.user_code, code.client_id, client.name as client_name, client.source as client_source,
      'refresh_token' = any (client.grant_types) as refreshable, code.scope, code.granted_scope, code.resource, code.request_ip, code.request_agent, code.created_at, code.expires_at,
      case
        when code.consumed_at is not null then 'fetched'
        when code.decision = 'denied' then 'denied'
        when code.expires_at <= ${find.now} then 'expired'
        when code.decision = 'approved' then 'approved'
        else 'undecided'
      end as state
    from device_codes as code
    join clients as client on client.id = code.client_id
    where code.id = ${find.id}
      and (code.session_hash = ${find.sessionHash} or (code.user_id = ${find.userId} and code.decision is not null))`
  return row
}

/**
 * Decides a request, once, before it expires, by the session that entered the code. The session is locked meanwhile, so
 * that whoever ends it, and then denies unfetched codes, misses no approval. Whoever asked for `mcp` also asked for its
 * parts, which may be granted instead.
 *
 * @returns whether this call decided it.
 */
export async function decideDeviceCode(
  sql: Queries,
  decision: { id: string; sessionHash: Uint8Array; approvedScope: string[] | null; now: Date },
): Promise<boolean> {
  const rows = await sql`
    with decider as (
      select
      from sessions
      where id_hash = ${decision.sessionHash}
        and expires_at > ${decision.now}
      for share
    )
    update device_codes
    set
      decision = ${decision.approvedScope ? 'approved' : 'denied'},
      decided_at = ${decision.now},
      granted_scope = ${decision.approvedScope}::text[],
      scope = scope || array(select unnest(${decision.approvedScope}::text[]) except select unnest(scope))
    from decider
    where id = ${decision.id}
      and session_hash = ${decision.sessionHash}
      and decision is null
      and expires_at > ${decision.now}
    returning id`
  return rows.length === 1
}

/** Denies the codes that a user entered and no device has fetched, waiting for any that is being fetched. */
export async function denyUnfetchedCodes(
  sql: Queries,
  { userId, clientId, scope }: UserRights,
  now: Date,
): Promise<void> {
  await sql`
    update device_codes
    set
      decision = 'denied',
      decided_at = ${now}
    where id = any (array(
      select id
      from device_codes
      where user_id = ${userId}
        and consumed_at is null
        and decision is distinct from 'denied'
        and (${clientId ?? null}::text is null or client_id = ${clientId ?? null})
        and (${scope ?? null}::text is null or ${scope ?? null} = any (granted_scope))
      order by id
      for no key update
    ))`
}

/** Denies the codes of a client whose tokens were not fetched. */
export async function denyUnfetchedCodesOfClient(sql: Queries, clientId: string, now: Date): Promise<void> {
  await sql`
    update device_codes
    set
      decision = 'denied',
      decided_at = ${now}
    where id = any (array(
      select id
      from device_codes
      where client_id = ${clientId}
        and user_id is not null
        and consumed_at is null
        and decision is distinct from 'denied'
      order by id
      for no key update
    ))`
}

/** Deletes at most `limit` codes that ended before `before`. @returns how many. */
export async function sweepDeviceCodes(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from device_codes
    where id = any (array(
      select id
      from device_codes
      where expires_at < ${before}
      order by expires_at
      limit ${limit}
      for update skip locked
    ))
    returning id`
  return rows.length
}
