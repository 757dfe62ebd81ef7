/**
 * Rate limits per replica, in memory: with n replicas the effective limits are n times as high. They keep one network from
 * filling the database or guessing secrets. Wrong user codes must be limited across replicas, and are counted in the
 * database instead (`oauth/user-code-guesses.ts`).
 */
import { makeRoom } from './lib/bounded.ts'
import { OAuthError } from './lib/errors.ts'
import { networkOf } from './lib/networks.ts'

/** Allows `hits` per `seconds` for each key, which combines route, client and network, never the address alone. */
interface Limit {
  name: string
  hits: number
  seconds: number
}

export const LIMITS = {
  /** Registrations from one network. Hosted clients register for many users from one network; repeated identical ones are not counted. */
  registrations: { name: 'register', hits: 200, seconds: 600 },
  /** Pending authorization requests: per user, or per network if nobody is signed in. */
  authorizations: { name: 'authorize', hits: 600, seconds: 600 },
  /** Device codes for one client from one network. */
  deviceCodes: { name: 'device', hits: 600, seconds: 60 },
  /** Device codes from one network, for any client, within the default lifetime of a code. */
  networkDeviceCodes: { name: 'device-network', hits: 1_000, seconds: 600 },
  /** Device codes overall. */
  allDeviceCodes: { name: 'device-all', hits: 20_000, seconds: 600 },
  /** Client id metadata documents and key sets fetched from one host. */
  documents: { name: 'document', hits: 60, seconds: 60 },
  /** The same, fetched on request of one network. */
  networkDocuments: { name: 'document-network', hits: 30, seconds: 60 },
  /** The same, overall. */
  allDocuments: { name: 'document-all', hits: 300, seconds: 60 },
  /** Failed authentications of one client from one network. */
  clientGuesses: { name: 'guess', hits: 20, seconds: 300 },
  /** Unknown device codes, authorization codes, refresh tokens and personal access tokens from one network. */
  tokenGuesses: { name: 'token-guess', hits: 100, seconds: 300 },
  /** Trips of one user to link an account at an upstream, since each is a row. */
  links: { name: 'link', hits: 100, seconds: 600 },
  /** Streams by which `doctor` examines the proxies in front. */
  probes: { name: 'probe', hits: 60, seconds: 600 },
  /** Files with everything about one user, since each reads much. */
  exports: { name: 'export', hits: 20, seconds: 600 },
  /** Steps of connections that are recorded from one network. */
  steps: { name: 'step', hits: 300, seconds: 600 },
  /** Different audit events of unauthenticated requests from one network, since each is a row. */
  strangers: { name: 'stranger', hits: 100, seconds: 600 },
} satisfies Record<string, Limit>

const MAX_KEYS = 100_000

/** Hits of one limit by key, and when (ms) they reset. */
type Counters = Map<string, { hits: number; resetsAt: number }>

/** One map per limit, so that filling one with keys does not evict those of another. */
export type Limits = Map<string, Counters>

export function openLimits(): Limits {
  return new Map()
}

/** @throws OAuthError `slow_down`, status 429 with Retry-After, if the key has exhausted its hits. */
export function requireUnlimited(limits: Limits, now: Date, limit: Limit, key: string): void {
  const counter = limits.get(limit.name)?.get(key)
  if (!counter || counter.resetsAt <= now.getTime() || counter.hits < limit.hits) return
  const seconds = Math.ceil((counter.resetsAt - now.getTime()) / 1000)
  throw new OAuthError('slow_down', `Too many requests; try again in ${wait(seconds)}`, {
    status: 429,
    headers: { 'Retry-After': String(seconds) },
  })
}

function wait(seconds: number): string {
  if (seconds > 90) return `${Math.ceil(seconds / 60)} minutes`
  return seconds === 1 ? 'a second' : `${seconds} seconds`
}

/** Counts a hit. @returns the new count. */
export function countHit(limits: Limits, now: Date, limit: Limit, key: string): number {
  let counters = limits.get(limit.name)
  if (!counters) {
    counters = new Map()
    limits.set(limit.name, counters)
  }
  const counter = counters.get(key)
  if (counter && counter.resetsAt > now.getTime()) return ++counter.hits
  counters.delete(key)
  makeRoom(counters, MAX_KEYS).set(key, { hits: 1, resetsAt: now.getTime() + limit.seconds * 1000 })
  return 1
}

/** Counts a hit. @returns whether it is within the limit. */
export function isWithinLimit(limits: Limits, now: Date, limit: Limit, key: string): boolean {
  return countHit(limits, now, limit, key) <= limit.hits
}

/** Counts a hit that is allowed. @throws OAuthError as {@link requireUnlimited}. */
export function takeHit(limits: Limits, now: Date, limit: Limit, key: string): void {
  requireUnlimited(limits, now, limit, key)
  countHit(limits, now, limit, key)
}

/** Takes back a hit that turned out to cost nothing. */
export function giveBack(limits: Limits, limit: Limit, key: string): void {
  const counter = limits.get(limit.name)?.get(key)
  if (counter) counter.hits -= 1
}

/** Counts the fetch of a client's document: for its host, the requesting network, and overall. @throws OAuthError as {@link requireUnlimited}. */
export function takeFetch(deps: { limits: Limits; now: () => Date }, url: string, ip: string | null): void {
  const counted = [
    [LIMITS.documents, new URL(url).host],
    [LIMITS.networkDocuments, networkOf(ip)],
    [LIMITS.allDocuments, ''],
  ] as const
  for (const [limit, key] of counted) requireUnlimited(deps.limits, deps.now(), limit, key)
  for (const [limit, key] of counted) countHit(deps.limits, deps.now(), limit, key)
}
