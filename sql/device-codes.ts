import type { ClientSource } from './clients.ts'
import type { Queries, UserRights } from './index.ts'

export interface NewDeviceCode {
  id: string
  deviceCodeHash: Uint8Array
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

/** @returns whether it was stored; false if the user code is taken and another one must be drawn. */
export async function insertDeviceCode(sql: Queries, code: NewDeviceCode): Promise<boolean> {
  const rows = await sql`
    insert into device_codes
      (id, device_code_hash, user_code, client_id, scope, resource, interval_seconds, request_ip, request_agent, created_at, expires_at)
    values (
      ${code.id}, ${code.deviceCodeHash}, ${code.userCode}, ${code.clientId}, ${code.scope}::text[], ${code.resource},
      ${code.intervalSeconds}, ${code.requestIp}, ${code.requestAgent}, ${code.createdAt}, ${code.expiresAt}
    )
    on conflict (user_code) do nothing
    returning id`
  return rows.length === 1
}

export type PollOutcome = 'pending' | 'slow_down' | 'denied' | 'expired' | 'used' | 'approved'

export interface PolledDeviceCode {
  outcome: PollOutcome
  client_id: string
  user_id: string
  resource: string
  granted_scope: string[]
  interval_seconds: number
  refreshable: boolean
  user_is_admin: boolean
}

export interface Poll {
  deviceCodeHash: Uint8Array
  /** The authenticated client, or null where a public client need not say who it is. */
  clientId: string | null
  now: Date
  /** Written only if this poll is the one that fetches the tokens. */
  grant: { id: string; expiresAt: Date; refreshTokenHash: Uint8Array; refreshExpiresAt: Date }
}

/**
 * One poll of RFC 8628 3.4 in one statement: the row is locked and compared with the last poll, the new time and, if it
 * came more than half a second early, the longer interval are stored, and the poll that finds an approval consumes the
 * code and creates the grant and its refresh token. Of parallel polls exactly one is told `approved`.
 */
export async function pollDeviceCode(sql: Queries, poll: Poll): Promise<PolledDeviceCode | undefined> {
  const { grant, now } = poll
  const [row] = await sql<PolledDeviceCode[]>`
    with polled as (
      update device_codes as code
      set
        outcome = case
          when consumed_at is not null then 'used'
          when decision = 'denied' then 'denied'
          when expires_at <= ${now} then 'expired'
          when decision = 'approved' then 'approved'
          when ${now} < polled_at + make_interval(secs => interval_seconds - 0.5) then 'slow_down'
          else 'pending'
        end,
        interval_seconds = interval_seconds + case
          when decision is null
            and expires_at > ${now}
            and ${now} < polled_at + make_interval(secs => interval_seconds - 0.5) then 5
          else 0
        end,
        consumed_at = case
          when consumed_at is null and decision = 'approved' and expires_at > ${now} then ${now}
          else consumed_at
        end,
        polled_at = ${now}
      where device_code_hash = ${poll.deviceCodeHash}
        and (
          client_id = ${poll.clientId}::text
          or (
            ${poll.clientId}::text is null
            and exists (select from clients where clients.id = code.client_id and clients.auth_method = 'none')
          )
        )
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
      where id in (select client_id from issued)
    )
    select outcome, client_id, user_id, resource, granted_scope, interval_seconds, refreshable, user_is_admin
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
 * A session that entered the right code takes it, if it is undecided, unexpired and nobody else's.
 *
 * @returns the request's id; nothing where the code is unknown, expired, used, decided or taken, without telling which.
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

/** A request whose code this session has entered, or, once it is decided, another session of the same user. */
export async function findDeviceRequest(
  sql: Queries,
  find: { id: string; sessionHash: Uint8Array; userId: string; now: Date },
): Promise<DeviceRequest | undefined> {
  const [row] = await sql<DeviceRequest[]>`
    select
      code.id, code.user_code, code.client_id, client.name as client_name, client.source as client_source,
      code.scope, code.granted_scope, code.resource, code.request_ip, code.request_agent, code.created_at, code.expires_at,
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
 * Takes the decision: once, in time, by the session that entered the code. The session is locked until it is taken, so
 * that who ends it, and then denies what no device has fetched, misses no approval.
 *
 * @returns whether it was taken.
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
      granted_scope = ${decision.approvedScope}::text[]
    from decider
    where id = ${decision.id}
      and session_hash = ${decision.sessionHash}
      and decision is null
      and expires_at > ${decision.now}
    returning id`
  return rows.length === 1
}

/** Denies the codes that a user entered and no device has fetched tokens for; one that is being fetched is waited for. */
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
    where user_id = ${userId}
      and consumed_at is null
      and decision is distinct from 'denied'
      and (${clientId ?? null}::text is null or client_id = ${clientId ?? null})
      and (${scope ?? null}::text is null or ${scope ?? null} = any (granted_scope))`
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
