/**
 * Finds the authorization server of an upstream, following the MCP specification: the upstream's challenge, protected
 * resource metadata (RFC 9728), and authorization server metadata (RFC 8414) or OpenID configuration.
 */
import { type AuthorizationServer, processDiscoveryResponse } from 'oauth4webapi'
import { z } from 'zod'
import type { Base } from '../../base.ts'
import { AppError } from '../../lib/errors.ts'
import { SafeFetchError } from '../../lib/safe-fetch.ts'
import { challengeOf } from '../challenge.ts'
import type { UpstreamConfig } from '../config.ts'
import { isReachable, openReach, type Reach, urlOf } from './reach.ts'

export interface Discovered {
  /** The resource to request tokens for (RFC 8707). */
  resource: string
  /** The scopes that the upstream requires; undefined: the authorization server's default. */
  scope: string[] | undefined
  server: AuthorizationServer
}

const resourceSchema = z.object({
  resource: z.string(),
  authorization_servers: z.array(z.string()).min(1).max(20),
  scopes_supported: z.array(z.string()).max(200).optional().catch(undefined),
})
type ResourceMetadata = z.output<typeof resourceSchema>

/** The error for a failed step. @param detail For the operator's log. */
export function cannotLink(config: UpstreamConfig, detail: string, advice = OPERATOR): AppError {
  return new AppError(`${config.name} cannot be linked at the moment`, advice, {
    status: 502,
    detail: `${config.name}: ${detail}`,
  })
}
const OPERATOR = 'Its sign-in service could not be found or used. Try again later, or tell the operator of this server.'

/** @throws AppError whose detail names the step that failed. */
export async function discover(config: UpstreamConfig, reach: Reach): Promise<Discovered> {
  const { auth = { type: 'user' } } = config
  const url = urlOf(config)
  if (auth.tokenEndpoint !== undefined) {
    const issuer = auth.issuer ?? new URL(auth.authorizationEndpoint ?? auth.tokenEndpoint).origin
    const server = withEndpoints(config, { issuer, code_challenge_methods_supported: ['S256'] })
    return { resource: url, scope: auth.scopes, server }
  }
  const challenge = await askUpstream(config, reach)
  const metadata = await findResource(config, reach, challenge.resourceMetadata)
  const issuer = auth.issuer ?? metadata?.authorization_servers[0] ?? new URL(url).origin
  const server = withEndpoints(config, await findServer(config, reach, issuer))
  checkServer(config, server)
  return {
    resource: metadata?.resource ?? url,
    scope: auth.scopes ?? challenge.scope ?? metadata?.scopes_supported,
    server,
  }
}

/** How long discovery results are cached, and how long failures. */
const FOUND_MS = 300_000
const FAILED_MS = 5_000

/** {@link discover}, cached by upstream; those who ask at once share one discovery. */
export function openDiscoveries(base: Base): (config: UpstreamConfig) => Promise<Discovered> {
  const discoveries = new Map<string, { fingerprint: string; until: number; found: Promise<Discovered> }>()
  return config => {
    const { name, fingerprint } = config
    const now = base.now().getTime()
    const known = discoveries.get(name)
    if (known?.fingerprint === fingerprint && known.until > now) return known.found
    const entry = { fingerprint, until: now + FOUND_MS, found: discover(config, openReach(base.outbound, config)) }
    entry.found.catch(() => {
      entry.until = base.now().getTime() + FAILED_MS
    })
    discoveries.set(name, entry)
    return entry.found
  }
}

/**
 * Asks the endpoints that the operator has named, which {@link discover} takes as they are.
 *
 * @throws AppError whose detail names the one that is not there.
 */
export async function askNamedEndpoints(config: UpstreamConfig, reach: Reach): Promise<void> {
  const { authorizationEndpoint, tokenEndpoint, clientId = '' } = config.auth ?? {}
  if (tokenEndpoint === undefined) return
  await askUpstream(config, reach)
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
  // Refused by a token endpoint, whatever the client.
  const body = new URLSearchParams({ grant_type: 'authorization_code', code: 'check', client_id: clientId }).toString()
  const asked: [what: string, url: string | undefined, request?: Parameters<Reach>[1]][] = [
    ['authorization endpoint', authorizationEndpoint],
    ['token endpoint', tokenEndpoint, { method: 'POST', headers: form, body }],
  ]
  for (const [what, url, request] of asked) {
    if (url === undefined) continue
    const where = `the ${what} ${url}`
    const { status } = await reach(url, request).catch(error => {
      throw explain(config, where, error)
    })
    // Some answer 500 to a request that lacks nearly everything.
    if (status === 404 || status > 500) throw cannotLink(config, `${where} was answered with status ${status}`)
  }
}

/** Endpoints configured by the operator override metadata. */
function withEndpoints({ auth }: UpstreamConfig, server: AuthorizationServer): AuthorizationServer {
  const { authorizationEndpoint, tokenEndpoint, revocationEndpoint } = auth ?? {}
  return {
    ...server,
    ...(authorizationEndpoint ? { authorization_endpoint: authorizationEndpoint } : {}),
    ...(tokenEndpoint ? { token_endpoint: tokenEndpoint } : {}),
    ...(revocationEndpoint ? { revocation_endpoint: revocationEndpoint } : {}),
  }
}

/** Gets the challenge from a request without a token. Without one, discovery continues with the default metadata addresses. */
async function askUpstream(config: UpstreamConfig, reach: Reach) {
  try {
    const response = await reach(urlOf(config), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
    })
    return challengeOf(response.headers.get('www-authenticate'))
  } catch (error) {
    throw explain(config, 'the server', error)
  }
}

/** @returns undefined if there is none, as with servers of MCP 2025-03-26, whose own origin is the authorization server. */
async function findResource(
  config: UpstreamConfig,
  reach: Reach,
  named: string | undefined,
): Promise<ResourceMetadata | undefined> {
  const { origin, pathname } = new URL(urlOf(config))
  const root = `${origin}/.well-known/oauth-protected-resource`
  const places = named === undefined ? [...new Set([root + (pathname === '/' ? '' : pathname), root])] : [named]
  for (const place of places) {
    const what = `the protected resource metadata at ${place}`
    if (!isReachable(config, place)) throw cannotLink(config, `${what} is not at an https URL`)
    const json = await readJson(config, reach, place, what)
    if (json === undefined) continue
    const parsed = resourceSchema.safeParse(json)
    if (!parsed.success)
      throw cannotLink(config, `${what} does not have a valid ${String(parsed.error.issues[0]?.path[0] ?? 'JSON')}`)
    if (!isWithin(urlOf(config), parsed.data.resource))
      throw cannotLink(config, `${what} is for another resource, ${parsed.data.resource.slice(0, 200)}`)
    return parsed.data
  }
  if (named !== undefined) throw cannotLink(config, `there is no protected resource metadata at ${named}`)
  return undefined
}

/** RFC 9728 3.3: the resource must be the upstream itself, or a parent of its path. */
function isWithin(url: string, resource: string): boolean {
  const [inner, outer] = [new URL(url), URL.parse(resource)]
  if (!outer || outer.origin !== inner.origin || outer.hash || outer.search) return false
  const prefix = outer.pathname.endsWith('/') ? outer.pathname : `${outer.pathname}/`
  return outer.pathname === inner.pathname || inner.pathname.startsWith(prefix)
}

/** Tries the addresses in the specification's order: RFC 8414, OpenID with the path inserted, OpenID with the path in front. */
async function findServer(config: UpstreamConfig, reach: Reach, issuer: string): Promise<AuthorizationServer> {
  if (!isReachable(config, issuer))
    throw cannotLink(config, `the authorization server ${issuer.slice(0, 200)} is not at an https URL`)
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  const places = [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
    ...(path === '' ? [] : [`${origin}${path}/.well-known/openid-configuration`]),
  ]
  for (const place of places) {
    const what = `the authorization server metadata at ${place}`
    try {
      const response = await reach(place)
      if (response.status >= 400 && response.status < 500) continue
      return await processDiscoveryResponse(new URL(issuer), response)
    } catch (error) {
      throw explain(config, what, error)
    }
  }
  throw cannotLink(config, `the authorization server ${issuer} has no metadata`)
}

function checkServer(config: UpstreamConfig, server: AuthorizationServer): void {
  const { issuer, type } = config.auth ?? {}
  const wrong = (words: string) => cannotLink(config, `the authorization server ${server.issuer} ${words}`)
  // RFC 8414 3.3. The library ignores a slash at the end, which matters in `iss` and in a subject token's `aud`.
  if (issuer !== undefined && server.issuer !== issuer)
    throw wrong(`does not match the configured "issuer", ${issuer}: copy its own spelling`)
  if (type === 'user') {
    const { authorization_endpoint: endpoint } = server
    if (typeof endpoint !== 'string' || !isReachable(config, endpoint))
      throw wrong('has no authorization endpoint at an https URL')
    const methods: unknown = server.code_challenge_methods_supported
    if (!Array.isArray(methods) || !methods.includes('S256'))
      throw wrong('does not announce support for PKCE with S256')
  }
  if (typeof server.token_endpoint !== 'string' || !isReachable(config, server.token_endpoint))
    throw wrong('has no token endpoint at an https URL')
}

/** @returns undefined if there is no such document. */
async function readJson(config: UpstreamConfig, reach: Reach, url: string, what: string): Promise<unknown> {
  try {
    const response = await reach(url)
    if (response.status >= 400 && response.status < 500) return undefined
    if (response.status !== 200) throw cannotLink(config, `${what} was answered with status ${response.status}`)
    return await response.json()
  } catch (error) {
    throw explain(config, what, error)
  }
}

/** Converts an error, without quoting anything that a server sent. */
function explain(config: UpstreamConfig, what: string, error: unknown): AppError {
  if (error instanceof AppError) return error
  if (error instanceof SafeFetchError) return cannotLink(config, `${what} ${error.detail}`)
  if (error instanceof SyntaxError) return cannotLink(config, `${what} is not JSON`)
  // From oauth4webapi: the message has the violated rule; what the server sent is only in the cause.
  return cannotLink(config, `${what} is invalid: ${(error as Error).message}`)
}
