/** The caller of a request, and how sessions, limits and the gateway identify it. */
import type { GatewayCaller } from '../gateway/exchange.ts'
import type { Principal } from '../oauth/principal.ts'
import { allows } from '../oauth/scopes.ts'

/** The principal of a request and its address. */
export interface Caller extends Principal {
  ip: string | null
  /** Absent for a machine, and if there are no upstream servers, since only they need it. */
  user?: { id: string; email: string; name: string } | undefined
  /** As the token says, to be checked again later. */
  principal: Principal
  /** Made by {@link gatewayCaller}. */
  forGateway?: GatewayCaller
}

/** Identifies the owner of a session or stream: user, client and grant. It is the same after a token refresh. */
export function ownerOf({ userId, clientId, grantId }: Principal): string {
  return JSON.stringify([userId, clientId, grantId])
}

/** Whether two principals have the same {@link ownerOf}. */
export const isSameOwner = (one: Principal, other: Principal): boolean =>
  one.userId === other.userId && one.clientId === other.clientId && one.grantId === other.grantId

/** Identifies the user, or the machine, across all of its connections. */
export function personOf({ userId, clientId }: Principal): string {
  return userId ?? clientId
}

/**
 * Converts a caller for the gateway.
 *
 * @param needed Scopes that a request needs; those that the token implies (`mcp`) are added to the ones that it names.
 */
export function gatewayCaller(caller: Caller, needed: readonly string[] = [], session?: string): GatewayCaller {
  caller.forGateway ??= forGateway(caller)
  const { forGateway: made, scope } = caller
  const isNamed = needed.every(name => scope.includes(name))
  if (isNamed && session === undefined) return made
  const implied = isNamed ? [] : needed.filter(name => !scope.includes(name) && allows(scope, name))
  return {
    ...made,
    scope: implied.length > 0 ? [...scope, ...implied] : scope,
    ...(session === undefined ? {} : { session }),
  }
}

function forGateway({ userId, clientId, grantId, scope, ip, user }: Caller): GatewayCaller {
  return {
    principal: userId === null ? `client:${clientId}` : `user:${userId}`,
    ...(user ? { user } : {}),
    clientId,
    ...(grantId ? { grantId } : {}),
    scope,
    ip,
  }
}
