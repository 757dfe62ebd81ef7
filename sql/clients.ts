import type { Queries } from './index.ts'
import { CHANNEL } from './notifications.ts'

export type AuthMethod = 'none' | 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt'
export type ClientSource = 'operator' | 'token' | 'dynamic' | 'metadata'

export interface ClientRow {
  id: string
  name: string
  source: ClientSource
  auth_method: AuthMethod
  secret_hash: Uint8Array | null
  grant_types: string[]
  redirect_uris: string[]
  scope: string[]
  jwks: { keys: Record<string, unknown>[] } | null
  jwks_uri: string | null
  details: Record<string, string>
  shared: boolean
  registration_token_hash: Uint8Array | null
  created_at: Date
  used_at: Date | null
  fresh_until: Date | null
}

export async function findClient(sql: Queries, id: string): Promise<ClientRow | undefined> {
  const [row] = await sql<ClientRow[]>`
    select *
    from clients
    where id = ${id}`
  return row
}

export interface NewClient {
  id: string
  name: string
  source: ClientSource
  authMethod: AuthMethod
  secretHash?: Uint8Array
  grantTypes: string[]
  redirectUris: string[]
  scope: string[]
  jwks?: { keys: Record<string, unknown>[] }
  jwksUri?: string
  details?: Record<string, string>
  /** For an anonymous public registration. */
  fingerprint?: Uint8Array
  registrationTokenHash?: Uint8Array
  createdAt: Date
  /** For a metadata document. */
  freshUntil?: Date
}

/** Inserts the client and notifies every replica; or finds the one with the same fingerprint and marks it as shared. */
export async function insertClient(sql: Queries, client: NewClient): Promise<ClientRow> {
  const [row] = await sql<ClientRow[]>`
    with inserted as (
      insert into clients
        (id, name, source, auth_method, secret_hash, grant_types, redirect_uris, scope, jwks, jwks_uri, details, fingerprint,
          registration_token_hash, created_at)
      values (
        ${client.id}, ${client.name}, ${client.source}, ${client.authMethod}, ${client.secretHash ?? null},
        ${client.grantTypes}::text[], ${client.redirectUris}::text[], ${client.scope}::text[],
        ${client.jwks ? sql.json(client.jwks as never) : null}, ${client.jwksUri ?? null}, ${sql.json(client.details ?? {})},
        ${client.fingerprint ?? null}, ${client.registrationTokenHash ?? null}, ${client.createdAt}
      )
      on conflict (fingerprint) do update set shared = true
      returning *
    )
    select inserted.*, case when id = ${client.id} then pg_notify(${CHANNEL}, 'added ' || id)::text end as notified
    from inserted`
  return row!
}

/** Stores or updates the copy of a metadata document. */
export async function upsertMetadataClient(sql: Queries, client: NewClient & { freshUntil: Date }): Promise<ClientRow> {
  const [row] = await sql<ClientRow[]>`
    insert into clients
      (id, name, source, auth_method, grant_types, redirect_uris, scope, jwks, jwks_uri, details, created_at, fresh_until)
    values (
      ${client.id}, ${client.name}, 'metadata', ${client.authMethod}, ${client.grantTypes}::text[],
      ${client.redirectUris}::text[], ${client.scope}::text[], ${client.jwks ? sql.json(client.jwks as never) : null},
      ${client.jwksUri ?? null}, ${sql.json(client.details ?? {})}, ${client.createdAt}, ${client.freshUntil}
    )
    on conflict (id) do update
    set
      name = excluded.name,
      auth_method = excluded.auth_method,
      grant_types = excluded.grant_types,
      redirect_uris = excluded.redirect_uris,
      jwks = excluded.jwks,
      jwks_uri = excluded.jwks_uri,
      details = excluded.details,
      fresh_until = excluded.fresh_until
    returning *`
  return row!
}

/** Replaces a client's registration, unless it is shared, and notifies every replica. */
export async function updateRegistration(
  sql: Queries,
  client: Pick<NewClient, 'id' | 'name' | 'grantTypes' | 'redirectUris' | 'scope' | 'details'>,
): Promise<ClientRow | undefined> {
  const [row] = await sql<ClientRow[]>`
    with updated as (
      update clients
      set
        name = ${client.name},
        grant_types = ${client.grantTypes}::text[],
        redirect_uris = ${client.redirectUris}::text[],
        scope = ${client.scope}::text[],
        details = ${sql.json(client.details ?? {})},
        fingerprint = null
      where id = ${client.id}
        and not shared
      returning *
    )
    select updated.*, pg_notify(${CHANNEL}, 'client ' || id) as notified
    from updated`
  return row
}

/** Replaces a client's secret, and notifies every replica. @returns whether there is such a client with a secret. */
export async function updateClientSecret(
  sql: Queries,
  { id, secretHash }: { id: string; secretHash: Uint8Array },
): Promise<boolean> {
  const rows = await sql`
    with updated as (
      update clients
      set secret_hash = ${secretHash}
      where id = ${id}
        and secret_hash is not null
      returning id
    )
    select pg_notify(${CHANNEL}, 'client ' || id)
    from updated`
  return rows.length === 1
}

/** An operator's client of this name. */
export async function findOperatorClientByName(sql: Queries, name: string): Promise<ClientRow | undefined> {
  const [row] = await sql<ClientRow[]>`
    select *
    from clients
    where source = 'operator'
      and name = ${name}
    limit 1`
  return row
}

/** At most `limit` clients after the given one, oldest first; from the beginning without `after`. */
export function listClients(
  sql: Queries,
  { after, limit }: { after: Pick<ClientRow, 'id' | 'created_at'> | undefined; limit: number },
): Promise<ClientRow[]> {
  return sql<ClientRow[]>`
    select *
    from clients
    where (created_at, id) > (${after?.created_at ?? new Date(0)}, ${after?.id ?? ''})
    order by created_at, id
    limit ${limit}`
}

/** At most `limit` clients of one source from before one of them, newest first. */
export function listNewestClients(
  sql: Queries,
  {
    source,
    before,
    limit,
  }: { source: ClientSource; before: Pick<ClientRow, 'id' | 'created_at'> | undefined; limit: number },
): Promise<ClientRow[]> {
  return sql<ClientRow[]>`
    select *
    from clients
    where source = ${source}
      and (created_at, id) < (${before?.created_at ?? new Date(Date.UTC(9999, 11, 31))}, ${before?.id ?? ''})
    order by created_at desc, id desc
    limit ${limit}`
}

/**
 * Deletes a client with its grants and codes, records the revocation, and notifies every replica. The caller has called
 * `lockGranted` in the same transaction.
 *
 * @returns whether it was deleted; a shared one is kept with `unlessShared`.
 */
export async function deleteClient(
  sql: Queries,
  remove: { id: string; unlessShared: boolean; now: Date; rememberUntil: Date },
): Promise<boolean> {
  const rows = await sql`
    with deleted as (
      delete from clients
      where id = ${remove.id}
        and not (shared and ${remove.unlessShared})
      returning 'client:' || id as subject
    ),
    remembered as (
      insert into revocations (subject, revoked_at, expires_at)
      select subject, ${remove.now}, ${remove.rememberUntil}
      from deleted
      on conflict (subject) do nothing
    )
    select pg_notify(${CHANNEL}, 'revoked ' || subject)
    from deleted`
  return rows.length === 1
}

/** A place in the list of clients, oldest first: microseconds since 1970, which a Date would round, and the id. */
export interface ClientPlace {
  at: string
  id: string
}

/**
 * Locks `limit` self-registered clients from before `before` that never got a token, oldest first, after one of them. Nobody
 * can ask for a code of theirs until the transaction ends.
 */
export function lockUnusedClients(
  sql: Queries,
  { before, after, limit }: { before: Date; after: ClientPlace | undefined; limit: number },
): Promise<ClientPlace[]> {
  return sql<ClientPlace[]>`
    select id, (extract(epoch from created_at) * 1000000)::bigint as at
    from clients
    where source in ('dynamic', 'metadata')
      and used_at is null
      and created_at < ${before}
      and (created_at, id) > (timestamptz 'epoch' + ${after?.at ?? '0'}::bigint * interval '1 microsecond', ${after?.id ?? ''})
    order by created_at, id
    limit ${limit}
    for update skip locked`
}

/** Locks at most `limit` metadata documents of clients that never got a token, except the newest `keep`. */
export function lockUnusedDocuments(sql: Queries, keep: number, limit: number): Promise<{ id: string }[]> {
  return sql<{ id: string }[]>`
    select id
    from clients
    where id = any (array(
      select id
      from clients
      where source = 'metadata'
        and used_at is null
      order by created_at desc
      offset ${keep}
      limit ${limit}
    ))
    for update skip locked`
}

/**
 * Deletes those of the locked clients that still have no token and no code, so that nothing is deleted with them: whoever
 * exchanges a code locks it before its client. Notifies every replica. @returns how many.
 */
export async function deleteUnusedClients(sql: Queries, ids: string[]): Promise<number> {
  const rows = await sql`
    with deleted as (
      delete from clients
      where id = any (${ids}::text[])
        and used_at is null
        and (select id from device_codes where client_id = clients.id limit 1) is null
        and (select code_hash from authorization_codes where client_id = clients.id limit 1) is null
      returning id
    )
    select pg_notify(${CHANNEL}, 'client ' || id)
    from deleted`
  return rows.length
}
