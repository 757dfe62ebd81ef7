/**
 * The refresh token grant (RFC 6749 6) with rotation on every use (RFC 9700 4.14.2).
 *
 * Several processes of one client often share one refresh token and use it at the same moment. So the successor is not
 * random but derived from the token: whoever repeats the request within 30 seconds of its first use gets the same
 * successor again, and nobody is signed out. Later than that it is a replay, and the whole grant ends.
 */
import { lockRefreshToken, type RefreshTokenRow, rotateRefreshToken } from '../../../sql/refresh-tokens.ts'
import { record, recordRepeatable } from '../../audit/events.ts'
import { inTransaction } from '../../db/index.ts'
import { hashSecret, hmac, isSecret, SECRET_KINDS } from '../../lib/crypto.ts'
import { OAuthError } from '../../lib/errors.ts'
import type { OAuthDeps } from '../deps.ts'
import { allows } from '../scopes.ts'
import { issueAccessToken, refreshExpiry, revokeGrant } from '../tokens.ts'
import { countGuess, requireFewGuesses } from './guesses.ts'
import type { TokenRequest, TokenResponse } from './types.ts'

const RETRY_MS = 30_000

type Outcome = 'rotated' | 'retried' | 'reused' | 'dead'

export async function grantRefreshToken(deps: OAuthDeps, { client, params, ip }: TokenRequest): Promise<TokenResponse> {
  const presented = params.refresh_token
  if (presented === undefined) throw new OAuthError('invalid_request', 'The parameter refresh_token is missing')
  requireFewGuesses(deps, ip)
  const successor = successorOf(deps, presented)
  const { outcome, token, scope } = isSecret('refreshToken', presented)
    ? await inTransaction(deps, async sql => {
        const tokenHash = hashSecret(presented)
        const found = await lockRefreshToken(sql, tokenHash, client.id)
        const decided = outcomeOf(deps, found)
        // Before anything is consumed: a request that asks for the wrong thing must not cost the client its token.
        const narrowed = found && decided !== 'dead' ? narrowedScope(deps, found, params) : []
        if (found && decided === 'rotated') {
          await rotateRefreshToken(sql, {
            tokenHash,
            successorHash: hashSecret(successor),
            grantId: found.grant_id,
            now: deps.now(),
            expiresAt: refreshExpiry(deps, found.grant_expires_at),
          })
        }
        return { outcome: decided, token: found, scope: narrowed }
      })
    : { outcome: 'dead' as const, token: undefined, scope: [] }

  if (!token) countGuess(deps, ip)
  const who = { clientId: client.id, userId: token?.user_id ?? null, grantId: token?.grant_id ?? null, ip }
  if (token && outcome === 'reused') {
    record(deps, 'refresh.reused', who)
    await revokeGrant(deps, { grantId: token.grant_id, by: 'reuse' })
  }
  if (!token || outcome === 'dead' || outcome === 'reused') {
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

function outcomeOf(deps: OAuthDeps, token: RefreshTokenRow | undefined): Outcome {
  const now = deps.now().getTime()
  if (!token || token.ended || token.grant_expires_at.getTime() <= now) return 'dead'
  if (token.consumed_at) return now - token.consumed_at.getTime() <= RETRY_MS ? 'retried' : 'reused'
  return token.expires_at.getTime() <= now ? 'dead' : 'rotated'
}

/** The scope of the new access token: the grant's, or less (RFC 6749 6). The resource cannot change. */
function narrowedScope(deps: OAuthDeps, token: RefreshTokenRow, params: TokenRequest['params']): string[] {
  if (params.resource !== undefined && deps.resources.find(params.resource).url !== token.resource) {
    throw new OAuthError('invalid_target', 'The resource is not the one that was granted')
  }
  if (params.scope === undefined) return token.scope
  const asked = [...new Set(params.scope.split(' ').filter(Boolean))]
  if (asked.length === 0 || !asked.every(scope => deps.scopes.has(scope) && allows(token.scope, scope))) {
    throw new OAuthError('invalid_scope', 'The scope is wider than what was granted; ask the user again')
  }
  return asked
}

function successorOf(deps: OAuthDeps, token: string): string {
  return `${SECRET_KINDS.refreshToken}_${hmac(deps.secrets.refresh, token).toString('base64url')}`
}
