/** The bearer check of the MCP endpoints (RFC 6750, RFC 9728 5.1). A token in the query string is never read. */

import { bearerToken } from '../http/authorization.ts'
import { clientAddress, type Handled } from '../http/client-address.ts'
import { identify } from '../http/requests.ts'
import { OAuthError } from '../lib/errors.ts'
import type { OAuthDeps } from './deps.ts'
import { isPersonalToken, verifyPersonalToken } from './personal-tokens.ts'
import type { Principal } from './principal.ts'
import type { Resource } from './resources.ts'
import { DEFAULT_SCOPE } from './scopes.ts'
import { asOfNow, verifyAccessToken } from './tokens.ts'

const NEEDS_TOKEN = 'This endpoint needs an access token'
const firstChallenges = new WeakMap<Resource, OAuthError>()

/**
 * Authenticates a request to an MCP endpoint.
 *
 * @returns a promise only if the database has to be asked.
 * @throws OAuthError `invalid_token`, 401, with the challenge that leads clients to the metadata; `slow_down`, 429.
 */
export function requireBearer(
  deps: OAuthDeps,
  { request, server }: Handled,
  resource: Resource,
): Principal | Promise<Principal> {
  const token = bearerToken(request)
  if (token === undefined) {
    if (request.headers.has('authorization')) throw unauthorized(deps, resource, true, NEEDS_TOKEN)
    throw firstChallenge(deps, resource)
  }
  const accept = (principal: Principal) => {
    if (!resource.audiences.includes(principal.audience))
      throw unauthorized(deps, resource, true, 'The access token is for another resource')
    const { clientId, userId, grantId } = principal
    identify(request, { client: clientId, user: userId ?? undefined, grant: grantId ?? undefined })
    return principal
  }
  const refuse = (error: unknown) => {
    throw challenged(deps, resource, error)
  }
  let principal: Principal | Promise<Principal>
  try {
    principal = isPersonalToken(token)
      ? verifyPersonalToken(deps, token, clientAddress(deps, request, server))
      : verifyAccessToken(deps, token)
  } catch (error) {
    return refuse(error)
  }
  return principal instanceof Promise ? principal.then(accept, refuse) : accept(principal)
}

/** Checks again a principal that {@link requireBearer} returned some time ago. @throws OAuthError as it does. */
export function requireStillValid(
  deps: OAuthDeps,
  principal: Principal,
  resource: Resource,
): Principal | Promise<Principal> {
  const refuse = (error: unknown) => {
    throw challenged(deps, resource, error)
  }
  try {
    const current = asOfNow(deps, principal)
    return current instanceof Promise ? current.catch(refuse) : current
  } catch (error) {
    return refuse(error)
  }
}

function challenged(deps: OAuthDeps, resource: Resource, error: unknown): unknown {
  if (!(error instanceof OAuthError && error.error === 'invalid_token')) return error
  return unauthorized(deps, resource, true, error.description, error.detail)
}

function unauthorized(
  deps: OAuthDeps,
  resource: Resource,
  sent: boolean,
  description: string,
  detail?: string,
): OAuthError {
  const challenge = challengeOf(deps, resource, DEFAULT_SCOPE, sent ? 'invalid_token' : undefined)
  return new OAuthError('invalid_token', description, {
    status: 401,
    headers: { 'WWW-Authenticate': challenge },
    ...(detail ? { detail } : {}),
  })
}

/** A 403 that names all scopes an operation needs, so that the client can request them (RFC 6750 3.1). */
export function insufficientScope(deps: OAuthDeps, resource: Resource, needed: readonly string[]): OAuthError {
  return new OAuthError('insufficient_scope', `This request needs the scope ${needed.join(' ')}`, {
    status: 403,
    headers: { 'WWW-Authenticate': challengeOf(deps, resource, needed, 'insufficient_scope') },
  })
}

/** What every client begins with, so its error, whose stack is costly, is made once for each endpoint. */
function firstChallenge(deps: OAuthDeps, resource: Resource): OAuthError {
  let challenge = firstChallenges.get(resource)
  if (!challenge) {
    challenge = unauthorized(deps, resource, false, NEEDS_TOKEN)
    firstChallenges.set(resource, challenge)
  }
  return challenge
}

function challengeOf(deps: OAuthDeps, resource: Resource, scope: readonly string[], error?: string): string {
  const metadata = `${deps.config.BASE_URL}/.well-known/oauth-protected-resource${resource.path}`
  return `Bearer resource_metadata="${metadata}", scope="${scope.join(' ')}"${error ? `, error="${error}"` : ''}`
}
