/** The grant types that the token endpoint serves, each with its handler. */
import { OAuthError } from '../../lib/errors.ts'
import { grantAuthorizationCode } from './authorization-code.ts'
import { grantClientCredentials } from './client-credentials.ts'
import { grantDeviceCode } from './device-code.ts'
import { grantRefreshToken } from './refresh-token.ts'
import { DEVICE_CODE_GRANT, type GrantHandler, type GrantType } from './types.ts'

const GRANTS: Readonly<Record<GrantType, GrantHandler>> = {
  authorization_code: grantAuthorizationCode,
  refresh_token: grantRefreshToken,
  client_credentials: grantClientCredentials,
  [DEVICE_CODE_GRANT]: grantDeviceCode,
}

/** @throws OAuthError `invalid_request` without a grant type, `unsupported_grant_type` for an unknown one. */
export function findGrant(grantType: string | undefined): { type: GrantType; handler: GrantHandler } {
  if (grantType === undefined) throw new OAuthError('invalid_request', 'The parameter grant_type is missing')
  if (!Object.hasOwn(GRANTS, grantType))
    throw new OAuthError('unsupported_grant_type', 'This server does not support this grant type')
  const type = grantType as GrantType
  return { type, handler: GRANTS[type] }
}
