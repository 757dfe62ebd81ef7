/** POST /api/oauth/token (RFC 6749 3.2): what all grants share. The difference between them is in `grants/`. */
import { Elysia } from 'elysia'
import type { ClientRow } from '../../sql/clients.ts'
import type { Deps } from '../deps.ts'
import { clientAddress, type Handled } from '../http/client-address.ts'
import { type Params, readParams } from '../http/params.ts'
import { OAuthError } from '../lib/errors.ts'
import { authenticateClient, authenticateRequest, requireGrantType } from './clients.ts'
import { grantAuthorizationCode } from './grants/authorization-code.ts'
import { grantClientCredentials } from './grants/client-credentials.ts'
import { grantDeviceCode } from './grants/device-code.ts'
import { grantRefreshToken } from './grants/refresh-token.ts'
import { DEVICE_CODE_GRANT } from './model.ts'
import { noStoreJson, readClientCredentials } from './protocol.ts'
import type { TokenResponse } from './tokens.ts'

/** One token request, its client authenticated and registered for the grant type. */
export interface TokenRequest {
  /** Absent only at the device endpoint, for a public client that does not say who it is. */
  client: ClientRow | undefined
  params: Params
  ip: string | null
}

export const token = (deps: Deps) => {
  const handle = async (context: Handled) =>
    noStoreJson(await issueTokens(deps, await authenticateRequest(deps, context)))
  return new Elysia({ name: 'oauth-token' })
    .post('/api/oauth/token', handle, { parse: 'none' })
    .post('/token', handle, { parse: 'none' }) // for MCP 2025-03-26 clients that read no metadata
    .post(
      '/api/oauth/device/token',
      async ({ request, server }) => {
        const params = await readParams(request)
        if (params.grant_type !== undefined && params.grant_type !== DEVICE_CODE_GRANT) {
          throw new OAuthError('unsupported_grant_type', `This endpoint knows only the grant type ${DEVICE_CODE_GRANT}`)
        }
        const credentials = readClientCredentials(request, params)
        const ip = clientAddress(deps, request, server)
        const client = credentials ? await authenticateClient(deps, credentials, ip) : undefined
        if (client) requireGrantType(client, DEVICE_CODE_GRANT)
        return noStoreJson(await grantDeviceCode(deps, { client, params, ip }))
      },
      { parse: 'none' },
    )
}

function issueTokens(deps: Deps, request: TokenRequest & { client: ClientRow }): Promise<TokenResponse> {
  const grantType = request.params.grant_type
  switch (grantType) {
    case undefined:
      throw new OAuthError('invalid_request', 'The parameter grant_type is missing')
    case DEVICE_CODE_GRANT:
      requireGrantType(request.client, grantType)
      return grantDeviceCode(deps, request)
    case 'authorization_code':
      requireGrantType(request.client, grantType)
      return grantAuthorizationCode(deps, request)
    case 'refresh_token':
      requireGrantType(request.client, grantType)
      return grantRefreshToken(deps, request)
    case 'client_credentials':
      requireGrantType(request.client, grantType)
      return grantClientCredentials(deps, request)
    default:
      throw new OAuthError('unsupported_grant_type', 'The grant type is not one that this server knows')
  }
}
