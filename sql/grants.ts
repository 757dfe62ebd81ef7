import type { ClientSource } from './clients.ts'
import type { Queries, UserRights } from './index.ts'
import { CHANNEL } from './notifications.ts'

export interface Connection {
  id: string
  client_id: string
  client_name: string
  client_source: ClientSource
  scope: string[]
  resource: string
  created_at: Date
  used_at: Date
  expires_at: Date
}

/** A user's active grants, shown as connected apps; most recently used first. */
export function listConnections(sql: Queries, userId: string, now: Date): Promise<Connection[]> {
  return sql<Connection[]>`
    select
      granted.id, granted.client_id, client.name as client_name, client.source as client_source,
      granted.scope, granted.resource, granted.created_at, granted.used_at, granted.expires_at
    from grants as granted
    join clients as client on client.id = granted.client_id
    where granted.user_id = ${userId}
      and granted.revoked_at is null
      and granted.expires_at > ${now}
    order by granted.used_at desc`
}

export interface UserConnection extends Connection {
  user_id: string
  email: string
}

const FIRST = '00000000-0000-0000-0000-000000000000'

/** At most `limit` living grants that come after one of them, by user; from the beginning without `after`. */
export function listAllConnections(
  sql: Queries,
  {
    email,
    clientId,
    ...page
  }: {
    email: string | undefined
    clientId: string | undefined
    after: Pick<UserConnection, 'user_id' | 'id'> | undefined
    limit: number
    now: Date
  },
): Promise<UserConnection[]> {
  return sql<UserConnection[]>`
    select
      granted.id, granted.user_id, users.email, granted.client_id, client.name as client_name,
      client.source as client_source, granted.scope, granted.resource, granted.created_at, granted.used_at,
      granted.expires_at
    from grants as granted
    join clients as client on client.id = granted.client_id
    join users on users.id = granted.user_id
    where (granted.user_id, granted.id) > (${page.after?.user_id ?? FIRST}::uuid, ${page.after?.id ?? FIRST}::uuid)
      and granted.revoked_at is null
      and granted.expires_at > ${page.now}
      and (${email ?? null}::text is null or lower(users.email) = lower(${email ?? null}))
      and (${clientId ?? null}::text is null or granted.client_id = ${clientId ?? null})
    order by granted.user_id, granted.id
    limit ${page.limit}`
}

/** A place in a list of what was created when, newest first. */
export interface CreatedBefore {
  created_at: Date
  id: string
}

/** After everything. */
const LAST: CreatedBefore = { created_at: new Date(Date.UTC(9999, 11, 31)), id: FIRST }

/** At most `limit` living grants from before one of them, newest first. */
export function listNewestConnections(
  sql: Queries,
  { before = LAST, limit, now }: { before: CreatedBefore | undefined; limit: number; now: Date },
): Promise<UserConnection[]> {
  return sql<UserConnection[]>`
    select
      granted.id, granted.user_id, users.email, granted.client_id, client.name as client_name,
      client.source as client_source, granted.scope, granted.resource, granted.created_at, granted.used_at,
      granted.expires_at
    from grants as granted
    join clients as client on client.id = granted.client_id
    join users on users.id = granted.user_id
    where (granted.created_at, granted.id) < (${before.created_at}, ${before.id}::uuid)
      and granted.revoked_at is null
      and granted.expires_at > ${now}
    order by granted.created_at desc, granted.id desc
    limit ${limit}`
}

/** The same, of one client. */
export function listConnectionsOfClient(
  sql: Queries,
  clientId: string,
  { before = LAST, limit, now }: { before: CreatedBefore | undefined; limit: number; now: Date },
): Promise<UserConnection[]> {
  return sql<UserConnection[]>`
    select
      granted.id, granted.user_id, users.email, granted.client_id, client.name as client_name,
      client.source as client_source, granted.scope, granted.resource, granted.created_at, granted.used_at,
      granted.expires_at
    from grants as granted
    join clients as client on client.id = granted.client_id
    join users on users.id = granted.user_id
    where granted.client_id = ${clientId}
      and (granted.created_at, granted.id) < (${before.created_at}, ${before.id}::uuid)
      and granted.revoked_at is null
      and granted.expires_at > ${now}
    order by granted.created_at desc, granted.id desc
    limit ${limit}`
}

/** How many living grants there are. */
export async function countConnections(sql: Queries, now: Date): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count
    from grants
    where revoked_at is null
      and expires_at > ${now}`
  return row!.count
}

/**
 * Revokes grants, records the revocations, and notifies every replica.
 *
 * @returns the grants that were active.
 */
export function revokeGrants(
  sql: Queries,
  revoke: { ids: string[]; userId?: string; now: Date; rememberUntil: Date },
): Promise<{ id: string; client_id: string; user_id: string }[]> {
  return sql<{ id: string; client_id: string; user_id: string }[]>`
    with ended as (
      update grants
      set revoked_at = ${revoke.now}
      where id = any (${revoke.ids}::uuid[])
        and (${revoke.userId ?? null}::uuid is null or user_id = ${revoke.userId ?? null}::uuid)
        and revoked_at is null
      returning id, client_id, user_id
    ),
    remembered as (
      insert into revocations (subject, revoked_at, expires_at)
      select 'grant:' || id, ${revoke.now}, ${revoke.rememberUntil}
      from ended
      on conflict (subject) do nothing
    )
    select id, client_id, user_id, pg_notify(${CHANNEL}, 'revoked grant:' || id) as notified
    from ended`
}

/**
 * Revokes a user's grants, like {@link revokeGrants}.
 *
 * @returns the grants that were active.
 */
export function revokeGrantsOfUser(
  sql: Queries,
  { userId, clientId, scope, ...revoke }: UserRights & { now: Date; rememberUntil: Date },
): Promise<{ id: string; client_id: string }[]> {
  return sql<{ id: string; client_id: string }[]>`
    with ended as (
      update grants
      set revoked_at = ${revoke.now}
      where user_id = ${userId}
        and revoked_at is null
        and expires_at > ${revoke.now}
        and (${clientId ?? null}::text is null or client_id = ${clientId ?? null})
        and (${scope ?? null}::text is null or ${scope ?? null} = any (scope))
      returning id, client_id
    ),
    remembered as (
      insert into revocations (subject, revoked_at, expires_at)
      select 'grant:' || id, ${revoke.now}, ${revoke.rememberUntil}
      from ended
      on conflict (subject) do nothing
    )
    select id, client_id, pg_notify(${CHANNEL}, 'revoked grant:' || id) as notified
    from ended`
}

/** Deletes at most `limit` grants that expired before `before`. @returns how many. */
export async function sweepExpiredGrants(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from grants
    where id = any (array(
      select id
      from grants
      where expires_at < ${before}
      order by expires_at
      limit ${limit}
      for update skip locked
    ))
    returning id`
  return rows.length
}

/** Deletes at most `limit` grants that were revoked before `before`. @returns how many. */
export async function sweepRevokedGrants(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from grants
    where id = any (array(
      select id
      from grants
      where revoked_at < ${before}
      order by revoked_at
      limit ${limit}
      for update skip locked
    ))
    returning id`
  return rows.length
}
