/** The authorization code grant's token request (RFC 6749 4.1.3, RFC 7636 4.6). */
import { createHash, randomUUID } from 'node:crypto'
import {
  type AuthorizationCodeRow,
  consumeAuthorizationCode,
  findAuthorizationCode,
} from '../../../sql/authorization-codes.ts'
import type { ClientRow } from '../../../sql/clients.ts'
import { record } from '../../audit/events.ts'
import type { Params } from '../../http/params.ts'
import { hashSecret, isSecret, newSecret, sameBytes } from '../../lib/crypto.ts'
import { OAuthError } from '../../lib/errors.ts'
import type { OAuthDeps } from '../deps.ts'
import { grantExpiry, issueAccessToken, refreshExpiry, revokeGrant } from '../tokens.ts'
import type { TokenRequest, TokenResponse } from './types.ts'

export async function grantAuthorizationCode(
  deps: OAuthDeps,
  { client, params, ip }: TokenRequest,
): Promise<TokenResponse> {
  if (params.code === undefined) throw new OAuthError('invalid_request', 'The parameter code is missing')
  const codeHash = hashSecret(params.code)
  const code = isSecret('authorizationCode', params.code)
    ? await findAuthorizationCode(deps.sql, codeHash, client.id)
    : undefined
  // In this order: whoever cannot prove that the code is theirs must not be able to end what it was exchanged for.
  checkRedirectUri(code, params)
  checkVerifier(code, params)
  checkResource(deps, code, params)
  if (code.consumed_at) return refuseReplay(deps, client, code, ip)
  if (code.expires_at.getTime() <= deps.now().getTime() || code.user_disabled) throw invalidCode()

  const grantId = randomUUID()
  const refreshToken = client.grant_types.includes('refresh_token') ? newSecret('refreshToken') : undefined
  const expiresAt = grantExpiry(deps)
  const consumed = await consumeAuthorizationCode(deps.sql, {
    codeHash,
    now: deps.now(),
    grant: { id: grantId, expiresAt },
    refresh: refreshToken
      ? { tokenHash: hashSecret(refreshToken), expiresAt: refreshExpiry(deps, expiresAt) }
      : undefined,
  })
  if (!consumed) {
    // Somebody was faster with the same proof: a replay, if by a moment.
    const now = await findAuthorizationCode(deps.sql, codeHash, client.id)
    if (now?.consumed_at) return refuseReplay(deps, client, now, ip)
    throw invalidCode()
  }
  record(deps, 'authorization.exchanged', { clientId: client.id, userId: code.user_id, grantId, ip })
  const response = issueAccessToken(deps, {
    clientId: client.id,
    userId: code.user_id,
    grantId,
    scope: code.scope,
    resource: code.resource,
  })
  return refreshToken ? { ...response, refresh_token: refreshToken } : response
}

/** RFC 9700 2.1.1, RFC 6749 4.1.2: what the code was exchanged for may be in the wrong hands, so it ends. */
async function refuseReplay(
  deps: OAuthDeps,
  client: ClientRow,
  code: AuthorizationCodeRow,
  ip: string | null,
): Promise<never> {
  record(deps, 'authorization.replayed', { clientId: client.id, userId: code.user_id, grantId: code.grant_id, ip })
  if (code.grant_id) await revokeGrant(deps, { grantId: code.grant_id, by: 'reuse' })
  throw invalidCode()
}

/** OAuth 2.1 leaves it out of the token request; where it is given it must be the one that was asked for. */
function checkRedirectUri(code: AuthorizationCodeRow | undefined, params: Params): asserts code {
  if (!code || (params.redirect_uri !== undefined && params.redirect_uri !== code.redirect_uri)) throw invalidCode()
}

function checkVerifier(code: AuthorizationCodeRow, params: Params): void {
  if (params.code_verifier === undefined)
    throw new OAuthError('invalid_request', 'The parameter code_verifier is missing')
  // RFC 7636 4.1: what is not a verifier cannot have been one.
  if (!/^[A-Za-z0-9._~-]{43,128}$/.test(params.code_verifier)) throw invalidCode()
  const challenge = createHash('sha256').update(params.code_verifier).digest('base64url')
  if (!sameBytes(Buffer.from(challenge), Buffer.from(code.code_challenge))) throw invalidCode()
}

function checkResource(deps: OAuthDeps, code: AuthorizationCodeRow, params: Params): void {
  if (params.resource !== undefined && deps.resources.find(params.resource).url !== code.resource) {
    throw new OAuthError('invalid_target', 'The resource is not the one that was granted')
  }
}

function invalidCode(): OAuthError {
  return new OAuthError(
    'invalid_grant',
    'The authorization code is unknown, expired or was already used, or its proof is wrong; start again',
  )
}
