/** The client credentials grant (RFC 6749 4.4): a machine acts for itself. Nothing is stored, so nothing is waited for. */
import type { ClientRow } from '../../../sql/clients.ts'
import { record } from '../../audit.ts'
import type { Deps } from '../../deps.ts'
import { findResource, narrowScope } from '../model.ts'
import type { TokenRequest } from '../token.ts'
import { issueAccessToken, type TokenResponse } from '../tokens.ts'

export async function grantClientCredentials(
  deps: Deps,
  { client, params, ip }: TokenRequest & { client: ClientRow },
): Promise<TokenResponse> {
  const resource = findResource(deps.config, params.resource)
  const scope = narrowScope(params.scope ?? client.scope.join(' '), client.scope)
  record(deps, 'token.issued', { clientId: client.id, ip, detail: { scope: scope.join(' ') } })
  return issueAccessToken(deps, { clientId: client.id, userId: null, grantId: null, scope, resource: resource.url })
}
