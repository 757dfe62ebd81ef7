/** Access tokens (RFC 9068), the grants behind them, and how both end. Refresh tokens are in `grants/refresh-token.ts`. */
import { randomUUID } from 'node:crypto'
import { deleteUnusedCodes } from '../../sql/authorization-codes.ts'
import { denyUnfetchedCodes } from '../../sql/device-codes.ts'
import {
  type Connection,
  listConnections as queryConnections,
  revokeGrants as updateRevoked,
  revokeGrantsOfUser as updateRevokedOfUser,
} from '../../sql/grants.ts'
import { insertRevocation } from '../../sql/revocations.ts'
import { record } from '../audit.ts'
import { inTransaction } from '../db/index.ts'
import type { Deps } from '../deps.ts'
import { hashSecret } from '../lib/crypto.ts'
import { OAuthError } from '../lib/errors.ts'
import { withdrawConsents } from './consents.ts'
import { signJwt, verifyJwt } from './keys.ts'
import { CHANNEL } from './model.ts'
import { isRevoked, remember, rememberVerified } from './replicas.ts'

/** Whom a good access token speaks for. */
export interface Principal {
  clientId: string
  /** Absent for a machine, which acts for itself (client credentials). */
  userId: string | null
  grantId: string | null
  tokenId: string
  scope: readonly string[]
  audience: string
  /** Seconds since 1970. */
  issuedAt: number
  expiresAt: number
}

export interface TokenResponse {
  access_token: string
  token_type: 'Bearer'
  /** Seconds. */
  expires_in: number
  refresh_token?: string
  scope: string
}

export interface AccessTokenInput {
  clientId: string
  userId: string | null
  grantId: string | null
  scope: readonly string[]
  resource: string
}

/** Signs an access token; nothing is stored. */
export function issueAccessToken(deps: Deps, input: AccessTokenInput): TokenResponse {
  const issuedAt = Math.floor(deps.now().getTime() / 1000)
  const scope = input.scope.join(' ')
  const token = signJwt(deps.replica.keys, {
    iss: deps.config.BASE_URL,
    aud: input.resource,
    sub: input.userId ?? input.clientId,
    client_id: input.clientId,
    scope,
    iat: issuedAt,
    exp: issuedAt + deps.config.ACCESS_TOKEN_TTL,
    jti: randomUUID(),
    ...(input.userId ? { user_id: input.userId } : {}),
    ...(input.grantId ? { grant_id: input.grantId } : {}),
  })
  return { access_token: token, token_type: 'Bearer', expires_in: deps.config.ACCESS_TOKEN_TTL, scope }
}

/**
 * Whom an access token speaks for. No database round trip, and one signature check in a token's life on this replica.
 *
 * @throws OAuthError `invalid_token` if it is not one of ours, expired or revoked (RFC 6750 3.1).
 */
export async function verifyAccessToken(deps: Deps, token: string): Promise<Principal> {
  const refused = (detail: string) =>
    new OAuthError('invalid_token', 'The access token is not valid, has expired or was revoked', { detail })
  const hash = hashSecret(token).toString('base64')
  let principal = deps.replica.verified.get(hash)
  if (!principal) {
    const claims = verifyJwt(deps.replica.keys, token)
    if (claims?.iss !== deps.config.BASE_URL) throw refused('not signed by this server')
    principal = principalOf(claims)
    rememberVerified(deps.replica, hash, principal)
  }
  if (principal.expiresAt * 1000 <= deps.now().getTime()) {
    deps.replica.verified.delete(hash)
    throw refused('expired')
  }
  if (await isRevoked(deps, revocableSubjects(principal))) throw refused('revoked')
  return principal
}

/** What a revocation can name to end this token. */
export function revocableSubjects(principal: Principal): string[] {
  const subjects = [`token:${principal.tokenId}`, `client:${principal.clientId}`]
  if (principal.grantId) subjects.push(`grant:${principal.grantId}`)
  return subjects
}

function principalOf(claims: Record<string, unknown>): Principal {
  return {
    clientId: String(claims.client_id),
    userId: typeof claims.user_id === 'string' ? claims.user_id : null,
    grantId: typeof claims.grant_id === 'string' ? claims.grant_id : null,
    tokenId: String(claims.jti),
    scope: String(claims.scope).split(' '),
    audience: String(claims.aud),
    issuedAt: Number(claims.iat),
    expiresAt: Number(claims.exp),
  }
}

/** When a grant that begins now ends, however often it is refreshed. */
export function grantExpiry(deps: Pick<Deps, 'config' | 'now'>): Date {
  return new Date(deps.now().getTime() + deps.config.GRANT_TTL * 1000)
}

/** A user's connected apps. */
export function listConnections(deps: Deps, userId: string): Promise<Connection[]> {
  return queryConnections(deps.sql, userId, deps.now())
}

/**
 * Ends a grant: its refresh tokens at once, its access tokens on every replica within a second. A user who ends it
 * withdraws the consent, too.
 *
 * @param revoke `userId` restricts it to that user's grants; `by` says in the audit log who did it.
 * @returns whether there was a living grant to end.
 */
export async function revokeGrant(
  deps: Deps,
  revoke: { grantId: string; userId?: string; by: 'user' | 'client' | 'operator' | 'reuse' },
): Promise<boolean> {
  const [ended] = await updateRevoked(deps.sql, {
    ids: [revoke.grantId],
    ...(revoke.userId ? { userId: revoke.userId } : {}),
    now: deps.now(),
    rememberUntil: rememberUntil(deps),
    channel: CHANNEL,
  })
  if (!ended) return false
  remember(deps, deps.replica, `grant:${ended.id}`)
  record(deps, 'grant.revoked', {
    grantId: ended.id,
    clientId: ended.client_id,
    userId: ended.user_id,
    detail: { by: revoke.by },
  })
  if (revoke.by === 'user') await withdrawConsents(deps, ended.user_id, [ended.client_id])
  return true
}

/** Ends all of a user's grants, as {@link revokeGrant} does, and every code that could still become one. */
export async function revokeGrantsOfUser(deps: Deps, userId: string, by: 'user' | 'operator'): Promise<void> {
  const now = deps.now()
  const ended = await inTransaction(deps, async sql => {
    // The codes first: an exchange under way is waited for, so that its grant is there to be ended.
    await deleteUnusedCodes(sql, userId)
    await denyUnfetchedCodes(sql, userId, now)
    return updateRevokedOfUser(sql, { userId, now, rememberUntil: rememberUntil(deps), channel: CHANNEL })
  })
  for (const { id, client_id: clientId } of ended) {
    remember(deps, deps.replica, `grant:${id}`)
    record(deps, 'grant.revoked', { grantId: id, clientId, userId, detail: { by } })
  }
  await withdrawConsents(
    deps,
    userId,
    ended.map(grant => grant.client_id),
  )
}

/** Ends one access token that has no grant (client credentials). */
export async function revokeToken(deps: Deps, principal: Principal): Promise<void> {
  const subject = `token:${principal.tokenId}`
  await insertRevocation(deps.sql, { subject, now: deps.now(), expiresAt: rememberUntil(deps), channel: CHANNEL })
  remember(deps, deps.replica, subject)
  record(deps, 'token.revoked', { clientId: principal.clientId, detail: { token: principal.tokenId } })
}

/** No access token that exists now lives longer than this. */
export function rememberUntil(deps: Pick<Deps, 'config' | 'now'>): Date {
  return new Date(deps.now().getTime() + deps.config.ACCESS_TOKEN_TTL * 1000)
}
