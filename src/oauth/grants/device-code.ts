/** The device authorization grant's token request (RFC 8628 3.4, 3.5). `sql/device-polls.ts` decides the outcome of a poll, such as `slow_down`. */
import { randomUUID } from 'node:crypto'
import type { ClientRow } from '../../../sql/clients.ts'
import {
  findPublicClientOfCode,
  type Poll,
  type RedeemedDeviceCode,
  redeemDeviceCode,
} from '../../../sql/device-codes.ts'
import { pollUndecidedCodes, type UndecidedPoll } from '../../../sql/device-polls.ts'
import { record, recordRepeatable } from '../../audit/events.ts'
import { gathered } from '../../db/gathered.ts'
import { hashSecret, isSecret, newSecret } from '../../lib/crypto.ts'
import { OAuthError } from '../../lib/errors.ts'
import type { OAuthDeps } from '../deps.ts'
import { withoutAdmin } from '../scopes.ts'
import { grantExpiry, issueAccessToken, refreshExpiry } from '../tokens.ts'
import { countGuess, requireFewGuesses } from './token-guesses.ts'
import type { DeviceTokenRequest, TokenResponse } from './types.ts'

const pollUndecidedCode = gathered((poll: Poll) => poll.deviceCodeHash.toString('hex'), pollUndecidedCodes)

export async function grantDeviceCode(
  deps: OAuthDeps,
  { client, params, ip }: DeviceTokenRequest,
): Promise<TokenResponse> {
  const deviceCode = params.device_code
  if (deviceCode === undefined) throw new OAuthError('invalid_request', 'The parameter device_code is missing')
  requireFewGuesses(deps, ip)
  const poll = isSecret('deviceCode', deviceCode) ? await pollOf(deps, client, deviceCode) : undefined
  const undecided = poll && (await pollUndecidedCode(deps.sql, poll))
  if (undecided) throw notYet(undecided)
  // Generated in advance, so that a single statement can do everything.
  const grantId = randomUUID()
  const refreshToken = newSecret('refreshToken')
  const expiresAt = grantExpiry(deps)
  const refresh = { refreshTokenHash: hashSecret(refreshToken), refreshExpiresAt: refreshExpiry(deps, expiresAt) }
  const redeemed = poll && (await redeemDeviceCode(deps.sql, poll, { id: grantId, expiresAt, ...refresh }))
  if (!redeemed) countGuess(deps, ip)
  if (!redeemed || redeemed.outcome === 'used')
    recordRepeatable(deps, 'device.poll_refused', { clientId: client?.id ?? redeemed?.client_id ?? null, ip })
  if (redeemed?.outcome !== 'approved') throw refusal(redeemed?.outcome)
  const scope = redeemed.user_is_admin ? redeemed.granted_scope : withoutAdmin(redeemed.granted_scope)
  if (scope.length === 0) throw refusal('denied')
  record(deps, 'device.fetched', { clientId: redeemed.client_id, userId: redeemed.user_id, grantId, ip })
  const response = issueAccessToken(deps, {
    clientId: redeemed.client_id,
    userId: redeemed.user_id,
    grantId,
    scope,
    resource: redeemed.resource,
  })
  return redeemed.refreshable ? { ...response, refresh_token: refreshToken } : response
}

/** @param client Absent: a public client that did not name itself. @returns undefined if there is no such code. */
async function pollOf(deps: OAuthDeps, client: ClientRow | undefined, deviceCode: string): Promise<Poll | undefined> {
  const deviceCodeHash = hashSecret(deviceCode)
  const clientId = client?.id ?? (await findPublicClientOfCode(deps.sql, deviceCodeHash))
  return clientId === undefined ? undefined : { deviceCodeHash, clientId, now: deps.now() }
}

function notYet({ outcome, interval_seconds }: UndecidedPoll): OAuthError {
  if (outcome === 'pending')
    return new OAuthError('authorization_pending', 'The user has not yet completed the authorization')
  return new OAuthError('slow_down', `Polling too fast: wait ${interval_seconds} seconds between requests from now on`)
}

function refusal(outcome: RedeemedDeviceCode['outcome'] | undefined): OAuthError {
  switch (outcome) {
    case 'denied':
      return new OAuthError('access_denied', 'The user denied the request')
    case 'expired':
      return new OAuthError('expired_token', 'The device code has expired; start again')
    default:
      return new OAuthError('invalid_grant', 'The device code is unknown or was already used')
  }
}
