import type { Queries, UserRights } from './index.ts'
import { CHANNEL } from './notifications.ts'

export interface PersonalTokenRow {
  id: string
  user_id: string
  name: string
  scope: string[]
  resource: string
  created_at: Date
  expires_at: Date
  used_at: Date | null
}

export interface NewPersonalToken {
  id: string
  tokenHash: Uint8Array
  userId: string
  name: string
  scope: string[]
  resource: string
  now: Date
  expiresAt: Date
}

/**
 * Stores a token, unless its user is disabled or has `limit` valid ones. Waits for a change of the user that is under way, and
 * such a change for this: so a user who is being disabled gets no token that outlives it.
 *
 * @returns whether it was stored.
 */
export async function insertPersonalToken(sql: Queries, token: NewPersonalToken, limit: number): Promise<boolean> {
  const rows = await sql`
    insert into personal_tokens (id, token_hash, user_id, name, scope, resource, created_at, expires_at)
    select
      ${token.id}, ${token.tokenHash}, users.id, ${token.name}, ${token.scope}::text[], ${token.resource}, ${token.now},
      ${token.expiresAt}
    from users
    where users.id = ${token.userId}
      and disabled_at is null
      and (
        select count(*)
        from personal_tokens
        where user_id = ${token.userId}
          and expires_at > ${token.now}
      ) < ${limit}
    for share of users
    returning id`
  return rows.length > 0
}

export async function findPersonalToken(sql: Queries, tokenHash: Uint8Array): Promise<PersonalTokenRow | undefined> {
  const [row] = await sql<PersonalTokenRow[]>`
    select id, user_id, name, scope, resource, created_at, expires_at, used_at
    from personal_tokens
    where token_hash = ${tokenHash}`
  return row
}

/** A user's tokens, newest first; also those that have expired recently. */
export function listPersonalTokens(sql: Queries, userId: string): Promise<PersonalTokenRow[]> {
  return sql<PersonalTokenRow[]>`
    select id, user_id, name, scope, resource, created_at, expires_at, used_at
    from personal_tokens
    where user_id = ${userId}
    order by created_at desc, id`
}

export interface UserPersonalToken extends PersonalTokenRow {
  email: string
}

const FIRST = '00000000-0000-0000-0000-000000000000'

/** At most `limit` tokens that come after one of them, by user; from the beginning without `after`. */
export function listAllPersonalTokens(
  sql: Queries,
  page: {
    email: string | undefined
    after: Pick<UserPersonalToken, 'user_id' | 'id'> | undefined
    limit: number
  },
): Promise<UserPersonalToken[]> {
  return sql<UserPersonalToken[]>`
    select
      id, user_id, (select email from users where users.id = user_id) as email, name, scope, resource, created_at,
      expires_at, used_at
    from personal_tokens
    where (user_id, id) > (${page.after?.user_id ?? FIRST}::uuid, ${page.after?.id ?? FIRST}::uuid)
      and (
        ${page.email ?? null}::text is null
        or user_id = any (array(select users.id from users where lower(users.email) = lower(${page.email ?? null})))
      )
    order by user_id, id
    limit ${page.limit}`
}

/** The ids of a user's tokens: all, or those with one scope. */
export async function listTokenIds(sql: Queries, { userId, scope }: Omit<UserRights, 'clientId'>): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select id
    from personal_tokens
    where user_id = ${userId}
      and (${scope ?? null}::text is null or ${scope ?? null} = any (scope))`
  return rows.map(({ id }) => id)
}

/** Deletes tokens, of one user if given, records the revocations, and notifies every replica. @returns those that there were. */
export function deletePersonalTokens(
  sql: Queries,
  revoke: { ids: string[]; userId?: string | undefined; now: Date; rememberUntil: Date },
): Promise<{ id: string; user_id: string; name: string }[]> {
  return sql<{ id: string; user_id: string; name: string }[]>`
    with ended as (
      delete from personal_tokens
      where id = any (${revoke.ids}::uuid[])
        and (${revoke.userId ?? null}::uuid is null or user_id = ${revoke.userId ?? null}::uuid)
      returning id, user_id, name
    ),
    remembered as (
      insert into revocations (subject, revoked_at, expires_at)
      select 'grant:' || id, ${revoke.now}, ${revoke.rememberUntil}
      from ended
      on conflict (subject) do nothing
    )
    select id, user_id, name, pg_notify(${CHANNEL}, 'revoked grant:' || id) as notified
    from ended`
}

/** Deletes at most `limit` tokens that expired before `before`. @returns how many. */
export async function sweepPersonalTokens(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from personal_tokens
    where id = any (array(
      select id
      from personal_tokens
      where expires_at < ${before}
      order by expires_at
      limit ${limit}
      for update skip locked
    ))
    returning id`
  return rows.length
}
