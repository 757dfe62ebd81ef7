/** The authorization code grant's token request (RFC 6749 4.1.3, RFC 7636 4.6). */
import { createHash, randomUUID } from 'node:crypto'
import {
  type AuthorizationCodeRow,
  consumeAuthorizationCodes,
  type Exchange,
  findAuthorizationCodes,
} from '../../../sql/authorization-codes.ts'
import type { ClientRow } from '../../../sql/clients.ts'
import { record, recordRepeatable } from '../../audit/events.ts'
import { gathered } from '../../db/gathered.ts'
import type { Params } from '../../http/params.ts'
import { hashSecret, isSecret, newSecret, sameBytes } from '../../lib/crypto.ts'
import { OAuthError } from '../../lib/errors.ts'
import type { OAuthDeps } from '../deps.ts'
import { isSameResource } from '../resources.ts'
import { withoutAdmin } from '../scopes.ts'
import { grantExpiry, issueAccessToken, refreshExpiry, revokeGrant } from '../tokens.ts'
import { countGuess, requireFewGuesses } from './token-guesses.ts'
import type { TokenRequest, TokenResponse } from './types.ts'

const findAuthorizationCode = gathered((codeHash: Buffer) => codeHash.toString('hex'), findAuthorizationCodes)
const consumeAuthorizationCode = gathered(
  (exchange: Exchange) => exchange.codeHash.toString('hex'),
  consumeAuthorizationCodes,
)

export async function grantAuthorizationCode(
  deps: OAuthDeps,
  { client, params, ip }: TokenRequest,
): Promise<TokenResponse> {
  if (params.code === undefined) throw new OAuthError('invalid_request', 'The parameter code is missing')
  requireFewGuesses(deps, ip)
  const codeHash = hashSecret(params.code)
  const code = isSecret('authorizationCode', params.code) ? await findAuthorizationCode(deps.sql, codeHash) : undefined
  if (code?.client_id !== client.id) countGuess(deps, ip)
  // Check the proof before replay: only the rightful client may trigger the revocation of the code's grant.
  requireProof(deps, client, code, params, ip)
  if (code.consumed_at) return refuseReplay(deps, client, code, ip)
  const scope = code.user_is_admin ? code.scope : withoutAdmin(code.scope)
  if (code.expires_at.getTime() <= deps.now().getTime() || code.user_disabled || scope.length === 0) throw invalidCode()

  const grantId = randomUUID()
  const refreshToken = client.grant_types.includes('refresh_token') ? newSecret('refreshToken') : undefined
  const expiresAt = grantExpiry(deps)
  const consumed = await consumeAuthorizationCode(deps.sql, {
    codeHash,
    now: deps.now(),
    scope,
    grant: { id: grantId, expiresAt },
    refresh: refreshToken
      ? { tokenHash: hashSecret(refreshToken), expiresAt: refreshExpiry(deps, expiresAt) }
      : undefined,
  })
  if (!consumed) {
    // A concurrent request with the same proof was faster, so this is a replay.
    const now = await findAuthorizationCode(deps.sql, codeHash)
    if (now?.consumed_at) return refuseReplay(deps, client, now, ip)
    throw invalidCode()
  }
  record(deps, 'authorization.exchanged', { clientId: client.id, userId: code.user_id, grantId, ip })
  const response = issueAccessToken(deps, {
    clientId: client.id,
    userId: code.user_id,
    grantId,
    scope,
    resource: code.resource,
  })
  return refreshToken ? { ...response, refresh_token: refreshToken } : response
}

/** Revokes the code's grant, since its tokens may have been stolen (RFC 9700 2.1.1, RFC 6749 4.1.2). */
async function refuseReplay(
  deps: OAuthDeps,
  client: ClientRow,
  code: AuthorizationCodeRow,
  ip: string | null,
): Promise<never> {
  recordRepeatable(deps, 'authorization.replayed', {
    clientId: client.id,
    userId: code.user_id,
    grantId: code.grant_id,
    ip,
  })
  if (code.grant_id) await revokeGrant(deps, { grantId: code.grant_id, by: 'reuse' })
  throw invalidCode()
}

/** @throws OAuthError, after recording it, unless the code was issued to this client and the verifier is right. */
function requireProof(
  deps: OAuthDeps,
  client: ClientRow,
  code: AuthorizationCodeRow | undefined,
  params: Params,
  ip: string | null,
): asserts code {
  const problem = problemOf(client, code, params)
  if (!problem) return
  const { reason, error = invalidCode() } = problem
  const who = { clientId: client.id, userId: code?.user_id ?? null, ip }
  recordRepeatable(deps, 'authorization.exchange_refused', { ...who, detail: { reason } }, reason)
  throw error
}

/** @returns the reason for the audit log, and the error for the client unless that is `invalid_grant`. */
function problemOf(
  client: ClientRow,
  code: AuthorizationCodeRow | undefined,
  params: Params,
): { reason: string; error?: OAuthError } | undefined {
  const { redirect_uri: redirectUri, code_verifier: verifier, resource } = params
  if (!code) return { reason: 'unknown code' }
  if (code.client_id !== client.id) return { reason: 'code of another client' }
  // OAuth 2.1 omits redirect_uri from the token request; if it is sent, it must match the authorization request.
  if (redirectUri !== undefined && redirectUri !== code.redirect_uri) return { reason: 'wrong redirect_uri' }
  if (verifier === undefined) {
    const error = new OAuthError('invalid_request', 'The parameter code_verifier is missing')
    return { reason: 'no code_verifier', error }
  }
  // RFC 7636 4.1
  if (!/^[A-Za-z0-9._~-]{43,128}$/.test(verifier)) return { reason: 'wrong code_verifier' }
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  if (!sameBytes(Buffer.from(challenge), Buffer.from(code.code_challenge))) return { reason: 'wrong code_verifier' }
  if (resource !== undefined && !isSameResource(resource, code.resource)) {
    const error = new OAuthError('invalid_target', 'The resource is not the one that was granted')
    return { reason: 'another resource', error }
  }
  return undefined
}

function invalidCode(): OAuthError {
  return new OAuthError(
    'invalid_grant',
    'The authorization code is unknown, expired or already used, or its code_verifier or redirect_uri is wrong; start again',
  )
}
