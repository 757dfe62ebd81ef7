/** Limits invalid codes and refresh tokens per network, since each costs a database query. */
import { networkOf } from '../../lib/networks.ts'
import { countHit, LIMITS, requireUnlimited } from '../../limits.ts'
import type { OAuthDeps } from '../deps.ts'

/** @throws OAuthError `slow_down`, status 429, if the network has sent too many, even if this one is valid. */
export function requireFewGuesses(deps: OAuthDeps, ip: string | null): void {
  requireUnlimited(deps.limits, deps.now(), LIMITS.tokenGuesses, networkOf(ip))
}

export function countGuess(deps: OAuthDeps, ip: string | null): void {
  countHit(deps.limits, deps.now(), LIMITS.tokenGuesses, networkOf(ip))
}
