/** Who a caller is: to sessions and streams, to bounds, and to upstream servers. */
import type { GatewayCaller } from '../gateway/exchange.ts'
import type { Principal } from '../oauth/principal.ts'
import { allows } from '../oauth/scopes.ts'

/** Who sends a request, and from which address. */
export interface Caller extends Principal {
  ip: string | null
  /** Absent for a machine, and where nobody asks because there are no upstream servers. */
  user?: { id: string; email: string; name: string } | undefined
}

/** Who a session or stream belongs to: a user, a client and what the one allowed the other. A refreshed token keeps it. */
export function ownerOf({ userId, clientId, grantId }: Principal): string {
  return JSON.stringify([userId, clientId, grantId])
}

/** Who is behind all of somebody's connections: a user, or a machine. */
export function personOf({ userId, clientId }: Principal): string {
  return userId ?? clientId
}

/**
 * A caller as the gateway knows it.
 *
 * @param needed Scopes that a request needs: those that the token implies (`mcp`) stand beside the ones that it names.
 */
export function gatewayCaller(caller: Caller, needed: readonly string[] = [], session?: string): GatewayCaller {
  const { userId, clientId, scope, ip, user } = caller
  const implied = needed.filter(name => !scope.includes(name) && allows(scope, name))
  return {
    principal: userId === null ? `client:${clientId}` : `user:${userId}`,
    ...(user ? { user } : {}),
    clientId,
    scope: implied.length > 0 ? [...scope, ...implied] : scope,
    ...(session === undefined ? {} : { session }),
    ip,
  }
}
