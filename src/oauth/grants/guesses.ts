/** Codes and refresh tokens that never were any cost a look into the database each: a network may send only so many. */
import { networkOf } from '../../lib/networks.ts'
import { countHit, LIMITS, requireUnlimited } from '../../limits.ts'
import type { OAuthDeps } from '../deps.ts'

/** @throws OAuthError `slow_down`, status 429, for a network that has sent too many, right or wrong this time. */
export function requireFewGuesses(deps: OAuthDeps, ip: string | null): void {
  requireUnlimited(deps.limits, deps.now(), LIMITS.tokenGuesses, networkOf(ip))
}

export function countGuess(deps: OAuthDeps, ip: string | null): void {
  countHit(deps.limits, deps.now(), LIMITS.tokenGuesses, networkOf(ip))
}
