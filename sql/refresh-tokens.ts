import type { Queries } from './index.ts'

export interface RefreshTokenRow {
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
 * Finds a refresh token with its grant, and locks both for the rest of the transaction. Without joins between columns, so
 * that each table is read by its primary key whatever the planner believes about its size.
 */
export async function lockRefreshToken(sql: Queries, tokenHash: Uint8Array): Promise<RefreshTokenRow | undefined> {
  const [row] = await sql<RefreshTokenRow[]>`
    with token as materialized (
      select token_hash, grant_id, consumed_at, expires_at
      from refresh_tokens
      where token_hash = ${tokenHash}
      for update
    )
    select
      token.grant_id, granted.client_id, granted.user_id, granted.scope, granted.resource,
      token.consumed_at, token.expires_at, granted.expires_at as grant_expires_at,
      (granted.revoked_at is not null or account.disabled_at is not null) as ended, account.is_admin as user_is_admin,
      coalesce(granted.rotated_hash = token.token_hash, true) as is_latest,
      granted.refreshed_network, granted.refreshed_agent
    from token
    join grants as granted on granted.id = (select grant_id from token)
    cross join lateral (
      select disabled_at, is_admin
      from users
      where id = granted.user_id
      limit 1
    ) as account
    for update of granted`
  return row
}

/** Number of used tokens kept per grant, to distinguish reuse from unknown tokens. */
const KEEP_USED = 100

/** Consumes a token, stores its successor, records the use and origin in the grant, and deletes old used tokens. */
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
): Promise<void> {
  await sql`
    with consumed as (
      update refresh_tokens
      set consumed_at = ${rotate.now}
      where token_hash = ${rotate.tokenHash}
    ),
    used as (
      update grants
      set
        used_at = ${rotate.now},
        rotated_hash = ${rotate.tokenHash},
        refreshed_network = ${rotate.network},
        refreshed_agent = ${rotate.agent}
      where id = ${rotate.grantId}
    ),
    forgotten as (
      delete from refresh_tokens
      where token_hash = any (array(
        select token_hash
        from refresh_tokens
        where grant_id = ${rotate.grantId}
          and consumed_at < ${rotate.now}
        order by consumed_at desc
        offset ${KEEP_USED - 1}
        limit ${KEEP_USED}
      ))
    )
    insert into refresh_tokens (token_hash, grant_id, created_at, expires_at)
    values (${rotate.successorHash}, ${rotate.grantId}, ${rotate.now}, ${rotate.expiresAt})`
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
