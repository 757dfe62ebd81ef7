import type { Queries } from './index.ts'

export interface RefreshTokenRow {
  /** Its hash, in hexadecimal. */
  key: string
  grant_id: string
  client_id: string
  user_id: string
  scope: string[]
  resource: string
  consumed_at: Date | null
  expires_at: Date
  grant_expires_at: Date
  /** Whether the grant was revoked or its user disabled. */
  ended: boolean
  user_is_admin: boolean
  /** Whether it is unused, or the token exchanged by the last refresh. */
  is_latest: boolean
  /** The origin of the last refresh; null before the first one. */
  refreshed_network: string | null
  refreshed_agent: string | null
}

/**
 * Finds refresh tokens with their grants. Without joins between columns, so that each table is read by its primary key
 * whatever the planner believes about its size.
 */
export function findRefreshTokens(sql: Queries, tokenHashes: readonly Buffer[]): Promise<RefreshTokenRow[]> {
  return sql<RefreshTokenRow[]>`
    select
      wanted.key, token.grant_id, granted.client_id, granted.user_id, granted.scope, granted.resource,
      token.consumed_at, token.expires_at, granted.expires_at as grant_expires_at,
      (granted.revoked_at is not null or account.disabled_at is not null) as ended, account.is_admin as user_is_admin,
      coalesce(granted.rotated_hash = token.token_hash, true) as is_latest,
      granted.refreshed_network, granted.refreshed_agent
    from unnest(${tokenHashes.map(hash => hash.toString('hex'))}::text[]) as wanted (key)
    cross join lateral (
      select token_hash, grant_id, consumed_at, expires_at
      from refresh_tokens
      where token_hash = decode(wanted.key, 'hex')
      limit 1
    ) as token
    cross join lateral (
      select *
      from grants
      where id = token.grant_id
      limit 1
    ) as granted
    cross join lateral (
      select disabled_at, is_admin
      from users
      where id = granted.user_id
      limit 1
    ) as account`
}

/** Number of used tokens kept per grant, to distinguish reuse from unknown tokens. */
const KEEP_USED = 100
/** After how many refreshes those beyond it are deleted, since finding them reads them all. */
const FORGET_EVERY = 16

export interface Rotation {
  tokenHash: Buffer
  successorHash: Buffer
  grantId: string
  now: Date
  expiresAt: Date
  network: string
  agent: string
}

/**
 * Consumes unused tokens of active grants, stores their successors, and records the use and its origin in the grants. Now and
 * then deletes old used tokens.
 *
 * @param rotations Of different grants, which are locked in the order of their ids, as by whoever revokes several.
 * @returns a row for each token that this call consumed. For the others, another call did, or the grant has ended meanwhile.
 */
export function rotateRefreshTokens(sql: Queries, rotations: readonly Rotation[]): Promise<{ key: string }[]> {
  const { now } = rotations[0]!
  const rows = rotations.map(rotation => ({
    token_hash: `\\x${rotation.tokenHash.toString('hex')}`,
    successor_hash: `\\x${rotation.successorHash.toString('hex')}`,
    grant_id: rotation.grantId,
    expires_at: rotation.expiresAt,
    network: rotation.network,
    agent: rotation.agent,
  }))
  return sql<{ key: string }[]>`
    with turn as materialized (
      select *
      from jsonb_to_recordset(${sql.json(rows as never)}) as turn (
        token_hash bytea, successor_hash bytea, grant_id uuid, expires_at timestamptz, network text, agent text
      )
    ),
    locked as materialized (
      select id, revoked_at
      from grants
      where id = any (array(select grant_id from turn))
      order by id
      for no key update
    ),
    consumed as (
      update refresh_tokens
      set consumed_at = ${now}
      where token_hash = any (array(
        select token_hash
        from turn
        join locked on locked.id = turn.grant_id
        where locked.revoked_at is null
      ))
        and consumed_at is null
      returning grant_id
    ),
    used as (
      update grants
      set
        used_at = ${now},
        refreshes = refreshes + 1,
        (rotated_hash, refreshed_network, refreshed_agent) = (
          select token_hash, network, agent
          from turn
          where grant_id = grants.id
        )
      where id = any (array(select grant_id from consumed))
      returning id, refreshes
    ),
    forgotten as (
      delete from refresh_tokens
      where token_hash = any (array(
        select old.token_hash
        from used
        cross join lateral (
          select token_hash
          from refresh_tokens
          where grant_id = used.id
          order by created_at desc
          offset ${KEEP_USED}
        ) as old
        where used.refreshes % ${FORGET_EVERY}::int = 0
      ))
    )
    insert into refresh_tokens (token_hash, grant_id, created_at, expires_at)
    select successor_hash, grant_id, ${now}, expires_at
    from turn
    join used on used.id = grant_id
    returning grant_id as key`
}

/** The grant of a refresh token, for revocation. */
export async function findRefreshGrant(
  sql: Queries,
  tokenHash: Uint8Array,
): Promise<{ id: string; client_id: string } | undefined> {
  const [row] = await sql<{ id: string; client_id: string }[]>`
    select id, client_id
    from grants
    where id = (select grant_id from refresh_tokens where token_hash = ${tokenHash})`
  return row
}

/** Deletes at most `limit` tokens that expired before `before`, used or not. @returns how many. */
export async function sweepRefreshTokens(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from refresh_tokens
    where token_hash = any (array(
      select token_hash
      from refresh_tokens
      where expires_at < ${before}
      order by expires_at
      limit ${limit}
      for update skip locked
    ))
    returning token_hash`
  return rows.length
}
