/** Metadata endpoints: authorization server (RFC 8414), protected resources (RFC 9728) and the key set (RFC 7517). */

import { Elysia, NotFoundError } from 'elysia'
import type { Handled } from '../http/client-address.ts'
import { JSON_TYPE, keptJson } from '../http/json.ts'
import { completeHeaders } from '../http/response-headers.ts'
import { CROSS_ORIGIN, DIRECT_CROSS_ORIGIN } from '../http/routes.ts'
import { see } from '../http/traced.ts'
import { ASSERTION_ALGORITHMS } from './clients/assertions.ts'
import { AUTH_METHODS } from './clients/authentication.ts'
import type { OAuthDeps } from './deps.ts'
import { GRANT_TYPES } from './grants/types.ts'
import { KEY_SET_SECONDS } from './keys.ts'
import type { Resource } from './resources.ts'
import { DEFAULT_SCOPE } from './scopes.ts'

export const discovery = (deps: OAuthDeps) => {
  const ofServer = keptJson((userScopes: readonly string[]) => serverMetadata(deps, userScopes))
  const ofResource = keptJson((resource: Resource) => resourceMetadata(deps, resource))
  const ofKeys = keptJson((keys: object) => keys)
  const headers = completeHeaders(deps.config, 'any', {
    'Content-Type': JSON_TYPE,
    'Cache-Control': `public, max-age=${KEY_SET_SECONDS}`,
  })
  const publicJson = (text: string) => new Response(text, { headers })
  const seen = (handled: Handled, text: string) => {
    see(deps, handled, 'metadata', 200, undefined)
    return publicJson(text)
  }
  const server = ({ request, server }: Handled) => seen({ request, server }, ofServer(deps.scopes.forUsers))
  return (
    new Elysia({ name: 'oauth-discovery' })
      .get('/.well-known/oauth-authorization-server', server, DIRECT_CROSS_ORIGIN)
      // Some clients look only here. This server is not an OpenID provider and issues no id tokens.
      .get('/.well-known/openid-configuration', server, DIRECT_CROSS_ORIGIN)
      .get('/.well-known/jwks.json', () => publicJson(ofKeys(deps.memory.keys.jwks)), DIRECT_CROSS_ORIGIN)
      .get(
        '/.well-known/oauth-protected-resource',
        ({ request, server }) => seen({ request, server }, ofResource(deps.resources.hub)),
        DIRECT_CROSS_ORIGIN,
      )
      .get(
        '/.well-known/oauth-protected-resource/*',
        ({ request, server, params }) => {
          const resource = deps.resources.at(`/${params['*']}`)
          if (!resource) throw new NotFoundError()
          return seen({ request, server }, ofResource(resource))
        },
        CROSS_ORIGIN,
      )
      // Browser clients probe addresses that we do not serve; with CORS they can read the 404.
      .get(
        '/.well-known/*',
        () => {
          throw new NotFoundError()
        },
        CROSS_ORIGIN,
      )
  )
}

function serverMetadata({ config }: OAuthDeps, userScopes: readonly string[]) {
  const base = config.BASE_URL
  return {
    issuer: base,
    authorization_endpoint: `${base}/api/oauth/authorize`,
    token_endpoint: `${base}/api/oauth/token`,
    device_authorization_endpoint: `${base}/api/oauth/device`,
    ...(config.REGISTRATION === 'closed' ? {} : { registration_endpoint: `${base}/api/oauth/register` }),
    revocation_endpoint: `${base}/api/oauth/revoke`,
    jwks_uri: `${base}/.well-known/jwks.json`,
    scopes_supported: userScopes,
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: GRANT_TYPES,
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
    prompt_values_supported: ['none', 'login', 'consent'],
    token_endpoint_auth_methods_supported: AUTH_METHODS,
    token_endpoint_auth_signing_alg_values_supported: ASSERTION_ALGORITHMS,
    revocation_endpoint_auth_methods_supported: AUTH_METHODS,
    ...(config.CLIENT_METADATA_DOCUMENTS ? { client_id_metadata_document_supported: true } : {}),
    introspection_endpoint: `${base}/api/oauth/introspect`,
    introspection_endpoint_auth_methods_supported: AUTH_METHODS.filter(method => method !== 'none'),
    service_documentation: base,
  }
}

function resourceMetadata({ config, scopes }: OAuthDeps, resource: Resource) {
  return {
    resource: resource.url,
    authorization_servers: [config.BASE_URL],
    scopes_supported: [...scopes.names.filter(scope => DEFAULT_SCOPE.includes(scope)), ...resource.scopes],
    bearer_methods_supported: ['header'],
    resource_name: 'mcp-oauth-server',
    resource_documentation: config.BASE_URL,
  }
}
