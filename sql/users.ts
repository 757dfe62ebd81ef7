import type { Queries } from './index.ts'

export interface UserRow {
  id: string
  email: string
  name: string
  is_admin: boolean
  invited_at: Date | null
  disabled_at: Date | null
  created_at: Date
  signed_in_at: Date | null
}

export async function findUserByIdentity(sql: Queries, issuer: string, subject: string): Promise<UserRow | undefined> {
  const [row] = await sql<UserRow[]>`
    select users.*
    from identities
    join users on users.id = identities.user_id
    where identities.issuer = ${issuer}
      and identities.subject = ${subject}`
  return row
}

/** The user an operator means by an address: the one who was there first. */
export async function findUserByEmail(sql: Queries, email: string): Promise<UserRow | undefined> {
  const [row] = await sql<UserRow[]>`
    select *
    from users
    where lower(email) = lower(${email})
    order by created_at
    limit 1`
  return row
}

/**
 * Whom an operator named by this address: somebody they disabled; else somebody as whom nobody has signed in through a
 * provider yet.
 */
export async function findInvitedUser(sql: Queries, email: string): Promise<UserRow | undefined> {
  const [row] = await sql<UserRow[]>`
    select *
    from users
    where lower(email) = lower(${email})
      and (
        disabled_at is not null
        or (invited_at is not null and (select user_id from identities where identities.user_id = users.id limit 1) is null)
      )
    order by disabled_at is null, created_at
    limit 1`
  return row
}

export async function insertUser(
  sql: Queries,
  user: { id: string; email: string; name: string; isAdmin: boolean; invitedAt: Date | null; now: Date },
): Promise<UserRow> {
  const [row] = await sql<UserRow[]>`
    insert into users (id, email, name, is_admin, invited_at, created_at)
    values (${user.id}, ${user.email}, ${user.name}, ${user.isAdmin}, ${user.invitedAt}, ${user.now})
    returning *`
  return row!
}

export async function insertIdentity(
  sql: Queries,
  identity: { issuer: string; subject: string; userId: string; now: Date },
): Promise<void> {
  await sql`
    insert into identities (issuer, subject, user_id, created_at)
    values (${identity.issuer}, ${identity.subject}, ${identity.userId}, ${identity.now})`
}

/** Until the transaction ends, nobody else adds an identity; reading goes on. */
export async function lockIdentities(sql: Queries): Promise<void> {
  await sql`lock table identities in share row exclusive mode`
}

/** Stores what a sign-in told us of a user: the address only where one is given. Makes an administrator, never unmakes one. */
export async function updateSignedInUser(
  sql: Queries,
  user: { id: string; email: string | null; name: string; isAdmin: boolean; now: Date },
): Promise<void> {
  await sql`
    update users
    set
      email = coalesce(${user.email}::text, email),
      name = ${user.name},
      is_admin = is_admin or ${user.isAdmin},
      signed_in_at = ${user.now}
    where id = ${user.id}`
}

export async function promoteUser(sql: Queries, id: string): Promise<void> {
  await sql`
    update users
    set is_admin = true
    where id = ${id}`
}

/** Disables everybody with this address and ends their sessions. @returns who that is. */
export function disableUsers(sql: Queries, email: string, now: Date): Promise<{ id: string }[]> {
  return sql<{ id: string }[]>`
    with disabled as (
      update users
      set disabled_at = ${now}
      where lower(email) = lower(${email})
      returning id
    ),
    signed_out as (
      delete from sessions
      where user_id = any (array(select id from disabled))
    )
    select id
    from disabled`
}

/** @returns who is enabled by this. */
export function enableUsers(sql: Queries, email: string): Promise<{ id: string }[]> {
  return sql<{ id: string }[]>`
    update users
    set disabled_at = null
    where lower(email) = lower(${email})
    returning id`
}

export async function findUserById(sql: Queries, id: string): Promise<UserRow | undefined> {
  const [row] = await sql<UserRow[]>`
    select *
    from users
    where id = ${id}`
  return row
}
