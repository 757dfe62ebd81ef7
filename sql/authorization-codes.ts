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

/**
 * Consumes a code and creates its grant and, if requested, its refresh token, atomically.
 *
 * @returns whether this call consumed it.
 */
export async function consumeAuthorizationCode(
  sql: Queries,
  consume: {
    codeHash: Uint8Array
    now: Date
    scope: string[]
    grant: { id: string; expiresAt: Date }
    refresh: { tokenHash: Uint8Array; expiresAt: Date } | undefined
  },
): Promise<boolean> {
  const { grant, now, refresh } = consume
  const rows = await sql`
    with consumed as (
      update authorization_codes
      set
        consumed_at = ${now},
        grant_id = ${grant.id}
      where code_hash = ${consume.codeHash}
        and consumed_at is null
      returning client_id, user_id, resource
    ),
    issued as (
      insert into grants (id, client_id, user_id, scope, resource, created_at, used_at, expires_at)
      select ${grant.id}, client_id, user_id, ${consume.scope}::text[], resource, ${now}, ${now}, ${grant.expiresAt}
      from consumed
      returning id, client_id
    ),
    refreshing as (
      insert into refresh_tokens (token_hash, grant_id, created_at, expires_at)
      select ${refresh?.tokenHash ?? null}::bytea, id, ${now}, ${refresh?.expiresAt ?? null}::timestamptz
      from issued
      where ${refresh !== undefined}
    ),
    used as (
      update clients
      set used_at = ${now}
      where id = (select client_id from issued)
        and coalesce(used_at < ${now}::timestamptz - interval '1 minute', true) -- many users may share a client
    )
    select id
    from issued`
  return rows.length === 1
}

/** Deletes a user's unused codes, waiting for any that is being exchanged. */
export async function deleteUnusedCodes(sql: Queries, { userId, clientId, scope }: UserRights): Promise<void> {
  await sql`
    delete from authorization_codes
    where user_id = ${userId}
      and consumed_at is null
      and (${clientId ?? null}::text is null or client_id = ${clientId ?? null})
      and (${scope ?? null}::text is null or ${scope ?? null} = any (scope))`
}

/** Deletes a client's codes that were not exchanged. */
export async function deleteUnusedCodesOfClient(sql: Queries, clientId: string): Promise<void> {
  await sql`
    delete from authorization_codes
    where client_id = ${clientId}
      and consumed_at is null`
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
