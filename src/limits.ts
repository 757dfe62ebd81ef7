/**
 * Limits per replica, in memory: behind n replicas somebody may do n times as much. They keep one network from filling
 * the database or guessing; what must hold across replicas (wrong device codes) is counted in the database instead.
 */
import { OAuthError } from './lib/errors.ts'
import { networkOf } from './lib/networks.ts'

/** So many hits in so many seconds, by a key that names route, client and network, never the address alone. */
interface Limit {
  name: string
  hits: number
  seconds: number
}

export const LIMITS = {
  /** Registrations from one network. Hosted clients register for many users from one, and the same one again is free. */
  registrations: { name: 'register', hits: 200, seconds: 600 },
  /** Authorization requests that wait for a person: of one user, or of everybody in a network who is not signed in. */
  authorizations: { name: 'authorize', hits: 600, seconds: 600 },
  /** Device codes that one client asks for from one network. */
  deviceCodes: { name: 'device', hits: 600, seconds: 60 },
  /** Device codes that one network asks for, for whatever clients, in the ten minutes for which they are open. */
  networkDeviceCodes: { name: 'device-network', hits: 1_000, seconds: 600 },
  /** Device codes that everybody together asks for in ten minutes. */
  allDeviceCodes: { name: 'device-all', hits: 20_000, seconds: 600 },
  /** Client id metadata documents and key sets fetched from one host. */
  documents: { name: 'document', hits: 60, seconds: 60 },
  /** The same, fetched because one network named them. */
  networkDocuments: { name: 'document-network', hits: 30, seconds: 60 },
  /** The same, fetched for everybody together. */
  allDocuments: { name: 'document-all', hits: 300, seconds: 60 },
  /** Failed proofs of one client from one network. */
  clientGuesses: { name: 'guess', hits: 20, seconds: 300 },
  /** Device codes, authorization codes and refresh tokens from one network that never were any. */
  tokenGuesses: { name: 'token-guess', hits: 100, seconds: 300 },
  /** Different audit lines of strangers from one network: each is a row, and the log is not theirs to fill. */
  strangers: { name: 'stranger', hits: 100, seconds: 600 },
} satisfies Record<string, Limit>

const MAX_KEYS = 100_000

/** Hits of one limit by key, and when (ms) they are forgotten. */
type Counters = Map<string, { hits: number; resetsAt: number }>

/** A map for each limit, so that who fills one with keys makes no other one forget. */
export type Limits = Map<string, Counters>

export function openLimits(): Limits {
  return new Map()
}

/** @throws OAuthError `slow_down`, status 429 with Retry-After, once the key has used up its hits. */
export function requireUnlimited(limits: Limits, now: Date, limit: Limit, key: string): void {
  const counter = limits.get(limit.name)?.get(key)
  if (!counter || counter.resetsAt <= now.getTime() || counter.hits < limit.hits) return
  const seconds = Math.ceil((counter.resetsAt - now.getTime()) / 1000)
  throw new OAuthError('slow_down', `Too many requests; try again in ${seconds} seconds`, {
    status: 429,
    headers: { 'Retry-After': String(seconds) },
  })
}

/** Counts a hit. @returns how many that are. */
export function countHit(limits: Limits, now: Date, limit: Limit, key: string): number {
  let counters = limits.get(limit.name)
  if (!counters) {
    counters = new Map()
    limits.set(limit.name, counters)
  }
  const counter = counters.get(key)
  if (counter && counter.resetsAt > now.getTime()) return ++counter.hits
  counters.delete(key)
  if (counters.size >= MAX_KEYS) counters.delete(counters.keys().next().value!) // the one that began first
  counters.set(key, { hits: 1, resetsAt: now.getTime() + limit.seconds * 1000 })
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

/** Takes back a hit that turned out not to cost anything. */
export function giveBack(limits: Limits, limit: Limit, key: string): void {
  const counter = limits.get(limit.name)?.get(key)
  if (counter) counter.hits -= 1
}

/** Counts a fetch of a stranger's document: for its host, the network that named it, and overall. @throws OAuthError as {@link requireUnlimited}. */
export function takeFetch(deps: { limits: Limits; now: () => Date }, url: string, ip: string | null): void {
  const counted = [
    [LIMITS.documents, new URL(url).host],
    [LIMITS.networkDocuments, networkOf(ip)],
    [LIMITS.allDocuments, ''],
  ] as const
  for (const [limit, key] of counted) requireUnlimited(deps.limits, deps.now(), limit, key)
  for (const [limit, key] of counted) countHit(deps.limits, deps.now(), limit, key)
}
