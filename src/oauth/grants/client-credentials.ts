/** The client credentials grant (RFC 6749 4.4): a machine acts for itself. Nothing is stored. */
import { record } from '../../audit/events.ts'
import type { OAuthDeps } from '../deps.ts'
import { narrowScope } from '../scopes.ts'
import { issueAccessToken } from '../tokens.ts'
import type { TokenRequest, TokenResponse } from './types.ts'

export async function grantClientCredentials(
  deps: OAuthDeps,
  { client, params, ip }: TokenRequest,
): Promise<TokenResponse> {
  const resource = deps.resources.find(params.resource)
  const scope = narrowScope(deps.scopes, params.scope ?? client.scope.join(' '), client.scope)
  record(deps, 'token.issued', { clientId: client.id, ip, detail: { scope: scope.join(' ') } })
  return issueAccessToken(deps, { clientId: client.id, userId: null, grantId: null, scope, resource: resource.url })
}
