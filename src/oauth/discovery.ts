/** What clients read first: server metadata (RFC 8414), protected-resource metadata (RFC 9728) and the key set (RFC 7517). */
import { Elysia } from 'elysia'
import type { Deps } from '../deps.ts'
import { ASSERTION_ALGORITHMS } from './client-keys.ts'
import { AUTH_METHODS, DEFAULT_SCOPE, GRANT_TYPES, type Resource, resourcesOf, SCOPES, USER_SCOPES } from './model.ts'

const CACHE = { 'Cache-Control': 'public, max-age=300' }

export const discovery = (deps: Deps) => {
  const app = new Elysia({ name: 'oauth-discovery' })
    .get('/.well-known/oauth-authorization-server', () => Response.json(serverMetadata(deps), { headers: CACHE }))
    // Some clients look only here. This is not an OpenID provider: it issues no id tokens and lists nothing of the kind.
    .get('/.well-known/openid-configuration', () => Response.json(serverMetadata(deps), { headers: CACHE }))
    .get('/.well-known/jwks.json', () => Response.json(deps.replica.keys.jwks, { headers: CACHE }))
  const resources = resourcesOf(deps.config)
  app.get('/.well-known/oauth-protected-resource', () =>
    Response.json(resourceMetadata(deps, resources[0]), { headers: CACHE }),
  )
  for (const resource of resources) {
    app.get(`/.well-known/oauth-protected-resource${resource.path}`, () =>
      Response.json(resourceMetadata(deps, resource), { headers: CACHE }),
    )
  }
  return app
}

function serverMetadata({ config }: Deps) {
  const base = config.BASE_URL
  return {
    issuer: base,
    authorization_endpoint: `${base}/api/oauth/authorize`,
    token_endpoint: `${base}/api/oauth/token`,
    device_authorization_endpoint: `${base}/api/oauth/device`,
    ...(config.REGISTRATION === 'closed' ? {} : { registration_endpoint: `${base}/api/oauth/register` }),
    revocation_endpoint: `${base}/api/oauth/revoke`,
    jwks_uri: `${base}/.well-known/jwks.json`,
    scopes_supported: USER_SCOPES,
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: GRANT_TYPES,
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
    prompt_values_supported: ['none', 'login', 'consent'],
    token_endpoint_auth_methods_supported: AUTH_METHODS,
    token_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
    revocation_endpoint_auth_methods_supported: AUTH_METHODS,
    client_id_metadata_document_supported: true,
    introspection_endpoint: `${base}/api/oauth/introspect`,
    introspection_endpoint_auth_methods_supported: AUTH_METHODS.filter(method => method !== 'none'),
    service_documentation: base,
  }
}

function resourceMetadata({ config }: Deps, resource: Resource) {
  return {
    resource: resource.url,
    authorization_servers: [config.BASE_URL],
    scopes_supported: Object.keys(SCOPES).filter(scope => DEFAULT_SCOPE.includes(scope)),
    bearer_methods_supported: ['header'],
    resource_name: 'mcp-oauth-server',
    resource_documentation: config.BASE_URL,
  }
}
