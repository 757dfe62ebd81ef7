import type { ClientSource } from './clients.ts'
import type { Queries, UserRights } from './index.ts'

export interface ConsentKey {
  userId: string
  clientId: string
  redirectHost: string
  resource: string
}

/** The scopes that a user has granted before; empty if none. */
export async function findConsent(sql: Queries, key: ConsentKey): Promise<string[]> {
  const [row] = await sql<{ scope: string[] }[]>`
    select scope
    from consents
    where user_id = ${key.userId}
      and client_id = ${key.clientId}
      and redirect_host = ${key.redirectHost}
      and resource = ${key.resource}`
  return row?.scope ?? []
}

/** Remembers what a user granted, in addition to earlier scopes, unless their session has ended. */
export async function upsertConsent(
  sql: Queries,
  consent: ConsentKey & { sessionHash: Uint8Array; scope: string[]; now: Date },
): Promise<void> {
  await sql`
    insert into consents (user_id, client_id, redirect_host, resource, scope, created_at)
    select
      user_id, ${consent.clientId}, ${consent.redirectHost}, ${consent.resource}, ${consent.scope}::text[], ${consent.now}
    from sessions
    where id_hash = ${consent.sessionHash}
      and user_id = ${consent.userId}
      and expires_at > ${consent.now}
    for share
    on conflict (user_id, client_id, redirect_host, resource) do update
    set
      scope = array(select distinct unnest(consents.scope || excluded.scope)),
      created_at = excluded.created_at`
}

/** Deletes a user's remembered consents. */
export async function deleteConsents(sql: Queries, { userId, clientId, scope }: UserRights): Promise<void> {
  await sql`
    with locked as materialized (
      select
      from consents
      where user_id = ${userId}
      order by client_id, redirect_host, resource
      for update
    )
    delete from consents
    where user_id = ${userId}
      and (${clientId ?? null}::text is null or client_id = ${clientId ?? null})
      and (${scope ?? null}::text is null or ${scope ?? null} = any (scope))
      and (select count(*) from locked) > 0`
}

/** Deletes all remembered consents for a client. */
export async function deleteConsentsOfClient(sql: Queries, clientId: string): Promise<void> {
  await sql`
    with locked as materialized (
      select
      from consents
      where client_id = ${clientId}
      order by user_id, redirect_host, resource
      for update
    )
    delete from consents
    where client_id = ${clientId}
      and (select count(*) from locked) > 0`
}

export interface IdleConsent {
  client_id: string
  client_name: string
  client_source: ClientSource
  scope: string[]
}

/** At most `limit` clients with remembered consent but no active grant, with all scopes granted to each. */
export function listIdleConsents(
  sql: Queries,
  { userId, now, limit }: { userId: string; now: Date; limit?: number | undefined },
): Promise<IdleConsent[]> {
  return sql<IdleConsent[]>`
    select remembered.client_id, client.name as client_name, client.source as client_source, remembered.scope
    from (
      select client_id, array_agg(distinct part) as scope
      from consents
      cross join unnest(scope) as part
      where user_id = ${userId}
      group by client_id
    ) as remembered
    cross join lateral (
      select name, source
      from clients
      where id = remembered.client_id
      limit 1
    ) as client
    where remembered.client_id not in (
      select client_id
      from grants
      where user_id = ${userId}
        and revoked_at is null
        and expires_at > ${now}
    )
    order by client.name, remembered.client_id
    limit ${limit ?? null}`
}
