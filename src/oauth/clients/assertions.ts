/** private_key_jwt client authentication (RFC 7523 2.2, 3) with signed assertions, each usable once. */
import { createLocalJWKSet, decodeJwt, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose'
import { z } from 'zod'
import type { ClientRow } from '../../../sql/clients.ts'
import { useAssertion } from '../../../sql/used-assertions.ts'
import { makeRoom } from '../../lib/bounded.ts'
import { hashSecret } from '../../lib/crypto.ts'
import { OAuthError } from '../../lib/errors.ts'
import { SafeFetchError, safeFetchJson } from '../../lib/safe-fetch.ts'
import { takeFetch } from '../../limits.ts'
import type { OAuthDeps } from '../deps.ts'

export const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Fixed here, not taken from the assertion (RFC 8725 3.1). */
export const ASSERTION_ALGORITHMS = ['ES256', 'ES384', 'RS256', 'PS256', 'EdDSA']

const MAX_LIFETIME_SECONDS = 600
const SKEW_SECONDS = 30
const KEYS_TIMEOUT_MS = 5_000
const KEYS_MAX_BYTES = 64 * 1024
const KEYS_AGE_MS = 5 * 60_000
const KEYS_LIMIT = 1_000

/** Only the members needed for verification are kept (RFC 7517 4, RFC 7518 6); all are short ASCII strings. */
const member = z
  .string()
  .regex(/^[\x20-\x7e]{0,2000}$/)
  .optional()
const jwksSchema = z.object({
  keys: z
    .array(
      z.object({
        kty: z.enum(['EC', 'RSA', 'OKP']),
        kid: member,
        use: member,
        alg: member,
        crv: member,
        x: member,
        y: member,
        n: member,
        e: member,
        // A published private key must be neither accepted nor stored.
        d: z.undefined().optional(),
      }),
    )
    .min(1)
    .max(20),
})

/** The public keys in metadata: the set or its URL. @returns undefined if neither is usable. */
export function keyMaterial(
  jwks: unknown,
  jwksUri: string | undefined,
): { jwks: { keys: Record<string, unknown>[] } } | { jwksUri: string } | undefined {
  const parsed = jwksSchema.safeParse(jwks)
  if (parsed.success) return { jwks: parsed.data }
  const url = jwksUri === undefined || jwksUri.length > 2000 ? null : URL.parse(jwksUri)
  return jwksUri !== undefined && url?.protocol === 'https:' && !url.username && !url.password ? { jwksUri } : undefined
}

/** The client id in an assertion, not verified. */
export function assertedClientId(assertion: string): string | undefined {
  try {
    const { iss, sub } = decodeJwt(assertion)
    return typeof iss === 'string' && iss === sub ? iss : undefined
  } catch {
    return undefined
  }
}

/** Verifies an assertion and marks it as used. @returns why it is invalid, for the log; undefined if it is valid. */
export async function assertionProblem(
  deps: OAuthDeps,
  client: ClientRow,
  assertion: string,
  ip: string | null,
): Promise<string | undefined> {
  const { BASE_URL } = deps.config
  let claims: JWTPayload
  try {
    const keys = createLocalJWKSet(await keysOf(deps, client, ip))
    const { payload } = await jwtVerify(assertion, keys, {
      issuer: client.id,
      subject: client.id,
      audience: [BASE_URL, `${BASE_URL}/api/oauth/token`, `${BASE_URL}/token`],
      algorithms: ASSERTION_ALGORITHMS,
      requiredClaims: ['exp', 'jti'],
      clockTolerance: SKEW_SECONDS,
      currentDate: deps.now(),
    })
    claims = payload
  } catch (error) {
    if (error instanceof errors.JOSEError) return `assertion refused: ${error.code}`
    if (error instanceof SafeFetchError) return `the key set ${error.detail}`
    if (error instanceof OAuthError) throw error
    return 'the key set contains an invalid key' // importing such a key throws an untyped error
  }
  const expiresAt = new Date((claims.exp! + SKEW_SECONDS) * 1000)
  const lifetime = expiresAt.getTime() - deps.now().getTime()
  if (!(lifetime <= (MAX_LIFETIME_SECONDS + 2 * SKEW_SECONDS) * 1000))
    // also true for NaN, when the time is out of range for a Date
    return 'assertion lifetime too long'
  const idHash = hashSecret(JSON.stringify([client.id, claims.jti]))
  return (await useAssertion(deps.sql, { idHash, expiresAt })) ? undefined : 'assertion already used'
}

/** A client's key set. From a URL, it is fetched again after five minutes, so that keys can be rotated. */
async function keysOf(deps: OAuthDeps, client: ClientRow, ip: string | null): Promise<JSONWebKeySet> {
  if (client.jwks) return client.jwks as unknown as JSONWebKeySet
  const { keySets } = deps.memory
  const url = client.jwks_uri!
  const now = deps.now().getTime()
  let entry = keySets.get(url)
  if (!entry || entry.until <= now) {
    takeFetch(deps, url, ip)
    entry = { keys: fetchKeys(deps, url), until: now + KEYS_AGE_MS }
    makeRoom(keySets, KEYS_LIMIT).set(url, entry)
    entry.keys.catch(() => keySets.delete(url))
  }
  return entry.keys
}

async function fetchKeys(deps: OAuthDeps, url: string): Promise<JSONWebKeySet> {
  const { json } = await safeFetchJson(url, {
    outbound: deps.outbound,
    timeoutMs: KEYS_TIMEOUT_MS,
    maxBytes: KEYS_MAX_BYTES,
  })
  const parsed = jwksSchema.safeParse(json)
  if (!parsed.success) throw new SafeFetchError('is not a key set')
  return parsed.data as unknown as JSONWebKeySet
}
