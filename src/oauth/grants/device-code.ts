/** The device authorization grant's token request (RFC 8628 3.4, 3.5). `sql/device-codes.ts` decides the outcome of a poll, such as `slow_down`. */
import { randomUUID } from 'node:crypto'
import { type PolledDeviceCode, pollDeviceCode } from '../../../sql/device-codes.ts'
import { record, recordRepeatable } from '../../audit/events.ts'
import { hashSecret, isSecret, newSecret } from '../../lib/crypto.ts'
import { OAuthError } from '../../lib/errors.ts'
import type { OAuthDeps } from '../deps.ts'
import { withoutAdmin } from '../scopes.ts'
import { grantExpiry, issueAccessToken, refreshExpiry } from '../tokens.ts'
import { countGuess, requireFewGuesses } from './token-guesses.ts'
import type { DeviceTokenRequest, TokenResponse } from './types.ts'

export async function grantDeviceCode(
  deps: OAuthDeps,
  { client, params, ip }: DeviceTokenRequest,
): Promise<TokenResponse> {
  const deviceCode = params.device_code
  if (deviceCode === undefined) throw new OAuthError('invalid_request', 'The parameter device_code is missing')
  requireFewGuesses(deps, ip)
  // Generated in advance, so that a single statement can do everything.
  const grantId = randomUUID()
  const refreshToken = newSecret('refreshToken')
  const polled = isSecret('deviceCode', deviceCode)
    ? await pollDeviceCode(deps.sql, {
        deviceCodeHash: hashSecret(deviceCode),
        clientId: client?.id ?? null,
        now: deps.now(),
        grant: {
          id: grantId,
          expiresAt: grantExpiry(deps),
          refreshTokenHash: hashSecret(refreshToken),
          refreshExpiresAt: refreshExpiry(deps, grantExpiry(deps)),
        },
      })
    : undefined
  if (!polled) countGuess(deps, ip)
  if (!polled || polled.outcome === 'used')
    recordRepeatable(deps, 'device.poll_refused', { clientId: client?.id ?? polled?.client_id ?? null, ip })
  if (polled?.outcome !== 'approved') throw refusal(polled)
  const scope = polled.user_is_admin ? polled.granted_scope : withoutAdmin(polled.granted_scope)
  if (scope.length === 0) throw refusal({ ...polled, outcome: 'denied' })
  record(deps, 'device.fetched', { clientId: polled.client_id, userId: polled.user_id, grantId, ip })
  const response = issueAccessToken(deps, {
    clientId: polled.client_id,
    userId: polled.user_id,
    grantId,
    scope,
    resource: polled.resource,
  })
  return polled.refreshable ? { ...response, refresh_token: refreshToken } : response
}

function refusal(polled: PolledDeviceCode | undefined): OAuthError {
  switch (polled?.outcome) {
    case 'pending':
      return new OAuthError('authorization_pending', 'The user has not yet completed the authorization')
    case 'slow_down':
      return new OAuthError(
        'slow_down',
        `Polling too fast: wait ${polled.interval_seconds} seconds between requests from now on`,
      )
    case 'denied':
      return new OAuthError('access_denied', 'The user denied the request')
    case 'expired':
      return new OAuthError('expired_token', 'The device code has expired; start again')
    default:
      return new OAuthError('invalid_grant', 'The device code is unknown or was already used')
  }
}
