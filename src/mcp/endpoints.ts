/** Publishes the endpoints of upstream servers as protected resources. */

import type { Gateway } from '../gateway/exchange.ts'
import type { OAuthDeps } from '../oauth/deps.ts'
import type { Resource } from '../oauth/resources.ts'

/** Publishes the current endpoints and scopes, now and whenever they change. */
export function publishEndpoints({ resources, scopes }: OAuthDeps, gateway: Gateway): void {
  const publish = () => {
    const endpoints = gateway.endpoints()
    resources.serveUpstreams(endpoints)
    scopes.extend(upstreamScopes(endpoints))
  }
  publish()
  gateway.onChange(({ kind }) => kind === 'endpoints' && publish())
}

/** The scopes that upstream servers need, each with its text for the consent page. */
export function upstreamScopes(endpoints: ReturnType<Gateway['endpoints']>): Record<string, string> {
  const named = endpoints.flatMap(({ name, scopes }) => scopes.map(scope => ({ scope, name })))
  const uses = Map.groupBy(named, ({ scope }) => scope).entries()
  return Object.fromEntries(
    uses.map(([scope, by]) => [
      scope,
      `Use the parts of ${by.map(({ name }) => name).join(', ')} that require “${scope}”`,
    ]),
  )
}

/**
 * The protected resource of an upstream server's endpoint.
 *
 * An unknown endpoint is a resource without audience: it gets the same 401 as a known one, with the hub's metadata.
 */
export function upstreamResource({ resources }: Pick<OAuthDeps, 'resources'>, name: string): Resource {
  return resources.at(`/mcp/${name}`) ?? { ...resources.hub, audiences: [] }
}
