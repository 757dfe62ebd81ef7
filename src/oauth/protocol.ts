/** What every OAuth endpoint shares: who the client says it is, and how answers look. */

import type { Params } from '../http/params.ts'
import { OAuthError } from '../lib/errors.ts'
import { ASSERTION_TYPE, assertedClientId } from './client-keys.ts'

/** A client's claim to be one, unverified. */
export interface ClientCredentials {
  clientId: string
  /** Absent for a public client. */
  secret: string | undefined
  /** A signed assertion instead of a secret (RFC 7523). */
  assertion: string | undefined
  /** Whether HTTP Basic was used, which decides the form of a refusal (RFC 6749 5.2). */
  basic: boolean
}

/**
 * Reads the client's credentials from the Authorization header or the body (RFC 6749 2.3.1).
 *
 * @returns nothing if the client does not say who it is.
 * @throws OAuthError `invalid_request` if it does so in two ways at once, `invalid_client` if Basic is malformed.
 */
export function readClientCredentials(request: Request, params: Params): ClientCredentials | undefined {
  const header = request.headers.get('authorization')
  const basic = header && /^basic /i.test(header) ? parseBasic(header.slice(6).trim()) : undefined
  const ways = [basic, params.client_secret, params.client_assertion].filter(way => way !== undefined)
  if (ways.length > 1) throw new OAuthError('invalid_request', 'The client must authenticate in one way only')
  if (basic) {
    if (params.client_id !== undefined && params.client_id !== basic.clientId) {
      throw new OAuthError('invalid_request', 'The client_id in the body is not the one in the Authorization header')
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

/** RFC 6749 2.3.1 asks for form-encoding inside Basic; many clients leave it out, and our own ids and secrets allow both. */
function percentDecoded(value: string): string {
  try {
    return decodeURIComponent(value.replaceAll('+', ' '))
  } catch {
    return value
  }
}

/** One answer for an unknown client and a wrong secret (RFC 6749 5.2). */
export function invalidClient(basic: boolean, detail: string): OAuthError {
  return new OAuthError('invalid_client', 'The client is unknown or its credentials are wrong; register it again', {
    status: 401,
    headers: basic ? { 'WWW-Authenticate': 'Basic realm="oauth"' } : {},
    detail,
  })
}

/** A JSON answer that nobody may store (RFC 6749 5.1). */
export function noStoreJson(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return Response.json(body, { status, headers: { 'Cache-Control': 'no-store', Pragma: 'no-cache', ...headers } })
}
