/** The endpoints of upstream servers, each a protected resource of its own, as the configuration says now. */

import type { Gateway } from '../gateway/exchange.ts'
import type { OAuthDeps } from '../oauth/deps.ts'
import { lookUpUser } from '../oauth/memory.ts'
import type { Resource } from '../oauth/resources.ts'

/** Publishes the endpoints that there are, and goes on whenever they change. */
export function publishEndpoints({ resources, scopes }: OAuthDeps, gateway: Gateway): void {
  const publish = () => {
    const endpoints = gateway.endpoints()
    resources.serveUpstreams(endpoints)
    scopes.extend(upstreamScopes(endpoints))
  }
  publish()
  gateway.onChange(({ kind }) => kind === 'endpoints' && publish())
}

/** The scopes that upstream servers need, and what each lets a client do, in words for a person. */
export function upstreamScopes(endpoints: ReturnType<Gateway['endpoints']>): Record<string, string> {
  const named = endpoints.flatMap(({ name, scopes }) => scopes.map(scope => ({ scope, name })))
  const uses = Map.groupBy(named, ({ scope }) => scope).entries()
  return Object.fromEntries(
    uses.map(([scope, by]) => [scope, `Use what ${by.map(({ name }) => name).join(', ')} keeps for “${scope}”`]),
  )
}

/**
 * The resource of an endpoint of an upstream server.
 *
 * One that there is not (any more) is a resource that no token is for: so it is answered as one that there is, and its
 * challenge leads to the hub's metadata.
 */
export function upstreamResource({ resources }: Pick<OAuthDeps, 'resources'>, name: string): Resource {
  return resources.at(`/mcp/${name}`) ?? { ...resources.hub, audiences: [] }
}

/** Ends the processes of users who were disabled and of clients that were removed. */
export function endWithPrincipals(deps: OAuthDeps, gateway: Gateway): void {
  const { memory, log } = deps
  const end = (ending: Promise<void>) =>
    ending.catch(error => {
      log.error({ err: { message: (error as Error).message } }, 'processes of a principal were not ended')
    })
  memory.onRevoked.add(subject => {
    if (subject.startsWith('client:')) void end(gateway.endPrincipal(subject))
  })
  memory.onUserChanged.add(userId => {
    void end(
      lookUpUser(deps, userId).then(async user => {
        if (!user || user.disabled) await gateway.endPrincipal(`user:${userId}`)
      }),
    )
  })
}
