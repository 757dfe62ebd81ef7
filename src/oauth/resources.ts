/** The resources that tokens can be issued for (RFC 8707): our MCP endpoints (RFC 9728), and the servers in RESOURCES. */
import type { Config } from '../config.ts'
import { OAuthError } from '../lib/errors.ts'

/** One MCP endpoint: its URL, and the audiences that it accepts. */
export interface Resource {
  /** Under BASE_URL, beginning with a slash. */
  path: string
  url: string
  audiences: readonly string[]
  /** The name of its upstream server; undefined for the hub and its aliases. */
  upstream: string | undefined
  /** Scopes that its tools need besides the built-in ones. */
  scopes: readonly string[]
}

export interface Resources {
  /** The default if a client names no resource. */
  readonly hub: Resource
  at(path: string): Resource | undefined
  /**
   * Finds the requested resource (RFC 8707 2).
   *
   * @throws OAuthError `invalid_target` if it is not one of ours.
   */
  find(requested: string | undefined): Pick<Resource, 'url'>
  /** Replaces the endpoints of upstream servers, each at `/mcp/{name}`. */
  serveUpstreams(upstreams: readonly { name: string; scopes: readonly string[] }[]): void
}

/**
 * Normalizes a URI for comparison (RFC 3986 6.2.2, 6.2.3): case, default port, percent-encoding, dot segments and a
 * trailing slash do not matter. @returns undefined if it cannot be a resource (RFC 8707 2: absolute, no fragment).
 */
function normalized(uri: string): string | undefined {
  const url = /[\s#\\]/.test(uri) ? null : URL.parse(uri)
  if (!url || url.username || url.password) return undefined
  const path = url.pathname.replace(/%[0-9a-f]{2}/gi, encoded => {
    const char = String.fromCharCode(Number.parseInt(encoded.slice(1), 16))
    return /[A-Za-z0-9._~-]/.test(char) ? char : encoded.toUpperCase()
  })
  return `${url.protocol}//${url.host}${path.replace(/\/$/, '')}${url.search}`
}

/** Whether two spellings mean the same resource. */
export function isSameResource(one: string, other: string): boolean {
  const uri = normalized(one)
  return uri !== undefined && uri === normalized(other)
}

export function openResources(config: Config): Resources {
  const urlOf = (path: string) => `${config.BASE_URL}${path}`
  const hub: Resource = {
    path: '/mcp',
    url: urlOf('/mcp'),
    audiences: [urlOf('/mcp')],
    upstream: undefined,
    scopes: [],
  }
  // The hub under older addresses: they accept tokens for the hub, but not the reverse.
  const alias = (path: string): Resource => ({ ...hub, path, url: urlOf(path), audiences: [urlOf(path), hub.url] })
  const own = [hub, alias('/api/sse'), ...(config.LEGACY_SSE ? [alias('/sse')] : [])]
  let byPath = new Map(own.map(resource => [resource.path, resource]))
  const elsewhere = config.RESOURCES.map(url => ({ url }))
  const all = () => [...byPath.values(), ...elsewhere]

  return {
    hub,
    at: path => byPath.get(path),
    find(requested) {
      if (requested === undefined) return hub
      const asked = normalized(requested)
      const found = asked && all().find(resource => normalized(resource.url) === asked)
      if (found) return found
      const urls = all().map(resource => resource.url)
      throw new OAuthError('invalid_target', `The resource must be one of: ${urls.join(' ')}`)
    },
    serveUpstreams(upstreams) {
      const added = upstreams.map(({ name, scopes }): Resource => {
        const path = `/mcp/${name}`
        return { path, url: urlOf(path), audiences: [urlOf(path)], upstream: name, scopes }
      })
      byPath = new Map([...own, ...added].map(resource => [resource.path, resource]))
    },
  }
}
