/** Access tokens (RFC 9068), the grants behind them, and their revocation. Refresh tokens are in `grants/refresh-token.ts`. */
import { randomUUID } from 'node:crypto'
import { deleteUnusedCodes, deleteUnusedCodesOfClient } from '../../sql/authorization-codes.ts'
import { deleteConsents, deleteConsentsOfClient } from '../../sql/consents.ts'
import { denyUnfetchedCodes, denyUnfetchedCodesOfClient } from '../../sql/device-codes.ts'
import {
  type ConnectionFilter,
  type CreatedBefore,
  findOpenGrant,
  listAllConnections as queryAllConnections,
  listConnections as queryConnections,
  listNewestConnections as queryNewestConnections,
  type UserConnection,
  updateLabel,
} from '../../sql/grants.ts'
import type { Queries, UserRights } from '../../sql/index.ts'
import { deletePersonalTokens, listTokenIds } from '../../sql/personal-tokens.ts'
import {
  insertRevocation,
  revokeGrants as updateRevoked,
  revokeGrantsOfUser as updateRevokedOfUser,
} from '../../sql/revocations.ts'
import { record } from '../audit/events.ts'
import type { Base } from '../base.ts'
import { inTransaction } from '../db/index.ts'
import { hashSecret } from '../lib/crypto.ts'
import { OAuthError } from '../lib/errors.ts'
import { printableText } from '../lib/text.ts'
import type { OAuthDeps } from './deps.ts'
import type { TokenResponse } from './grants/types.ts'
import { signJwt, verifyJwt } from './keys.ts'
import { isRevoked, lookUpUser, remember, rememberUntil, rememberVerified } from './memory.ts'
import { PERSONAL_TOKEN, type Principal, principalOf, revocableSubjects } from './principal.ts'
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
 * Verifies an access token. The signature is checked once per token and replica, and without a database round trip,
 * except for an administrator who is not cached yet.
 *
 * @returns a promise only if the database has to be asked.
 * @throws OAuthError `invalid_token` if it is not ours, expired or revoked (RFC 6750 3.1).
 */
export function verifyAccessToken(deps: OAuthDeps, token: string): Principal | Promise<Principal> {
  const hash = hashSecret(token).toString('base64')
  let principal = deps.memory.verified.get(hash)
  if (!principal) {
    const verified = verifyJwt(deps.memory.keys, token)
    if (verified?.claims.iss !== deps.config.BASE_URL) throw invalidToken('not signed by this server')
    principal = principalOf(verified.claims, verified.kid)
    rememberVerified(deps.memory, hash, principal)
  }
  return asOfNow(deps, principal)
}

/**
 * Checks what may have changed since a token was verified: time, revocations, and the rights of its user.
 *
 * @returns the principal with the rights it has now: a promise only if the database has to be asked.
 * @throws OAuthError `invalid_token`
 */
export function asOfNow(deps: OAuthDeps, principal: Principal): Principal | Promise<Principal> {
  const { userId, clientId, scope } = principal
  if (principal.expiresAt * 1000 <= deps.now().getTime()) throw invalidToken('expired')
  const needsUser = userId !== null && (clientId === PERSONAL_TOKEN || scope.includes('admin'))
  const judge = (revoked: boolean) => {
    if (revoked) throw invalidToken('revoked')
    return needsUser ? withRightsOf(deps, userId, principal) : principal
  }
  const revoked = isRevoked(deps, revocableSubjects(principal))
  return revoked instanceof Promise ? revoked.then(judge) : judge(revoked)
}

/** A principal without the rights that its user has lost. @throws OAuthError `invalid_token` if nothing is left. */
export async function withRightsOf(deps: OAuthDeps, userId: string, principal: Principal): Promise<Principal> {
  const user = await lookUpUser(deps, userId)
  if (!user || user.disabled) throw invalidToken('its user is disabled')
  if (user.isAdmin || !principal.scope.includes('admin')) return principal
  const scope = withoutAdmin(principal.scope)
  if (scope.length === 0) throw invalidToken('its user is no longer an administrator')
  return { ...principal, scope }
}

export function invalidToken(detail: string): OAuthError {
  return new OAuthError('invalid_token', 'The access token is not valid, has expired or was revoked', { detail })
}

/** When a grant created now expires, however often it is refreshed. */
export function grantExpiry(deps: Base): Date {
  return new Date(deps.now().getTime() + deps.config.GRANT_TTL * 1000)
}

/** A user's connected apps, the last used one first. */
export function listConnections(deps: OAuthDeps, userId: string, filter: ConnectionFilter = {}) {
  return queryConnections(deps.sql, { ...filter, userId, now: deps.now() })
}

const PAGE = 200

/** All connections, of one user or client if given, grouped by user, read in pages. */
export async function* listAllConnections(
  deps: Base,
  filter: { email?: string | undefined; clientId?: string | undefined },
): AsyncGenerator<UserConnection> {
  const { email, clientId } = filter
  let after: UserConnection | undefined
  for (;;) {
    const page = await queryAllConnections(deps.sql, { email, clientId, after, limit: PAGE, now: deps.now() })
    yield* page
    after = page.at(-1)
    if (page.length < PAGE) return
  }
}

/** One page of all connections, newest first, or of one client's, or of some users'. */
export function newestConnections(
  { sql, now }: Base,
  page: {
    clientId?: string | undefined
    userIds?: string[] | undefined
    before: CreatedBefore | undefined
    limit: number
  },
): Promise<UserConnection[]> {
  return queryNewestConnections(sql, { ...page, now: now() })
}

export const MAX_LABEL = 60

/**
 * Gives a connection a name of its own, such as "laptop".
 *
 * @param rename `userId` restricts it to that user's connections. An empty name removes it.
 * @returns the name as it is shown; undefined if there is no such connection.
 */
export async function renameConnection(
  deps: Base,
  { name, by, ...grant }: { id: string; userId?: string; name: string; by: 'user' | 'operator' },
): Promise<string | undefined> {
  const label = printableText(name, MAX_LABEL)
  const named = await updateLabel(deps.sql, { ...grant, label: label || null, now: deps.now() })
  if (!named) return undefined
  const { id: grantId, user_id: userId, client_id: clientId } = named
  record(deps, 'grant.renamed', { grantId, userId, clientId, detail: { name: label, by } })
  return label
}

/**
 * Revokes a grant: its refresh tokens at once, its access tokens on every replica within a second, and the unused codes of
 * its user and client. If the user revokes it, the consent is withdrawn as well.
 *
 * @param revoke `userId` restricts it to that user's grants; `by` is who did it, for the audit log.
 * @returns whether there was an active grant.
 */
export async function revokeGrant(
  deps: OAuthDeps,
  revoke: { grantId: string; userId?: string; by: 'user' | 'client' | 'operator' | 'reuse' },
): Promise<boolean> {
  const { grantId, by, ...owner } = revoke
  const now = deps.now()
  const ended = await inTransaction(deps, async sql => {
    const open = await findOpenGrant(sql, { id: grantId, ...owner })
    if (!open) return undefined
    const rights = { userId: open.user_id, clientId: open.client_id }
    // Consent, codes, grants: the order in which everything locks them, so that nothing waits in a circle. This waits for a
    // code that is being issued because of the consent, which is then deleted with the others.
    if (by === 'user') await deleteConsents(sql, rights)
    await endCodes(sql, rights, now)
    const [grant] = await updateRevoked(sql, { ids: [grantId], ...owner, now, rememberUntil: rememberUntil(deps) })
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
 * Revokes everything that a user has granted, or only to one client or with one scope: grants, remembered consent, every
 * code that could still become a grant, and personal access tokens, which have no client.
 *
 * @param rights `keepTokens` spares the personal access tokens.
 * @returns how many connections ended.
 */
export async function revokeGrantsOfUser(
  deps: OAuthDeps,
  { keepTokens = false, ...rights }: UserRights & { keepTokens?: boolean },
  by: 'user' | 'operator',
): Promise<number> {
  const now = deps.now()
  const revoke = { now, rememberUntil: rememberUntil(deps) }
  const { grants, tokens } = await inTransaction(deps, async sql => {
    await deleteConsents(sql, rights)
    // Before the grants: this waits for an exchange in progress, so that its grant is revoked, too.
    await endCodes(sql, rights, now)
    const grants = await updateRevokedOfUser(sql, { ...rights, ...revoke })
    const ids = rights.clientId === undefined && !keepTokens ? await listTokenIds(sql, rights) : []
    return { grants, tokens: await deletePersonalTokens(sql, { ids, ...revoke }) }
  })
  for (const { id } of [...grants, ...tokens]) remember(deps, `grant:${id}`)
  for (const { id, client_id: clientId } of grants)
    record(deps, 'grant.revoked', { grantId: id, clientId, userId: rights.userId, detail: { by } })
  for (const { id, name } of tokens)
    record(deps, 'personal_token.revoked', { grantId: id, userId: rights.userId, detail: { name, by } })
  return grants.length + tokens.length
}

/** Revokes all that anybody has granted one client, which stays known. @returns how many connections ended. */
export async function revokeGrantsOfClient(deps: OAuthDeps, clientId: string): Promise<number> {
  // Before the grants, as for a user's.
  await inTransaction(deps, async sql => {
    await deleteConsentsOfClient(sql, clientId)
    await deleteUnusedCodesOfClient(sql, clientId)
    await denyUnfetchedCodesOfClient(sql, clientId, deps.now())
  })
  for (let count = 0; ; ) {
    const open = await newestConnections(deps, { clientId, before: undefined, limit: PAGE })
    if (open.length === 0) return count
    const ids = open.map(({ id }) => id)
    const ended = await updateRevoked(deps.sql, { ids, now: deps.now(), rememberUntil: rememberUntil(deps) })
    count += ended.length
    for (const { id, user_id: userId } of ended) {
      remember(deps, `grant:${id}`)
      record(deps, 'grant.revoked', { grantId: id, clientId, userId, detail: { by: 'operator' } })
    }
  }
}

async function endCodes(sql: Queries, rights: UserRights, now: Date): Promise<void> {
  await deleteUnusedCodes(sql, rights)
  await denyUnfetchedCodes(sql, rights, now)
}

/** Revokes one access token without a grant (client credentials). */
export async function revokeToken(deps: OAuthDeps, principal: Principal): Promise<void> {
  const subject = `token:${principal.tokenId}`
  await insertRevocation(deps.sql, { subject, now: deps.now(), expiresAt: rememberUntil(deps) })
  remember(deps, subject)
  record(deps, 'token.revoked', { clientId: principal.clientId, detail: { token: principal.tokenId } })
}

/**
 * Records that a user is removed, in the caller's transaction: a replica that polls finds no row that says so. Their grants are
 * revoked by {@link revokeGrantsOfUser}.
 */
export function revokeUser(deps: Base, sql: Queries, userId: string): Promise<void> {
  return insertRevocation(sql, { subject: `user:${userId}`, now: deps.now(), expiresAt: rememberUntil(deps) })
}

/** When a refresh token issued now expires: after REFRESH_TOKEN_TTL, or with its grant, which rotation does not extend. */
export function refreshExpiry({ config, now }: Base, grantExpiresAt: Date): Date {
  return new Date(Math.min(now().getTime() + config.REFRESH_TOKEN_TTL * 1000, grantExpiresAt.getTime()))
}
