import type { Queries, UserRights } from './index.ts'

export interface NewAuthorizationCode {
  codeHash: Uint8Array
  clientId: string
  /** The session that approved it. */
  sessionHash: Uint8Array
  /** The host whose remembered consent the code depends on; null if the user was just asked. */
  consentHost: string | null
  redirectUri: string
  scope: string[]
  resource: string
  codeChallenge: string
  createdAt: Date
  expiresAt: Date
}

export interface AuthorizationCodeRow {
  /** Its hash, in hexadecimal. */
  key: string
  client_id: string
  user_id: string
  redirect_uri: string
  scope: string[]
  resource: string
  code_challenge: string
  expires_at: Date
  consumed_at: Date | null
  grant_id: string | null
  user_disabled: boolean
  user_is_admin: boolean
}

/**
 * Stores a code if its session and its consent still exist. Both are locked until it is stored, so that whoever deletes
 * them, and then the unused codes, misses none.
 *
 * @returns whether it was stored.
 */
export async function insertAuthorizationCode(sql: Queries, code: NewAuthorizationCode): Promise<boolean> {
  const rows = await sql`
    insert into authorization_codes
      (code_hash, client_id, user_id, redirect_uri, scope, resource, code_challenge, created_at, expires_at)
    select
      ${code.codeHash}, ${code.clientId}, user_id, ${code.redirectUri}, ${code.scope}::text[], ${code.resource},
      ${code.codeChallenge}, ${code.createdAt}, ${code.expiresAt}
    from sessions
    where id_hash = ${code.sessionHash}
      and expires_at > ${code.createdAt}
      and (
        ${code.consentHost}::text is null
        or exists (
          select
          from consents
          where consents.user_id = sessions.user_id
            and client_id = ${code.clientId}
            and redirect_host = ${code.consentHost}
            and resource = ${code.resource}
          for share
        )
      )
    for share
    returning code_hash`
  return rows.length === 1
}

/** Finds codes, used or not. */
export function findAuthorizationCodes(sql: Queries, codeHashes: readonly Buffer[]): Promise<AuthorizationCodeRow[]> {
  return sql<AuthorizationCodeRow[]>`
    select
      wanted.key, code.client_id, code.user_id, code.redirect_uri, code.scope, code.resource, code.code_challenge,
      code.expires_at, code.consumed_at, code.grant_id, account.disabled_at is not null as user_disabled,
      account.is_admin as user_is_admin
    from unnest(${codeHashes.map(hash => hash.toString('hex'))}::text[]) as wanted (key)
    cross join lateral (
      select *
      from authorization_codes
      where code_hash = decode(wanted.key, 'hex')
      limit 1
    ) as code
    cross join lateral (
      select disabled_at, is_admin
      from users
      where id = code.user_id
      limit 1
    ) as account`
}

export interface Exchange {
  codeHash: Buffer
  now: Date
  scope: string[]
  grant: { id: string; expiresAt: Date }
  refresh: { tokenHash: Buffer; expiresAt: Date } | undefined
}

/**
 * Consumes different codes and creates their grants and, if requested, their refresh tokens, atomically. Codes, and then
 * clients, are locked in a fixed order, so that two statements do not wait for each other.
 *
 * @returns a row for each code that this call consumed.
 */
export function consumeAuthorizationCodes(sql: Queries, exchanges: readonly Exchange[]): Promise<{ key: string }[]> {
  const { now } = exchanges[0]!
  const rows = exchanges.map(({ codeHash, scope, grant, refresh }) => ({
    code_hash: `\\x${codeHash.toString('hex')}`,
    scope,
    grant_id: grant.id,
    grant_expires_at: grant.expiresAt,
    refresh_hash: refresh ? `\\x${refresh.tokenHash.toString('hex')}` : null,
    refresh_expires_at: refresh?.expiresAt ?? null,
  }))
  return sql<{ key: string }[]>`
    with turn as materialized (
      select *
      from jsonb_to_recordset(${sql.json(rows as never)}) as turn (
        code_hash bytea, scope text[], grant_id uuid, grant_expires_at timestamptz, refresh_hash bytea,
        refresh_expires_at timestamptz
      )
    ),
    unused as materialized (
      select code_hash
      from authorization_codes
      where code_hash = any (array(select code_hash from turn))
        and consumed_at is null
      order by code_hash
      for no key update
    ),
    updated as (
      update authorization_codes
      set
        consumed_at = ${now},
        grant_id = (select grant_id from turn where turn.code_hash = authorization_codes.code_hash)
      where code_hash = any (array(select code_hash from unused))
      returning code_hash, client_id, user_id, resource
    ),
    consumed as (
      select *
      from updated
      join turn using (code_hash)
    ),
    issued as (
      insert into grants (id, client_id, user_id, scope, resource, created_at, used_at, expires_at)
      select grant_id, client_id, user_id, scope, resource, ${now}, ${now}, grant_expires_at
      from consumed
      returning client_id
    ),
    refreshing as (
      insert into refresh_tokens (token_hash, grant_id, created_at, expires_at)
      select refresh_hash, grant_id, ${now}, refresh_expires_at
      from consumed
      where refresh_hash is not null
    ),
    used as (
      update clients
      set used_at = ${now}
      where id = any (array(
        select id
        from clients
        where id = any (array(select client_id from issued))
          and coalesce(used_at < ${now}::timestamptz - interval '1 minute', true) -- many users may share a client
        order by id
        for no key update
      ))
    )
    select encode(code_hash, 'hex') as key
    from consumed`
}

/** Deletes a user's unused codes, waiting for any that is being exchanged. */
export async function deleteUnusedCodes(sql: Queries, { userId, clientId, scope }: UserRights): Promise<void> {
  await sql`
    delete from authorization_codes
    where code_hash = any (array(
      select code_hash
      from authorization_codes
      where user_id = ${userId}
        and consumed_at is null
        and (${clientId ?? null}::text is null or client_id = ${clientId ?? null})
        and (${scope ?? null}::text is null or ${scope ?? null} = any (scope))
      order by code_hash
      for update
    ))`
}

/** Deletes a client's codes that were not exchanged. */
export async function deleteUnusedCodesOfClient(sql: Queries, clientId: string): Promise<void> {
  await sql`
    delete from authorization_codes
    where code_hash = any (array(
      select code_hash
      from authorization_codes
      where client_id = ${clientId}
        and consumed_at is null
      order by code_hash
      for update
    ))`
}

/** Deletes at most `limit` codes that expired before `before`. @returns how many. */
export async function sweepAuthorizationCodes(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from authorization_codes
    where code_hash = any (array(
      select code_hash
      from authorization_codes
      where expires_at < ${before}
      order by expires_at
      limit ${limit}
      for update skip locked
    ))
    returning code_hash`
  return rows.length
}
