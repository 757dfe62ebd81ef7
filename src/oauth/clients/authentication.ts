/** Client authentication (RFC 6749 2.3, RFC 7523). */
import type { ClientRow } from '../../../sql/clients.ts'
import { recordRepeatable } from '../../audit/events.ts'
import { clientAddress, type Handled } from '../../http/client-address.ts'
import { type Params, readParams } from '../../http/params.ts'
import { identify } from '../../http/requests.ts'
import { hashSecret, sameBytes } from '../../lib/crypto.ts'
import { OAuthError } from '../../lib/errors.ts'
import { networkOf } from '../../lib/networks.ts'
import { countHit, LIMITS, requireUnlimited } from '../../limits.ts'
import type { OAuthDeps } from '../deps.ts'
import { ASSERTION_TYPE, assertedClientId, assertionProblem } from './assertions.ts'
import { findClient } from './index.ts'

/**
 * Reads a request and authenticates its client.
 *
 * @throws OAuthError as {@link authenticateClient}, and `invalid_request` if it is malformed.
 */
export async function authenticateRequest(
  deps: OAuthDeps,
  { request, server }: Handled,
): Promise<{ client: ClientRow; params: Params; ip: string | null; userAgent: string | null }> {
  const params = await readParams(request)
  const credentials = readClientCredentials(request, params)
  if (!credentials) throw invalidClient(false, 'no client credentials')
  const ip = clientAddress(deps, request, server)
  const userAgent = request.headers.get('user-agent')
  const client = await authenticateClient(deps, credentials, ip)
  identify(request, { client: client.id })
  return { client, params, ip, userAgent }
}

/**
 * Authenticates a client. A public client (no secret) only identifies itself.
 *
 * @throws OAuthError `invalid_client`, the same for an unknown client and a wrong secret; `slow_down`, status 429, after
 *   too many failures from one network, without locking the client out elsewhere.
 */
export async function authenticateClient(
  deps: OAuthDeps,
  credentials: ClientCredentials,
  ip: string | null,
): Promise<ClientRow> {
  const { clientId, basic } = credentials
  // Client ids have at most 500 characters; longer ones are cut, so that they cannot fill the memory.
  const guesser = `client ${clientId.slice(0, 501)} ${networkOf(ip)}`
  requireUnlimited(deps.limits, deps.now(), LIMITS.clientGuesses, guesser)
  const client = await findClient(deps, clientId, ip)
  const refusal = await refusalOf(deps, client, credentials, ip)
  if (!client || refusal) {
    // A public client has no secret to guess, so others in its network must not be able to lock it out.
    if (client?.auth_method !== 'none') countHit(deps.limits, deps.now(), LIMITS.clientGuesses, guesser)
    const reason = refusal ?? 'unknown client'
    recordRepeatable(deps, 'client.refused', { clientId: client?.id ?? null, ip, detail: { reason } }, reason)
    throw invalidClient(basic, reason)
  }
  return client
}

/** @returns why the credentials are invalid, for the log; undefined if they are valid. */
async function refusalOf(
  deps: OAuthDeps,
  client: ClientRow | undefined,
  { secret, assertion }: ClientCredentials,
  ip: string | null,
): Promise<string | undefined> {
  if (!client) return 'unknown client'
  if (client.auth_method === 'private_key_jwt')
    return assertion ? assertionProblem(deps, client, assertion, ip) : 'no assertion'
  if (assertion) return 'assertion sent by a client without keys'
  if (client.secret_hash === null) {
    // Some public clients send an empty secret, which is accepted.
    return secret ? 'secret sent by a client without one' : undefined
  }
  if (!secret) return 'no secret'
  if (!sameBytes(hashSecret(secret), client.secret_hash)) return 'wrong secret'
  return undefined
}

export const AUTH_METHODS = ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'] as const

/** The credentials in a request, not verified. */
export interface ClientCredentials {
  clientId: string
  /** Absent for a public client. */
  secret: string | undefined
  /** A signed assertion instead of a secret (RFC 7523). */
  assertion: string | undefined
  /** Whether HTTP Basic was used, which determines the form of the error (RFC 6749 5.2). */
  basic: boolean
}

/**
 * Reads the client's credentials from the Authorization header or the body (RFC 6749 2.3.1).
 *
 * @returns undefined if there are none.
 * @throws OAuthError `invalid_request` if more than one method is used, `invalid_client` if Basic is malformed.
 */
export function readClientCredentials(request: Request, params: Params): ClientCredentials | undefined {
  const header = request.headers.get('authorization')
  const basic = header && /^basic(?= |$)/i.test(header) ? parseBasic(header.slice(6).trim()) : undefined
  const ways = [basic, params.client_secret, params.client_assertion].filter(way => way !== undefined)
  if (ways.length > 1) throw new OAuthError('invalid_request', 'The client must use only one authentication method')
  if (basic) {
    if (params.client_id !== undefined && params.client_id !== basic.clientId) {
      throw new OAuthError(
        'invalid_request',
        'The client_id in the body differs from the one in the Authorization header',
      )
    }
    return basic
  }
  const assertion = params.client_assertion
  if (assertion !== undefined && params.client_assertion_type !== ASSERTION_TYPE) {
    throw new OAuthError('invalid_request', `The client_assertion_type must be ${ASSERTION_TYPE}`)
  }
  const clientId = params.client_id ?? (assertion === undefined ? undefined : assertedClientId(assertion))
  if (clientId === undefined) {
    if (ways.length > 0) throw new OAuthError('invalid_request', 'The parameter client_id is missing')
    return undefined
  }
  return { clientId, secret: params.client_secret, assertion, basic: false }
}

function parseBasic(encoded: string): ClientCredentials {
  const refused = () => invalidClient(true, 'malformed Basic credentials')
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(encoded)) throw refused()
  const decoded = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = decoded.indexOf(':')
  if (colon < 1) throw refused()
  return {
    clientId: percentDecoded(decoded.slice(0, colon)),
    secret: percentDecoded(decoded.slice(colon + 1)),
    assertion: undefined,
    basic: true,
  }
}

/** RFC 6749 2.3.1 requires form-encoding inside Basic. Many clients omit it; our ids and secrets are the same either way. */
function percentDecoded(value: string): string {
  if (!/[%+]/.test(value)) return value
  try {
    return decodeURIComponent(value.replaceAll('+', ' '))
  } catch {
    return value
  }
}

/** The same error for an unknown client and a wrong secret (RFC 6749 5.2). */
export function invalidClient(basic: boolean, detail: string): OAuthError {
  return new OAuthError('invalid_client', 'The client is unknown or its credentials are wrong', {
    status: 401,
    headers: basic ? { 'WWW-Authenticate': 'Basic realm="oauth"' } : {},
    detail,
  })
}
