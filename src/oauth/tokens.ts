/** Access tokens (RFC 9068), the grants behind them, and how both end. Refresh tokens are in `grants/refresh-token.ts`. */
import { randomUUID } from 'node:crypto'
import { deleteUnusedCodes } from '../../sql/authorization-codes.ts'
import { deleteConsents } from '../../sql/consents.ts'
import { denyUnfetchedCodes } from '../../sql/device-codes.ts'
import {
  type Connection,
  listConnections as queryConnections,
  revokeGrants as updateRevoked,
  revokeGrantsOfUser as updateRevokedOfUser,
} from '../../sql/grants.ts'
import type { Queries, UserRights } from '../../sql/index.ts'
import { insertRevocation } from '../../sql/revocations.ts'
import { record } from '../audit/events.ts'
import type { Base } from '../base.ts'
import { inTransaction } from '../db/index.ts'
import { hashSecret } from '../lib/crypto.ts'
import { OAuthError } from '../lib/errors.ts'
import type { OAuthDeps } from './deps.ts'
import type { TokenResponse } from './grants/types.ts'
import { signJwt, verifyJwt } from './keys.ts'
import { isRevoked, lookUpUser, remember, rememberUntil, rememberVerified } from './memory.ts'
import { type Principal, principalOf, revocableSubjects } from './principal.ts'
import { withoutAdmin } from './scopes.ts'

export interface AccessTokenInput {
  clientId: string
  userId: string | null
  grantId: string | null
  scope: readonly string[]
  resource: string
}

/** Signs an access token; nothing is stored. */
export function issueAccessToken(deps: OAuthDeps, input: AccessTokenInput): TokenResponse {
  const issuedAt = Math.floor(deps.now().getTime() / 1000)
  const scope = input.scope.join(' ')
  const claims = {
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
  }
  const token = signJwt(deps.memory.keys, claims, deps.now())
  return { access_token: token, token_type: 'Bearer', expires_in: deps.config.ACCESS_TOKEN_TTL, scope }
}

/**
 * Whom an access token speaks for. One signature check in a token's life on this replica, and no database round trip,
 * but for an administrator who is new to it.
 *
 * @throws OAuthError `invalid_token` if it is not one of ours, expired or revoked (RFC 6750 3.1).
 */
export async function verifyAccessToken(deps: OAuthDeps, token: string): Promise<Principal> {
  const refused = (detail: string) =>
    new OAuthError('invalid_token', 'The access token is not valid, has expired or was revoked', { detail })
  const hash = hashSecret(token).toString('base64')
  let principal = deps.memory.verified.get(hash)
  if (!principal) {
    const verified = verifyJwt(deps.memory.keys, token)
    if (verified?.claims.iss !== deps.config.BASE_URL) throw refused('not signed by this server')
    principal = principalOf(verified.claims, verified.kid)
    rememberVerified(deps.memory, hash, principal)
  }
  if (principal.expiresAt * 1000 <= deps.now().getTime()) {
    deps.memory.verified.delete(hash)
    throw refused('expired')
  }
  if (await isRevoked(deps, revocableSubjects(principal))) throw refused('revoked')
  if (!principal.userId || !principal.scope.includes('admin')) return principal
  const user = await lookUpUser(deps, principal.userId)
  if (!user || user.disabled) throw refused('its user is disabled')
  if (user.isAdmin) return principal
  const scope = withoutAdmin(principal.scope)
  if (scope.length === 0) throw refused('its user is no administrator any more')
  return { ...principal, scope }
}

/** When a grant that begins now ends, however often it is refreshed. */
export function grantExpiry(deps: Base): Date {
  return new Date(deps.now().getTime() + deps.config.GRANT_TTL * 1000)
}

/** A user's connected apps. */
export function listConnections(deps: OAuthDeps, userId: string): Promise<Connection[]> {
  return queryConnections(deps.sql, userId, deps.now())
}

/**
 * Ends a grant: its refresh tokens at once, its access tokens on every replica within a second, and the codes that this
 * user and client have not used yet. A user who ends it withdraws the consent, too.
 *
 * @param revoke `userId` restricts it to that user's grants; `by` says in the audit log who did it.
 * @returns whether there was a living grant to end.
 */
export async function revokeGrant(
  deps: OAuthDeps,
  revoke: { grantId: string; userId?: string; by: 'user' | 'client' | 'operator' | 'reuse' },
): Promise<boolean> {
  const { grantId, by, ...owner } = revoke
  const now = deps.now()
  const ended = await inTransaction(deps, async sql => {
    const [grant] = await updateRevoked(sql, { ids: [grantId], ...owner, now, rememberUntil: rememberUntil(deps) })
    if (!grant) return undefined
    const rights = { userId: grant.user_id, clientId: grant.client_id }
    // Consent first: a code that is given because of it is waited for, and ends with the others.
    if (by === 'user') await deleteConsents(sql, rights)
    await endCodes(sql, rights, now)
    return grant
  })
  if (!ended) return false
  remember(deps, `grant:${ended.id}`)
  record(deps, 'grant.revoked', {
    grantId: ended.id,
    clientId: ended.client_id,
    userId: ended.user_id,
    detail: { by },
  })
  return true
}

/**
 * Ends everything that a user has allowed (or a client, or what has a scope), as {@link revokeGrant} does: grants,
 * remembered consent, and every code that could still become a grant.
 */
export async function revokeGrantsOfUser(deps: OAuthDeps, rights: UserRights, by: 'user' | 'operator'): Promise<void> {
  const now = deps.now()
  const ended = await inTransaction(deps, async sql => {
    await deleteConsents(sql, rights)
    // Before the grants: an exchange under way is waited for, so that its grant is there to be ended.
    await endCodes(sql, rights, now)
    return updateRevokedOfUser(sql, { ...rights, now, rememberUntil: rememberUntil(deps) })
  })
  for (const { id, client_id: clientId } of ended) {
    remember(deps, `grant:${id}`)
    record(deps, 'grant.revoked', { grantId: id, clientId, userId: rights.userId, detail: { by } })
  }
}

async function endCodes(sql: Queries, rights: UserRights, now: Date): Promise<void> {
  await deleteUnusedCodes(sql, rights)
  await denyUnfetchedCodes(sql, rights, now)
}

/** Ends one access token that has no grant (client credentials). */
export async function revokeToken(deps: OAuthDeps, principal: Principal): Promise<void> {
  const subject = `token:${principal.tokenId}`
  await insertRevocation(deps.sql, { subject, now: deps.now(), expiresAt: rememberUntil(deps) })
  remember(deps, subject)
  record(deps, 'token.revoked', { clientId: principal.clientId, detail: { token: principal.tokenId } })
}

/** A refresh token dies of idleness, or with its grant, which rotation does not prolong. */
export function refreshExpiry({ config, now }: Base, grantExpiresAt: Date): Date {
  return new Date(Math.min(now().getTime() + config.REFRESH_TOKEN_TTL * 1000, grantExpiresAt.getTime()))
}
