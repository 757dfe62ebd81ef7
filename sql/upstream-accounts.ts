import type { Queries } from './index.ts'
import { UPSTREAM_CHANNEL } from './notifications.ts'

/** Why an account no longer has tokens. */
export type AccountEnd = 'refused' | 'expired' | 'issuer_changed'

export interface UpstreamAccountRow {
  upstream: string
  user_id: string
  url: string
  issuer: string
  account: string | null
  scope: string[]
  wanted_scope: string[]
  tokens: Uint8Array | null
  expires_at: Date | null
  ended: AccountEnd | null
  linked_at: Date
  refreshed_at: Date
  used_at: Date | null
  refresh_after: Date | null
  failures: number
}

export interface AccountKey {
  upstream: string
  userId: string
}

export async function findUpstreamAccount(sql: Queries, key: AccountKey): Promise<UpstreamAccountRow | undefined> {
  const [row] = await sql<UpstreamAccountRow[]>`
    select *
    from upstream_accounts
    where upstream = ${key.upstream}
      and user_id = ${key.userId}`
  return row
}

export function listUpstreamAccounts(sql: Queries, userId: string): Promise<UpstreamAccountRow[]> {
  return sql<UpstreamAccountRow[]>`
    select *
    from upstream_accounts
    where user_id = ${userId}`
}

/** Whether any of these users has an account. */
export async function haveUpstreamAccounts(sql: Queries, userIds: readonly string[]): Promise<boolean> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count
    from upstream_accounts
    where user_id = any (${userIds}::uuid[])`
  return row!.count > 0
}

/** Links an account, replacing an earlier one, and notifies every replica. */
export async function upsertUpstreamAccount(
  sql: Queries,
  account: AccountKey & {
    url: string
    issuer: string
    account: string | null
    scope: string[]
    tokens: Uint8Array
    expiresAt: Date | null
    now: Date
  },
): Promise<void> {
  await sql`
    with linked as (
      insert into upstream_accounts
        (upstream, user_id, url, issuer, account, scope, tokens, expires_at, linked_at, refreshed_at)
      values
        (${account.upstream}, ${account.userId}, ${account.url}, ${account.issuer}, ${account.account},
         ${account.scope}, ${account.tokens}, ${account.expiresAt}, ${account.now}, ${account.now})
      on conflict (upstream, user_id) do update
      set
        url = excluded.url,
        issuer = excluded.issuer,
        account = excluded.account,
        scope = excluded.scope,
        wanted_scope = '{}',
        tokens = excluded.tokens,
        expires_at = excluded.expires_at,
        ended = null,
        linked_at = excluded.linked_at,
        refreshed_at = excluded.refreshed_at,
        refresh_after = null,
        failures = 0
    )
    select pg_notify(${UPSTREAM_CHANNEL}, ${`linked ${account.userId} ${account.upstream}`})`
}

/** Deletes an account and notifies every replica. @returns it, so that its tokens can be revoked. */
export async function deleteUpstreamAccount(sql: Queries, key: AccountKey): Promise<UpstreamAccountRow | undefined> {
  const [row] = await sql<UpstreamAccountRow[]>`
    with forgotten as (
      delete from upstream_accounts
      where upstream = ${key.upstream}
        and user_id = ${key.userId}
      returning *
    )
    select forgotten.*, pg_notify(${UPSTREAM_CHANNEL}, ${`linked ${key.userId} ${key.upstream}`})
    from forgotten`
  return row
}

/** Deletes an account's tokens, so that the user is asked to link it again, and notifies every replica. */
export async function endUpstreamAccount(
  sql: Queries,
  end: AccountKey & { ended: AccountEnd; tokens: Uint8Array },
): Promise<boolean> {
  const rows = await sql`
    with done as (
      update upstream_accounts
      set
        tokens = null,
        expires_at = null,
        ended = ${end.ended}
      where upstream = ${end.upstream}
        and user_id = ${end.userId}
        and tokens = ${end.tokens}
      returning upstream
    )
    select pg_notify(${UPSTREAM_CHANNEL}, ${`linked ${end.userId} ${end.upstream}`})
    from done`
  return rows.length === 1
}

/**
 * Claims the right to refresh exactly these tokens, which only one replica gets.
 *
 * @param until When another replica may try, if this one does not finish.
 */
export async function takeRefreshTurn(
  sql: Queries,
  turn: AccountKey & { tokens: Uint8Array; now: Date; until: Date },
): Promise<boolean> {
  const rows = await sql`
    update upstream_accounts
    set refresh_after = ${turn.until}
    where upstream = ${turn.upstream}
      and user_id = ${turn.userId}
      and tokens = ${turn.tokens}
      and (refresh_after is null or refresh_after <= ${turn.now})
    returning upstream`
  return rows.length === 1
}

/** Replaces these tokens with new ones, and notifies every replica. @returns false if they had already been replaced. */
export async function refreshUpstreamAccount(
  sql: Queries,
  refreshed: AccountKey & {
    before: Uint8Array
    tokens: Uint8Array
    scope: string[]
    expiresAt: Date | null
    now: Date
  },
): Promise<boolean> {
  const rows = await sql`
    with refreshed as (
      update upstream_accounts
      set
        tokens = ${refreshed.tokens},
        scope = ${refreshed.scope},
        expires_at = ${refreshed.expiresAt},
        refreshed_at = ${refreshed.now},
        refresh_after = null,
        failures = 0
      where upstream = ${refreshed.upstream}
        and user_id = ${refreshed.userId}
        and tokens = ${refreshed.before}
      returning upstream
    )
    select pg_notify(${UPSTREAM_CHANNEL}, ${`refreshed ${refreshed.userId} ${refreshed.upstream}`})
    from refreshed`
  return rows.length === 1
}

/** Postpones the next refresh until `after`, when one got no answer. */
export async function postponeRefresh(sql: Queries, postponed: AccountKey & { after: Date }): Promise<void> {
  await sql`
    update upstream_accounts
    set
      refresh_after = ${postponed.after},
      failures = failures + 1
    where upstream = ${postponed.upstream}
      and user_id = ${postponed.userId}`
}

/** Stores scopes that the upstream requires, for the next time the user links the account, and notifies all replicas. */
export async function wantScopes(sql: Queries, wanted: AccountKey & { scope: string[] }): Promise<void> {
  await sql`
    with wanting as (
      update upstream_accounts
      set wanted_scope = ${wanted.scope}
      where upstream = ${wanted.upstream}
        and user_id = ${wanted.userId}
    )
    select pg_notify(${UPSTREAM_CHANNEL}, ${`refreshed ${wanted.userId} ${wanted.upstream}`})`
}

/** Accounts at these upstreams. */
export function listAccountsAt(
  sql: Queries,
  upstreams: readonly string[],
  limit: number,
): Promise<{ upstream: string; user_id: string }[]> {
  return sql<{ upstream: string; user_id: string }[]>`
    select upstream, user_id
    from upstream_accounts
    where upstream = any (${upstreams}::text[])
    order by upstream, user_id
    limit ${limit}`
}

/** Accounts at other upstreams than these, unused since `before`. */
export function listLeftAccounts(
  sql: Queries,
  left: { upstreams: readonly string[]; before: Date; limit: number },
): Promise<{ upstream: string; user_id: string }[]> {
  return sql<{ upstream: string; user_id: string }[]>`
    select upstream, user_id
    from upstream_accounts
    where upstream <> all (${left.upstreams}::text[])
      and greatest(linked_at, refreshed_at, used_at) < ${left.before}
    limit ${left.limit}`
}

export function listAccountsOfDisabled(sql: Queries, limit: number): Promise<{ upstream: string; user_id: string }[]> {
  return sql<{ upstream: string; user_id: string }[]>`
    select upstream_accounts.upstream, upstream_accounts.user_id
    from users
    join upstream_accounts on upstream_accounts.user_id = users.id
    where users.disabled_at is not null
    limit ${limit}`
}

export async function touchUpstreamAccount(sql: Queries, key: AccountKey, now: Date): Promise<void> {
  await sql`
    update upstream_accounts
    set used_at = ${now}
    where upstream = ${key.upstream}
      and user_id = ${key.userId}`
}

/** The number of accounts with tokens, by upstream. */
export function countUpstreamAccounts(sql: Queries): Promise<{ upstream: string; linked: number }[]> {
  return sql<{ upstream: string; linked: number }[]>`
    select upstream, count(*)::int as linked
    from upstream_accounts
    where tokens is not null
    group by upstream`
}
