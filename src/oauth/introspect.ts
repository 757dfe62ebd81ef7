/** POST /api/oauth/introspect (RFC 7662), for authenticated confidential clients. Any invalid token is just `active: false`. */

import { Elysia } from 'elysia'
import type { ClientRow } from '../../sql/clients.ts'
import { recordRepeatable } from '../audit/events.ts'
import { openJson } from '../http/response-headers.ts'
import { DIRECT_OWN } from '../http/routes.ts'
import { OAuthError } from '../lib/errors.ts'
import { authenticateRequest, invalidClient } from './clients/authentication.ts'
import type { OAuthDeps } from './deps.ts'
import type { Principal } from './principal.ts'
import { verifyAccessToken } from './tokens.ts'

export const introspect = (deps: OAuthDeps) => {
  const json = openJson(deps.config, 'own')
  return new Elysia({ name: 'oauth-introspect' }).post(
    '/api/oauth/introspect',
    async ({ request, server }) => {
      const { client, params, ip } = await authenticateRequest(deps, { request, server })
      if (client.auth_method === 'none') {
        recordRefused(deps, client, ip, 'a public client')
        throw invalidClient(false, 'a public client asked for introspection')
      }
      if (params.token === undefined) throw new OAuthError('invalid_request', 'The parameter token is missing')
      return json(await describeToken(deps, client, params.token, ip))
    },
    DIRECT_OWN,
  )
}

function recordRefused(deps: OAuthDeps, client: ClientRow, ip: string | null, reason: string): void {
  recordRepeatable(deps, 'introspection.refused', { clientId: client.id, ip, detail: { reason } }, reason)
}

async function describeToken(deps: OAuthDeps, client: ClientRow, token: string, ip: string | null) {
  let principal: Principal
  try {
    principal = await verifyAccessToken(deps, token)
  } catch (error) {
    if (error instanceof OAuthError) return { active: false }
    throw error
  }
  // Anyone can register or publish a document, so such clients can introspect only their own tokens (RFC 7662 4).
  if ((client.source === 'dynamic' || client.source === 'metadata') && principal.clientId !== client.id) {
    recordRefused(deps, client, ip, 'token of another client')
    return { active: false }
  }
  return {
    active: true,
    token_type: 'Bearer',
    scope: principal.scope.join(' '),
    client_id: principal.clientId,
    sub: principal.userId ?? principal.clientId,
    aud: principal.audience,
    iss: deps.config.BASE_URL,
    iat: principal.issuedAt,
    exp: principal.expiresAt,
    jti: principal.tokenId,
  }
}
