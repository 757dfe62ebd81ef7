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

/**
 * Consumes an unused token of a active grant, stores its successor, and records the use and its origin in the grant. Now and
 * then deletes old used tokens.
 *
 * @returns whether this call consumed it; otherwise another one did, or the grant has ended meanwhile.
 */
export async function rotateRefreshToken(
  sql: Queries,
  rotate: {
    tokenHash: Uint8Array
    successorHash: Uint8Array
    grantId: string
    now: Date
    expiresAt: Date
    network: string
    agent: string
  },
): Promise<boolean> {
  const rows = await sql`
    with consumed as (
      update refresh_tokens
      set consumed_at = ${rotate.now}
      where token_hash = ${rotate.tokenHash}
        and consumed_at is null
      returning grant_id
    ),
    used as (
      update grants
      set
        used_at = ${rotate.now},
        refreshes = refreshes + 1,
        rotated_hash = ${rotate.tokenHash},
        refreshed_network = ${rotate.network},
        refreshed_agent = ${rotate.agent}
      where id = (select grant_id from consumed)
        and revoked_at is null
      returning id, refreshes
    ),
    forgotten as (
      delete from refresh_tokens
      where token_hash = any (array(
        select token_hash
        from refresh_tokens
        where (select refreshes % ${FORGET_EVERY}::int = 0 from used)
          and grant_id = ${rotate.grantId}
        order by created_at desc
        offset ${KEEP_USED}
      ))
    )
    insert into refresh_tokens (token_hash, grant_id, created_at, expires_at)
    select ${rotate.successorHash}, id, ${rotate.now}, ${rotate.expiresAt}
    from used
    returning token_hash`
  return rows.length === 1
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
