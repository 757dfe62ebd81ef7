/** Grant types (RFC 6749, RFC 8628), and the types of their handlers. */
import type { ClientRow } from '../../../sql/clients.ts'
import type { Params } from '../../http/params.ts'
import type { OAuthDeps } from '../deps.ts'

export const DEVICE_CODE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

export const GRANT_TYPES = ['authorization_code', 'refresh_token', 'client_credentials', DEVICE_CODE_GRANT] as const
export type GrantType = (typeof GRANT_TYPES)[number]

/** A token request whose client is authenticated and registered for the grant type. */
export interface TokenRequest {
  client: ClientRow
  params: Params
  ip: string | null
  userAgent: string | null
}

/** RFC 6749 5.1. */
export interface TokenResponse {
  access_token: string
  token_type: 'Bearer'
  /** Seconds. */
  expires_in: number
  refresh_token?: string
  scope: string
}

/** On the device token endpoint, a public client may omit its client id. */
export type DeviceTokenRequest = Pick<TokenRequest, 'params' | 'ip'> & { client: ClientRow | undefined }

export type GrantHandler = (deps: OAuthDeps, request: TokenRequest) => Promise<TokenResponse>
