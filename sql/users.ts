import type { Queries } from './index.ts'
import { CHANNEL } from './notifications.ts'

export interface UserRow {
  id: string
  email: string
  name: string
  is_admin: boolean
  invited_at: Date | null
  disabled_at: Date | null
  /** Whose wish it is that this user, who is disabled, is removed. */
  leaving_by: 'user' | 'operator' | null
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

/** Finds a user by address; if there are several, the oldest. */
export async function findUserByEmail(sql: Queries, email: string): Promise<UserRow | undefined> {
  const [row] = await sql<UserRow[]>`
    select *
    from users
    where lower(email) = lower(${email})
    order by created_at
    limit 1`
  return row
}

/** The oldest administrator who is not disabled. */
export async function findAdministrator(sql: Queries): Promise<UserRow | undefined> {
  const [row] = await sql<UserRow[]>`
    select *
    from users
    where is_admin
      and disabled_at is null
    order by created_at
    limit 1`
  return row
}

/**
 * Finds a disabled user with this address, or else an invited one who has not signed in through a provider yet.
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

/** The accounts at sign-in providers with which a user signs in. */
export function listIdentities(
  sql: Queries,
  userId: string,
): Promise<{ issuer: string; subject: string; created_at: Date }[]> {
  return sql<{ issuer: string; subject: string; created_at: Date }[]>`
    select issuer, subject, created_at
    from identities
    where user_id = ${userId}
    order by created_at, issuer, subject`
}

/** Blocks other writers of identities until the transaction ends; reads continue. */
export async function lockIdentities(sql: Queries): Promise<void> {
  await sql`lock table identities in share row exclusive mode`
}

/**
 * Updates a user after sign-in; the address only if given. Can make an administrator, but never removes one. Notifies
 * every replica.
 */
export async function updateSignedInUser(
  sql: Queries,
  user: { id: string; email: string | null; name: string; isAdmin: boolean; now: Date },
): Promise<void> {
  await sql`
    with updated as (
      update users
      set
        email = coalesce(${user.email}::text, email),
        name = ${user.name},
        is_admin = is_admin or ${user.isAdmin},
        signed_in_at = ${user.now}
      where id = ${user.id}
      returning id
    )
    select pg_notify(${CHANNEL}, 'user ' || id)
    from updated`
}

/** Makes all users with this address administrators, or removes that right, and notifies every replica. @returns these users. */
export function setAdministrators(sql: Queries, email: string, isAdmin: boolean): Promise<{ id: string }[]> {
  return sql<{ id: string }[]>`
    with changed as (
      update users
      set is_admin = ${isAdmin}
      where lower(email) = lower(${email})
      returning id
    )
    select id, pg_notify(${CHANNEL}, 'user ' || id) as notified
    from changed`
}

/** The users who have been disabled since, and still are. */
export function listDisabledSince(sql: Queries, since: Date): Promise<{ id: string }[]> {
  return sql<{ id: string }[]>`
    select id
    from users
    where disabled_at > ${since}`
}

/**
 * Disables all users with this address, and notifies every replica.
 *
 * @param leaving Whether an operator removes them; a removal that has begun stays. @returns these users.
 */
export function disableByAddress(
  sql: Queries,
  { email, leaving, now }: { email: string; leaving: boolean; now: Date },
): Promise<{ id: string }[]> {
  return sql<{ id: string }[]>`
    with changed as (
      update users
      set
        disabled_at = ${now},
        leaving_by = coalesce(leaving_by, ${leaving ? 'operator' : null})
      where lower(email) = lower(${email})
      returning id
    )
    select id, pg_notify(${CHANNEL}, 'user ' || id) as notified
    from changed`
}

/** Enables all users with this address but those who are being removed, and notifies every replica. @returns these users. */
export function enableByAddress(sql: Queries, email: string): Promise<{ id: string }[]> {
  return sql<{ id: string }[]>`
    with changed as (
      update users
      set disabled_at = null
      where lower(email) = lower(${email})
        and leaving_by is null
      returning id
    )
    select id, pg_notify(${CHANNEL}, 'user ' || id) as notified
    from changed`
}

/** The two oldest administrators who are not disabled, locked until the transaction ends. */
export function lockAdministrators(sql: Queries): Promise<{ id: string }[]> {
  return sql<{ id: string }[]>`
    select id
    from users
    where is_admin
      and disabled_at is null
    order by created_at
    limit 2
    for update`
}

/** Disables one user, who leaves at their own wish, and notifies every replica. */
export async function disableLeaving(sql: Queries, id: string, now: Date): Promise<void> {
  await sql`
    with changed as (
      update users
      set
        disabled_at = ${now},
        leaving_by = 'user'
      where id = ${id}
      returning id
    )
    select pg_notify(${CHANNEL}, 'user ' || id)
    from changed`
}

/** At most `limit` users whose removal has begun. */
export function listLeaving(
  sql: Queries,
  limit: number,
): Promise<{ id: string; email: string; leaving_by: 'user' | 'operator' }[]> {
  return sql<{ id: string; email: string; leaving_by: 'user' | 'operator' }[]>`
    select id, email, leaving_by
    from users
    where leaving_by is not null
    order by id
    limit ${limit}`
}

/**
 * Deletes a user with everything that is theirs, and notifies every replica. The caller has called `lockGranted` in the same
 * transaction.
 *
 * @returns false if there is none.
 */
export async function deleteUser(sql: Queries, userId: string): Promise<boolean> {
  const rows = await sql`
    with gone as (
      delete from users
      where id = ${userId}
      returning id
    )
    select pg_notify(${CHANNEL}, 'user ' || id)
    from gone`
  return rows.length > 0
}

/** Finds a user by id. */
export async function findUserById(sql: Queries, id: string): Promise<UserRow | undefined> {
  const [row] = await sql<UserRow[]>`
    select *
    from users
    where id = ${id}`
  return row
}

/** The addresses of users. */
export function listAddresses(sql: Queries, ids: string[]): Promise<Pick<UserRow, 'id' | 'email'>[]> {
  return sql<Pick<UserRow, 'id' | 'email'>[]>`
    select id, email
    from users
    where id = any (${ids}::uuid[])`
}

/** The ids of the users with an address, in any case. */
export async function listIdsWithAddress(sql: Queries, email: string): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select id
    from users
    where lower(email) = lower(${email})`
  return rows.map(({ id }) => id)
}

/** At most `limit` users whose address begins with `prefix` in lower case, by address, after the given one. */
export function listUsers(
  sql: Queries,
  { prefix, after, limit }: { prefix: string; after: Pick<UserRow, 'id' | 'email'> | undefined; limit: number },
): Promise<UserRow[]> {
  return sql<UserRow[]>`
    select *
    from users
    where (lower(email) collate "C", id)
        > (lower(${after?.email ?? prefix}), ${after?.id ?? '00000000-0000-0000-0000-000000000000'}::uuid)
      and lower(email) collate "C" < ${`${prefix}\u{10ffff}`}
    order by lower(email) collate "C", id
    limit ${limit}`
}

/** How many users there are. */
export async function countUsers(sql: Queries): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count
    from users`
  return row!.count
}
