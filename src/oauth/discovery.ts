/** What clients read first: server metadata (RFC 8414), protected-resource metadata (RFC 9728) and the key set (RFC 7517). */
import { Elysia } from 'elysia'
import type { Deps } from '../deps.ts'
import {
  AUTH_METHODS,
  DEFAULT_SCOPE,
  DEVICE_CODE_GRANT,
  type Resource,
  resourcesOf,
  SCOPES,
  USER_SCOPES,
} from './model.ts'

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
    grant_types_supported: ['refresh_token', 'client_credentials', DEVICE_CODE_GRANT],
    token_endpoint_auth_methods_supported: AUTH_METHODS,
    revocation_endpoint_auth_methods_supported: AUTH_METHODS,
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
