import type { Queries } from './index.ts'

export interface SessionRow {
  user_id: string
  email: string
  name: string
  is_admin: boolean
  created_at: Date
}

/** Starts a session, unless the user is disabled or being disabled. @returns whether it was started. */
export async function insertSession(
  sql: Queries,
  session: {
    idHash: Uint8Array
    userId: string
    ip: string | null
    userAgent: string | null
    now: Date
    expiresAt: Date
  },
): Promise<boolean> {
  const rows = await sql`
    insert into sessions (id_hash, user_id, created_at, expires_at, ip, user_agent)
    select ${session.idHash}, id, ${session.now}, ${session.expiresAt}, ${session.ip}, ${session.userAgent}
    from users
    where id = ${session.userId}
      and disabled_at is null
    for share
    returning id_hash`
  return rows.length === 1
}

/** Finds an unexpired session of a user who is not disabled. */
export async function findSession(sql: Queries, idHash: Uint8Array, now: Date): Promise<SessionRow | undefined> {
  const [row] = await sql<SessionRow[]>`
    select account.*, session.created_at
    from sessions as session
    cross join lateral (
      select id as user_id, email, name, is_admin
      from users
      where id = session.user_id
        and disabled_at is null
      limit 1
    ) as account
    where session.id_hash = ${idHash}
      and session.expires_at > ${now}`
  return row
}

export interface OwnSession {
  id_hash: Uint8Array
  created_at: Date
  expires_at: Date
  ip: string | null
  user_agent: string | null
}

/** A user's sessions that have not expired, newest first. */
export function listSessions(sql: Queries, userId: string, now: Date): Promise<OwnSession[]> {
  return sql<OwnSession[]>`
    select id_hash, created_at, expires_at, ip, user_agent
    from sessions
    where user_id = ${userId}
      and expires_at > ${now}
    order by created_at desc
    limit 200`
}

/** @returns whether the user had this session. */
export async function deleteSessionOfUser(
  sql: Queries,
  session: { idHash: Uint8Array; userId: string },
): Promise<boolean> {
  const rows = await sql`
    delete from sessions
    where id_hash = ${session.idHash}
      and user_id = ${session.userId}
    returning id_hash`
  return rows.length === 1
}

export async function deleteSession(sql: Queries, idHash: Uint8Array): Promise<void> {
  await sql`
    delete from sessions
    where id_hash = ${idHash}`
}

/** Deletes the sessions of users, waiting for any decision in progress. @returns them, expired ones as well. */
export function deleteSessionsOfUsers(sql: Queries, userIds: string[]): Promise<{ expires_at: Date }[]> {
  return sql<{ expires_at: Date }[]>`
    delete from sessions
    where user_id = any (${userIds}::uuid[])
    returning expires_at`
}

/** Deletes the one-time links of users, used or not. */
export async function deleteSignInLinksOfUsers(sql: Queries, userIds: string[]): Promise<void> {
  await sql`
    delete from sign_in_links
    where user_id = any (${userIds}::uuid[])`
}

export async function insertSignInLink(
  sql: Queries,
  link: { tokenHash: Uint8Array; userId: string; now: Date; expiresAt: Date },
): Promise<void> {
  await sql`
    insert into sign_in_links (token_hash, user_id, created_at, expires_at)
    values (${link.tokenHash}, ${link.userId}, ${link.now}, ${link.expiresAt})`
}

/** The address of the user that an unused link signs in. */
export async function findSignInLink(
  sql: Queries,
  link: { tokenHash: Uint8Array; now: Date },
): Promise<string | undefined> {
  const [row] = await sql<{ email: string }[]>`
    select users.email
    from sign_in_links
    join users on users.id = sign_in_links.user_id
    where token_hash = ${link.tokenHash}
      and used_at is null
      and expires_at > ${link.now}
      and disabled_at is null`
  return row?.email
}

/** Consumes a link. @returns its user; undefined if it is unknown, expired or used, or the user is disabled. */
export async function consumeSignInLink(
  sql: Queries,
  link: { tokenHash: Uint8Array; now: Date },
): Promise<{ user_id: string; email: string } | undefined> {
  const [row] = await sql<{ user_id: string; email: string }[]>`
    with owner as materialized (
      select id
      from users
      where id = (select user_id from sign_in_links where token_hash = ${link.tokenHash})
      for no key update -- before the link, as by whoever disables users
    ),
    used as (
      update sign_in_links
      set used_at = ${link.now}
      where token_hash = ${link.tokenHash}
        and user_id = (select id from owner)
        and used_at is null
        and expires_at > ${link.now}
      returning user_id
    )
    update users
    set signed_in_at = ${link.now}
    from used
    where users.id = used.user_id
      and users.disabled_at is null
    returning users.id as user_id, users.email`
  return row
}

/** Deletes at most `limit` expired sessions. @returns how many. */
export async function sweepSessions(sql: Queries, now: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from sessions
    where id_hash = any (array(
      select id_hash
      from sessions
      where expires_at <= ${now}
      order by expires_at
      limit ${limit}
      for update skip locked
    ))
    returning id_hash`
  return rows.length
}

/** Deletes at most `limit` sign-in links that expired before `before`. @returns how many. */
export async function sweepSignInLinks(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from sign_in_links
    where token_hash = any (array(
      select token_hash
      from sign_in_links
      where expires_at < ${before}
      order by expires_at
      limit ${limit}
      for update skip locked
    ))
    returning token_hash`
  return rows.length
}
