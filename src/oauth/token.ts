/** POST /api/oauth/token (RFC 6749 3.2): what all grant types share. Each grant type has a file in `grants/`. */

import { Elysia } from 'elysia'
import { clientAddress, type Handled } from '../http/client-address.ts'
import { readParams } from '../http/params.ts'
import { identify } from '../http/requests.ts'
import { openJson } from '../http/response-headers.ts'
import { DIRECT_CROSS_ORIGIN } from '../http/routes.ts'
import { noteAnswer, traced } from '../http/traced.ts'
import { OAuthError } from '../lib/errors.ts'
import { authenticateClient, authenticateRequest, readClientCredentials } from './clients/authentication.ts'
import { requireGrantType } from './clients/index.ts'
import type { OAuthDeps } from './deps.ts'
import { grantDeviceCode } from './grants/device-code.ts'
import { findGrant } from './grants/index.ts'
import type { TokenRequest, TokenResponse } from './grants/types.ts'
import { DEVICE_CODE_GRANT } from './grants/types.ts'

export const token = (deps: OAuthDeps) => {
  const json = openJson(deps.config, 'any')
  const handle = ({ request, server }: Handled) =>
    traced(deps, { request, server }, 'token', async () => {
      const asked = await authenticateRequest(deps, { request, server })
      const tokens = json(await issueTokens(deps, asked))
      if (asked.params.grant_type === 'refresh_token') noteAnswer(request, null)
      return tokens
    })
  return new Elysia({ name: 'oauth-token' })
    .post('/api/oauth/token', handle, DIRECT_CROSS_ORIGIN)
    .post('/token', handle, DIRECT_CROSS_ORIGIN) // for MCP 2025-03-26 clients that do not read metadata
    .post(
      '/api/oauth/device/token',
      ({ request, server }) =>
        traced(deps, { request, server }, 'token', async () => {
          const params = await readParams(request)
          if (params.grant_type !== undefined && params.grant_type !== DEVICE_CODE_GRANT) {
            throw new OAuthError(
              'unsupported_grant_type',
              `This endpoint supports only the grant type ${DEVICE_CODE_GRANT}`,
            )
          }
          const credentials = readClientCredentials(request, params)
          const ip = clientAddress(deps, request, server)
          const client = credentials ? await authenticateClient(deps, credentials, ip) : undefined
          if (client) identify(request, { client: client.id })
          if (client) requireGrantType(deps, client, DEVICE_CODE_GRANT, ip)
          return json(await grantDeviceCode(deps, { client, params, ip }))
        }),
      DIRECT_CROSS_ORIGIN,
    )
}

function issueTokens(deps: OAuthDeps, request: TokenRequest): Promise<TokenResponse> {
  const { type, handler } = findGrant(request.params.grant_type)
  requireGrantType(deps, request.client, type, request.ip)
  return handler(deps, request)
}
