/** The vocabulary of the authorization server: scopes, grant types and the resources a token can be for. */
import type { Config } from '../config.ts'
import { OAuthError } from '../lib/errors.ts'

/** The channel on which replicas and commands tell each other: `revoked <subject>`, `client <id>`, `keys`. */
export const CHANNEL = 'mcp_oauth_server'

export const DEVICE_CODE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

/** Grant types this server knows (RFC 6749, RFC 8628). */
export const GRANT_TYPES = ['authorization_code', 'refresh_token', 'client_credentials', DEVICE_CODE_GRANT] as const
export type GrantType = (typeof GRANT_TYPES)[number]

export const AUTH_METHODS = ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'] as const

/** Every scope, with what it lets a client do, in words for the person who is asked. */
export const SCOPES: Readonly<Record<string, string>> = {
  'mcp:tools:read': 'See which tools you can use',
  'mcp:tools:call': 'Use those tools as you',
  'mcp:resources:read': 'Read the resources that you can read',
  'mcp:prompts:read': 'Read the prompts that you can use',
  mcp: 'Use everything that you can use through MCP: tools, resources and prompts',
  offline_access: 'Stay connected while you are away',
  admin: 'Administer this server: users, clients and the audit log',
}

/** What a 401 asks for: enough to list and to call tools. */
export const DEFAULT_SCOPE: readonly string[] = ['mcp:tools:read', 'mcp:tools:call']

/** What any registered client may ask of a user. `admin` is for clients that an operator added. */
export const USER_SCOPES: readonly string[] = Object.keys(SCOPES).filter(scope => scope !== 'admin')

/** Whether granted scopes cover a needed one; `mcp` implies every `mcp:` scope. */
export function allows(granted: readonly string[], needed: string): boolean {
  return granted.includes(needed) || (needed.startsWith('mcp:') && granted.includes('mcp'))
}

/**
 * What of the requested scope a client may have: unknown scopes and those beyond the client are dropped.
 *
 * @param requested Space-separated scopes (RFC 6749 3.3), or nothing for the default.
 * @throws OAuthError `invalid_scope` if nothing is left.
 */
export function narrowScope(requested: string | undefined, allowed: readonly string[]): string[] {
  const wanted = requested === undefined ? DEFAULT_SCOPE : requested.split(' ').filter(Boolean)
  const granted = [...new Set(wanted)].filter(scope => Object.hasOwn(SCOPES, scope) && allows(allowed, scope))
  const useful = granted.filter(scope => scope !== 'offline_access')
  if (useful.length > 0) return granted
  // A client whose own scopes leave nothing of the default gets what it has.
  if (requested === undefined && allowed.length > 0) return [...allowed]
  throw new OAuthError(
    'invalid_scope',
    `None of the requested scopes can be granted; known scopes are: ${Object.keys(SCOPES).join(' ')}`,
  )
}

/** One MCP endpoint as a protected resource (RFC 9728): its URL, and which audiences its tokens may have. */
export interface Resource {
  path: string
  url: string
  audiences: readonly string[]
}

/** The MCP endpoints. The first is the hub, which is meant when a client names no resource. */
export function resourcesOf(config: Config): readonly [hub: Resource, compatible: Resource, ...sse: Resource[]] {
  const hub = `${config.BASE_URL}/mcp`
  const compatible = `${config.BASE_URL}/api/sse`
  const sse = `${config.BASE_URL}/sse`
  // The others are the same tools under older addresses: a token for the hub is good there, not the other way round.
  const always = [
    { path: '/mcp', url: hub, audiences: [hub] },
    { path: '/api/sse', url: compatible, audiences: [compatible, hub] },
  ] as const
  return config.LEGACY_SSE ? [...always, { path: '/sse', url: sse, audiences: [sse, hub] }] : always
}

/**
 * The resource a token is asked for (RFC 8707), compared exactly.
 *
 * @throws OAuthError `invalid_target` if it is none of ours.
 */
export function findResource(config: Config, requested: string | undefined): Resource {
  const resources = resourcesOf(config)
  if (requested === undefined) return resources[0]
  const found = resources.find(resource => resource.url === requested)
  if (!found) {
    throw new OAuthError(
      'invalid_target',
      `The resource must be one of: ${resources.map(resource => resource.url).join(' ')}`,
    )
  }
  return found
}
