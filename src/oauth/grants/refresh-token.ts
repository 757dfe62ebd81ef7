/**
 * The refresh token grant (RFC 6749 6) with rotation on every use (RFC 9700 4.14.2).
 *
 * Several processes of one client often share a refresh token and use it at the same moment. Therefore the successor is
 * derived from the token, not random: a retry within 30 seconds of the first use gets the same successor. Later reuse is
 * judged by its origin. From the network and program that last refreshed, it is probably a process that was suspended: it
 * is refused, but nothing is revoked. From anywhere else it is a replay, and the grant is revoked.
 */
import type { ClientRow } from '../../../sql/clients.ts'
import {
  findRefreshTokens,
  type RefreshTokenRow,
  type Rotation,
  rotateRefreshTokens,
} from '../../../sql/refresh-tokens.ts'
import { record, recordRepeatable } from '../../audit/events.ts'
import { gathered } from '../../db/gathered.ts'
import type { Params } from '../../http/params.ts'
import { hashSecret, hmac, isSecret, SECRET_KINDS } from '../../lib/crypto.ts'
import { OAuthError } from '../../lib/errors.ts'
import { networkOf } from '../../lib/networks.ts'
import type { OAuthDeps } from '../deps.ts'
import { isSameResource } from '../resources.ts'
import { allows, parseScope, requestableScope, withoutAdmin } from '../scopes.ts'
import { issueAccessToken, refreshExpiry, revokeGrant } from '../tokens.ts'
import { countGuess, requireFewGuesses } from './token-guesses.ts'
import type { TokenRequest, TokenResponse } from './types.ts'

const RETRY_MS = 30_000

const findRefreshToken = gathered((tokenHash: Buffer) => tokenHash.toString('hex'), findRefreshTokens)
const rotateRefreshToken = gathered((rotation: Rotation) => rotation.grantId, rotateRefreshTokens)

type Outcome = 'rotated' | 'retried' | 'stale' | 'reused' | 'dead' | 'foreign' | 'unknown'

/** Outcomes that are recorded as a refusal; others have an event of their own. */
const REFUSALS: Partial<Record<Outcome, string>> = {
  dead: 'it has ended',
  foreign: 'token of another client',
  unknown: 'unknown token',
}

/** The origin of a request, to distinguish the client's own processes from a thief. */
interface Origin {
  network: string
  agent: string
}

export async function grantRefreshToken(
  deps: OAuthDeps,
  { client, params, ip, userAgent }: TokenRequest,
): Promise<TokenResponse> {
  const presented = params.refresh_token
  if (presented === undefined) throw new OAuthError('invalid_request', 'The parameter refresh_token is missing')
  requireFewGuesses(deps, ip)
  const successor = successorOf(deps, presented)
  const origin: Origin = { network: networkOf(ip), agent: programOf(userAgent) }
  const { outcome, token, scope } = isSecret('refreshToken', presented)
    ? await exchange(deps, { client, params, ip }, { presented, successor, origin })
    : { outcome: 'unknown' as const, token: undefined, scope: [] }

  if (outcome === 'unknown' || outcome === 'foreign') countGuess(deps, ip)
  const who = { clientId: client.id, userId: token?.user_id ?? null, grantId: token?.grant_id ?? null, ip }
  const reason = REFUSALS[outcome]
  if (reason) recordRepeatable(deps, 'refresh.refused', { ...who, detail: { reason } }, reason)
  // Stale reuse revokes nothing, so it can repeat indefinitely.
  if (outcome === 'stale') recordRepeatable(deps, 'refresh.stale', who)
  if (token && outcome === 'reused') {
    record(deps, 'refresh.reused', who)
    await revokeGrant(deps, { grantId: token.grant_id, by: 'reuse' })
  }
  if (!token || (outcome !== 'rotated' && outcome !== 'retried')) {
    throw new OAuthError('invalid_grant', 'The refresh token is unknown, expired or was revoked; sign in again')
  }
  recordRepeatable(deps, outcome === 'retried' ? 'refresh.retried' : 'refresh.rotated', who)
  const response = issueAccessToken(deps, {
    clientId: client.id,
    userId: token.user_id,
    grantId: token.grant_id,
    scope,
    resource: token.resource,
  })
  return { ...response, refresh_token: successor }
}

/** Decides what a token is worth and, if that is a successor, consumes it. */
async function exchange(
  deps: OAuthDeps,
  { client, params, ip }: Pick<TokenRequest, 'client' | 'params' | 'ip'>,
  { presented, successor, origin }: { presented: string; successor: string; origin: Origin },
): Promise<{ outcome: Outcome; token: RefreshTokenRow | undefined; scope: string[] }> {
  const tokenHash = hashSecret(presented)
  const judge = async () => {
    const token = await findRefreshToken(deps.sql, tokenHash)
    const outcome = outcomeOf(deps, client, token, origin)
    // Validate before consuming: an invalid request must not cost the client its token.
    const isGood = outcome === 'rotated' || outcome === 'retried'
    return { outcome, token, scope: token && isGood ? narrowedScope(deps, client, token, params, ip) : [] }
  }
  const judged = await judge()
  const { outcome, token } = judged
  if (!token || outcome !== 'rotated') return judged
  const isRotated = await rotateRefreshToken(deps.sql, {
    tokenHash,
    successorHash: hashSecret(successor),
    grantId: token.grant_id,
    now: deps.now(),
    expiresAt: refreshExpiry(deps, token.grant_expires_at),
    ...origin,
  })
  if (isRotated) return judged
  // A concurrent request was faster, which makes this one a retry; or the grant has just ended.
  const again = await judge()
  return again.outcome === 'rotated' ? { ...again, outcome: 'dead' } : again
}

function outcomeOf(deps: OAuthDeps, client: ClientRow, token: RefreshTokenRow | undefined, origin: Origin): Outcome {
  const now = deps.now().getTime()
  if (!token) return 'unknown'
  if (token.client_id !== client.id) return 'foreign'
  if (token.ended || token.grant_expires_at.getTime() <= now) return 'dead'
  if (scopeOf(token).length === 0) return 'dead'
  if (!token.consumed_at) return token.expires_at.getTime() <= now ? 'dead' : 'rotated'
  // Only the latest used token can be retried: the successor of an older one has already been used.
  if (token.is_latest && now - token.consumed_at.getTime() <= RETRY_MS) return 'retried'
  const isKnown = token.refreshed_network === origin.network && token.refreshed_agent === origin.agent
  return isKnown ? 'stale' : 'reused'
}

/** The user agent without versions: a suspended process may be older than the one that refreshed last. */
function programOf(userAgent: string | null): string {
  return (userAgent ?? '').slice(0, 300).replace(/\d[\w.+-]*/g, '')
}

/** The grant's scope; `admin` only while the user is an administrator. */
function scopeOf(token: RefreshTokenRow): string[] {
  return token.user_is_admin ? token.scope : withoutAdmin(token.scope)
}

/** The scope of the new access token: the grant's, or less (RFC 6749 6). The resource cannot change. */
function narrowedScope(
  deps: OAuthDeps,
  client: ClientRow,
  token: RefreshTokenRow,
  params: Params,
  ip: string | null,
): string[] {
  const refused = (reason: string, error: OAuthError) => {
    const who = { clientId: client.id, userId: token.user_id, grantId: token.grant_id, ip }
    recordRepeatable(deps, 'refresh.refused', { ...who, detail: { reason } }, reason)
    return error
  }
  if (params.resource !== undefined && !isSameResource(params.resource, token.resource)) {
    const error = new OAuthError('invalid_target', 'The resource is not the one that was granted')
    throw refused('another resource', error)
  }
  const granted = scopeOf(token)
  if (params.scope === undefined) return granted
  // Clients repeat their original request; ignore what would be dropped from it now.
  const requestable = requestableScope(deps.scopes, client)
  const wanted = parseScope(params.scope).filter(
    scope => deps.scopes.has(scope) && allows(requestable, scope) && (scope !== 'admin' || token.user_is_admin),
  )
  if (wanted.length === 0 || !wanted.every(scope => allows(granted, scope))) {
    const error = new OAuthError('invalid_scope', 'The scope is wider than what was granted; ask the user again')
    throw refused('wider scope', error)
  }
  return wanted
}

function successorOf(deps: OAuthDeps, token: string): string {
  return `${SECRET_KINDS.refreshToken}_${hmac(deps.secrets.refresh, token).toString('base64url')}`
}
