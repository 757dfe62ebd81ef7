import type { Queries } from './index.ts'

export type AuthMethod = 'none' | 'client_secret_basic' | 'client_secret_post'

export interface ClientRow {
  id: string
  name: string
  source: 'operator' | 'dynamic'
  auth_method: AuthMethod
  secret_hash: Uint8Array | null
  grant_types: string[]
  redirect_uris: string[]
  scope: string[]
  details: Record<string, string>
  created_at: Date
  used_at: Date | null
}

export type NewClient = Omit<ClientRow, 'used_at'> & { fingerprint: Uint8Array | null }

export async function findClient(sql: Queries, id: string): Promise<ClientRow | undefined> {
  const [row] = await sql<ClientRow[]>`
    select id, name, source, auth_method, secret_hash, grant_types, redirect_uris, scope, details, created_at, used_at
    from clients
    where id = ${id}`
  return row
}

/** Inserts the client, or finds the one that registered with the same fingerprint before. */
export async function insertClient(sql: Queries, client: NewClient): Promise<ClientRow> {
  const [row] = await sql<ClientRow[]>`
    insert into clients
      (id, name, source, auth_method, secret_hash, grant_types, redirect_uris, scope, details, fingerprint, created_at)
    values (
      ${client.id}, ${client.name}, ${client.source}, ${client.auth_method}, ${client.secret_hash},
      ${client.grant_types}::text[], ${client.redirect_uris}::text[], ${client.scope}::text[],
      ${sql.json(client.details)}, ${client.fingerprint}, ${client.created_at}
    )
    on conflict (fingerprint) do update set fingerprint = excluded.fingerprint
    returning id, name, source, auth_method, secret_hash, grant_types, redirect_uris, scope, details, created_at, used_at`
  return row!
}

export function listClients(sql: Queries): Promise<ClientRow[]> {
  return sql<ClientRow[]>`
    select id, name, source, auth_method, secret_hash, grant_types, redirect_uris, scope, details, created_at, used_at
    from clients
    order by created_at`
}

/**
 * Deletes a client with its grants and codes, tells every replica, and remembers it for as long as one of its access
 * tokens could live.
 *
 * @returns whether there was such a client.
 */
export async function deleteClient(
  sql: Queries,
  remove: { id: string; now: Date; rememberUntil: Date; channel: string },
): Promise<boolean> {
  const rows = await sql`
    with deleted as (
      delete from clients
      where id = ${remove.id}
      returning 'client:' || id as subject
    ),
    remembered as (
      insert into revocations (subject, revoked_at, expires_at)
      select subject, ${remove.now}, ${remove.rememberUntil}
      from deleted
      on conflict (subject) do nothing
    )
    select pg_notify(${remove.channel}, 'revoked ' || subject)
    from deleted`
  return rows.length === 1
}

/**
 * Deletes at most `limit` clients that registered themselves before `before`, never got a token, and are not about to:
 * no device shows a code of theirs. Tells every replica. @returns how many.
 */
export async function sweepUnusedClients(
  sql: Queries,
  { before, now, limit, channel }: { before: Date; now: Date; limit: number; channel: string },
): Promise<number> {
  const rows = await sql`
    with deleted as (
      delete from clients
      where id in (
        select id
        from clients
        where source = 'dynamic'
          and used_at is null
          and created_at < ${before}
          and not exists (select from device_codes where client_id = clients.id and expires_at > ${now})
        limit ${limit}
        for update skip locked
      )
      returning id
    )
    select pg_notify(${channel}, 'client ' || id)
    from deleted`
  return rows.length
}
