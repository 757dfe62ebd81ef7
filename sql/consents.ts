import type { Queries } from './index.ts'

export interface ConsentKey {
  userId: string
  clientId: string
  redirectHost: string
  resource: string
}

/** The scopes that a user has given before; empty if they have not. */
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

/** Remembers what a user gave, together with what they had given before. */
export async function upsertConsent(sql: Queries, consent: ConsentKey & { scope: string[]; now: Date }): Promise<void> {
  await sql`
    insert into consents (user_id, client_id, redirect_host, resource, scope, created_at)
    values (
      ${consent.userId}, ${consent.clientId}, ${consent.redirectHost}, ${consent.resource},
      ${consent.scope}::text[], ${consent.now}
    )
    on conflict (user_id, client_id, redirect_host, resource) do update
    set
      scope = array(select distinct unnest(consents.scope || excluded.scope)),
      created_at = excluded.created_at`
}

/** Forgets what a user gave clients. */
export async function deleteConsents(sql: Queries, userId: string, clientIds: string[]): Promise<void> {
  await sql`
    delete from consents
    where user_id = ${userId}
      and client_id = any (${clientIds}::text[])`
}
