/**
 * The round trip of a sign-in to the provider. Its state is in a signed cookie, one per trip, so that two tabs do not
 * interfere.
 */
import { randomBytes } from 'node:crypto'
import { jwt } from '@elysiajs/jwt'
import { z } from 'zod'
import { useAssertion } from '../../sql/used-assertions.ts'
import type { Base } from '../base.ts'
import { listCookies, readCookie, setCookie } from '../http/cookies.ts'
import type { Params } from '../http/params.ts'
import { hashSecret, sameBytes } from '../lib/crypto.ts'
import { AppError } from '../lib/errors.ts'
import { generateCodeVerifier, type Provider } from './providers.ts'

/** How long a trip to the provider may take, in seconds. */
export const TRIP_SECONDS = 600

/** The token's type (RFC 8725 3.11), so that no other JWT of ours is accepted. */
const TYPE = 'sign-in+jwt'
const ALGORITHM = 'HS256'

const tripSchema = z.object({
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
  provider: z.string(),
  returnTo: z.string(),
})
export type Trip = z.output<typeof tripSchema>

/** The plugin that signs and verifies; it adds `trips` to a route's context. */
export const tripTokens = (base: Base) =>
  jwt({ name: 'trips', secret: base.secrets.signInCookie, alg: ALGORITHM, typ: TYPE, iat: false })
export type TripTokens = ReturnType<typeof tripTokens>['decorator']['trips']

export function newTrip(provider: Provider, returnTo: string): Trip {
  return {
    state: randomBytes(24).toString('base64url'),
    nonce: randomBytes(24).toString('base64url'),
    verifier: generateCodeVerifier(),
    provider: provider.id,
    returnTo,
  }
}

/** @returns the Set-Cookie header value that stores a trip. */
export async function tripCookie(base: Base, tokens: TripTokens, trip: Trip): Promise<string> {
  const token = await tokens.sign({ ...trip, exp: Math.floor(base.now().getTime() / 1000) + TRIP_SECONDS })
  return setCookie(base.config, cookieName(trip.state), token, TRIP_SECONDS)
}

/** @returns the Set-Cookie header value that deletes it. */
export function endedTripCookie(base: Base, trip: Trip): string {
  return setCookie(base.config, cookieName(trip.state), '', 0)
}

/** Maximum number of earlier trips per browser, and the total size of their cookies: beyond 16 KiB of headers it gets 431. */
const TRIPS = 3
const TRIPS_BYTES = 6_000

/**
 * Deletes all but the newest few trips. Browsers send the oldest cookie first (RFC 6265 5.4).
 *
 * @returns Set-Cookie header values.
 */
export function oldTripCookies(base: Base, request: Request): string[] {
  let bytes = 0
  return listCookies(base.config, request, TRIP_COOKIE)
    .reverse()
    .filter(({ value }, newer) => {
      bytes += value.length
      return newer >= TRIPS || bytes > TRIPS_BYTES
    })
    .map(({ name }) => setCookie(base.config, name, '', 0))
}

/** Finds the trip that a provider's answer belongs to. @throws AppError if this browser has none with that state. */
export async function readTrip(
  base: Base,
  tokens: TripTokens,
  request: Request,
  provider: Provider,
  params: Params,
): Promise<Trip> {
  const state = params.state ?? ''
  if (!/^[A-Za-z0-9_-]{32}$/.test(state)) throw lost('no state')
  const cookie = readCookie(base.config, request, cookieName(state))
  if (!cookie) throw lost('no cookie for this state')
  const claims = await tokens.verify(cookie, {
    algorithms: [ALGORITHM],
    typ: TYPE,
    requiredClaims: ['exp'],
    currentDate: base.now(),
  })
  const trip = tripSchema.safeParse(claims)
  if (!trip.success) throw lost('the cookie has expired or is not ours')
  if (!sameBytes(Buffer.from(trip.data.state), Buffer.from(state)) || trip.data.provider !== provider.id)
    throw lost('another state or provider')
  return trip.data
}

/** Ends a trip, which can create only one session. @throws AppError if it has already ended. */
export async function endTrip(base: Base, trip: Trip): Promise<void> {
  const expiresAt = new Date(base.now().getTime() + TRIP_SECONDS * 1000)
  const first = await useAssertion(base.sql, { idHash: hashSecret(`${TYPE} ${trip.state}`), expiresAt })
  if (!first) throw lost('the state was used before')
}

const TRIP_COOKIE = 'signin-'

/** The name of a trip's cookie contains the beginning of its state. */
function cookieName(state: string): string {
  return `${TRIP_COOKIE}${state.slice(0, 12)}`
}

function lost(detail: string): AppError {
  return new AppError(
    'This sign-in was started in another browser or too long ago',
    'Start again from the sign-in page in this browser, with cookies enabled.',
    { status: 400, detail },
  )
}
