/** POST /api/oauth/revoke (RFC 7009): ends the grant of a refresh or access token. */

import { Elysia } from 'elysia'
import { findRefreshGrant } from '../../sql/refresh-tokens.ts'
import { recordRepeatable } from '../audit/events.ts'
import { noStoreJson } from '../http/json.ts'
import { CROSS_ORIGIN } from '../http/routes.ts'
import { hashSecret, isSecret } from '../lib/crypto.ts'
import { OAuthError } from '../lib/errors.ts'
import { authenticateRequest } from './clients/authentication.ts'
import type { OAuthDeps } from './deps.ts'
import { revokeGrant, revokeToken, verifyAccessToken } from './tokens.ts'

export const revoke = (deps: OAuthDeps) =>
  new Elysia({ name: 'oauth-revoke' }).post(
    '/api/oauth/revoke',
    async ({ request, server }) => {
      const { client, params, ip } = await authenticateRequest(deps, { request, server })
      if (params.token === undefined) throw new OAuthError('invalid_request', 'The parameter token is missing')
      await revokeForClient(deps, params.token, client.id, ip)
      return noStoreJson({}) // also for an invalid token, which needs no revocation (RFC 7009 2.2)
    },
    { parse: 'none', ...CROSS_ORIGIN },
  )

async function revokeForClient(deps: OAuthDeps, token: string, clientId: string, ip: string | null): Promise<void> {
  const refuse = () => recordRepeatable(deps, 'revocation.refused', { clientId, ip })
  if (isSecret('refreshToken', token)) {
    const grant = await findRefreshGrant(deps.sql, hashSecret(token))
    if (grant && grant.client_id !== clientId) refuse()
    else if (grant) await revokeGrant(deps, { grantId: grant.id, by: 'client' })
    return
  }
  let principal: Awaited<ReturnType<typeof verifyAccessToken>>
  try {
    principal = await verifyAccessToken(deps, token)
  } catch (error) {
    if (error instanceof OAuthError) return // already invalid
    throw error
  }
  if (principal.clientId !== clientId) return refuse()
  if (principal.grantId) await revokeGrant(deps, { grantId: principal.grantId, by: 'client' })
  else await revokeToken(deps, principal)
}
