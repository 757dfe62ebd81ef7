import type { ClientSource } from './clients.ts'
import type { Queries } from './index.ts'

export interface Connection {
  id: string
  client_id: string
  client_name: string
  client_source: ClientSource
  /** What its user calls it. */
  label: string | null
  scope: string[]
  resource: string
  created_at: Date
  /** The last refresh, at first the creation. */
  used_at: Date
  /** The last call; null before the first one. */
  called_at: Date | null
  /** The network of the last call, or else of the last refresh. */
  network: string | null
  expires_at: Date
}

/** Which of a user's connections: all, or one, or those of one client; a part of them. */
export interface ConnectionFilter {
  id?: string
  clientId?: string
  offset?: number
  limit?: number
}

/** A user's active grants, shown as connected apps; most recently used first. `of_client`: how many the client has. */
export function listConnections(
  sql: Queries,
  { userId, now, id, clientId, offset = 0, limit }: ConnectionFilter & { userId: string; now: Date },
): Promise<(Connection & { of_client: number })[]> {
  return sql<(Connection & { of_client: number })[]>`
    select
      granted.id, granted.client_id, client.name as client_name, client.source as client_source,
      granted.label, granted.scope, granted.resource, granted.created_at, granted.used_at, granted.called_at,
      coalesce(granted.called_from, granted.refreshed_network) as network, granted.expires_at,
      (count(*) over (partition by granted.client_id))::int as of_client
    from grants as granted
    join clients as client on client.id = granted.client_id
    where granted.user_id = ${userId}
      and granted.revoked_at is null
      and granted.expires_at > ${now}
      and (${id ?? null}::uuid is null or granted.id = ${id ?? null})
      and (${clientId ?? null}::text is null or granted.client_id = ${clientId ?? null})
    order by coalesce(granted.called_at, granted.used_at) desc, granted.id
    offset ${offset}
    limit ${limit ?? null}`
}

export interface UserConnection extends Connection {
  user_id: string
  email: string
}

const FIRST = '00000000-0000-0000-0000-000000000000'

/** At most `limit` active grants that come after one of them, by user; from the beginning without `after`. */
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
      client.source as client_source, granted.label, granted.scope, granted.resource, granted.created_at,
      granted.used_at, granted.called_at, coalesce(granted.called_from, granted.refreshed_network) as network,
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

/**
 * At most `limit` living grants from before one of them, newest first: all, or those of one client, whose index is read in its
 * own order, which no plan can replace by that of the time; or those of users, of which each has few.
 */
export function listNewestConnections(
  sql: Queries,
  {
    clientId = null,
    userIds = null,
    before = LAST,
    limit,
    now,
  }: {
    clientId?: string | null | undefined
    userIds?: string[] | null | undefined
    before: CreatedBefore | undefined
    limit: number
    now: Date
  },
): Promise<UserConnection[]> {
  return sql<UserConnection[]>`
    with granted as materialized (
      (
        select *
        from grants
        where ${clientId}::text is null
          and ${userIds}::uuid[] is null
          and (created_at, id) < (${before.created_at}, ${before.id}::uuid)
          and revoked_at is null
          and expires_at > ${now}
        order by created_at desc, id desc
        limit ${limit}
      )
      union all
      (
        select *
        from grants
        where client_id >= ${clientId}
          and (client_id, created_at, id) < (${clientId}, ${before.created_at}, ${before.id}::uuid)
          and revoked_at is null
          and expires_at > ${now}
        order by client_id desc, created_at desc, id desc
        limit ${limit}
      )
      union all
      (
        select *
        from grants
        where user_id = any (${userIds}::uuid[])
          and (created_at, id) < (${before.created_at}, ${before.id}::uuid)
          and revoked_at is null
          and expires_at > ${now}
        order by created_at desc, id desc
        limit ${limit}
      )
    )
    select
      granted.id, granted.user_id, users.email, granted.client_id, client.name as client_name,
      client.source as client_source, granted.label, granted.scope, granted.resource, granted.created_at,
      granted.used_at, granted.called_at, coalesce(granted.called_from, granted.refreshed_network) as network,
      granted.expires_at
    from granted
    join clients as client on client.id = granted.client_id
    join users on users.id = granted.user_id
    order by granted.created_at desc, granted.id desc`
}

/** Whose a grant is that has not been revoked, of this user if given. */
export async function findOpenGrant(
  sql: Queries,
  { id, userId }: { id: string; userId?: string | undefined },
): Promise<{ user_id: string; client_id: string } | undefined> {
  const [row] = await sql<{ user_id: string; client_id: string }[]>`
    select user_id, client_id
    from grants
    where id = ${id}::uuid
      and (${userId ?? null}::uuid is null or user_id = ${userId ?? null}::uuid)
      and revoked_at is null`
  return row
}

/** Names an active grant, of this user if given. @param rename.label null removes the name. @returns it, if there is one. */
export async function updateLabel(
  sql: Queries,
  rename: { id: string; userId?: string | undefined; label: string | null; now: Date },
): Promise<{ id: string; user_id: string; client_id: string } | undefined> {
  const [row] = await sql<{ id: string; user_id: string; client_id: string }[]>`
    update grants
    set label = ${rename.label}
    where id = ${rename.id}
      and (${rename.userId ?? null}::uuid is null or user_id = ${rename.userId ?? null}::uuid)
      and revoked_at is null
      and expires_at > ${rename.now}
    returning id, user_id, client_id`
  return row
}

/** How many active grants there are. */
export async function countConnections(sql: Queries, now: Date): Promise<number> {
  const [row] = await sql<{ count: number }[]>`
    select count(*)::int as count
    from grants
    where revoked_at is null
      and expires_at > ${now}`
  return row!.count
}

/**
 * Locks what a user has granted, or all that was granted to a client, before the user or the client is deleted: consents,
 * authorization codes, device codes, grants. Everything that needs several of these rows locks them in this order, and those
 * of one table by their key, so that no two transactions wait for each other.
 */
export async function lockGranted(sql: Queries, of: { userId: string } | { clientId: string }): Promise<void> {
  const { userId = null, clientId = null } = of as { userId?: string; clientId?: string }
  await sql`
    with allowed as materialized (
      select user_id
      from consents
      where user_id = ${userId} or client_id = ${clientId}
      order by user_id, client_id, redirect_host, resource
      for update
    ),
    exchangeable as materialized (
      select code_hash
      from authorization_codes
      where user_id = ${userId} or client_id = ${clientId}
      order by code_hash
      for update
    ),
    fetchable as materialized (
      select id
      from device_codes
      where user_id = ${userId} or client_id = ${clientId}
      order by id
      for update
    ),
    granted as materialized (
      select id
      from grants
      where user_id = ${userId} or client_id = ${clientId}
      order by id
      for update
    )
    select
      (select count(*) from allowed),
      (select count(*) from exchangeable),
      (select count(*) from fetchable),
      (select count(*) from granted)`
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
