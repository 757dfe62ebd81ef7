/**
 * Limits per replica, in memory: behind n replicas somebody may do n times as much. They keep one network from filling
 * the database or guessing; what must hold across replicas (wrong device codes) is counted in the database instead.
 */
import { OAuthError } from './lib/errors.ts'

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
  /** Client id metadata documents and key sets fetched from one host. */
  documents: { name: 'document', hits: 60, seconds: 60 },
  /** Failed proofs of one client from one network. */
  clientGuesses: { name: 'guess', hits: 20, seconds: 300 },
  /** Audit lines of refused strangers from one network: each is a row, and the log is not theirs to fill. */
  refusals: { name: 'refused', hits: 100, seconds: 60 },
} satisfies Record<string, Limit>

const MAX_KEYS = 100_000

/** Hits by key, and when (ms) they are forgotten. */
export type Limits = Map<string, { hits: number; resetsAt: number }>

export function openLimits(): Limits {
  return new Map()
}

/** @throws OAuthError `slow_down`, status 429 with Retry-After, once the key has used up its hits. */
export function requireUnlimited(limits: Limits, now: Date, limit: Limit, key: string): void {
  const counter = limits.get(`${limit.name} ${key}`)
  if (!counter || counter.resetsAt <= now.getTime() || counter.hits < limit.hits) return
  const seconds = Math.ceil((counter.resetsAt - now.getTime()) / 1000)
  throw new OAuthError('slow_down', `Too many requests; try again in ${seconds} seconds`, {
    status: 429,
    headers: { 'Retry-After': String(seconds) },
  })
}

export function countHit(limits: Limits, now: Date, limit: Limit, key: string): void {
  const name = `${limit.name} ${key}`
  const counter = limits.get(name)
  if (counter && counter.resetsAt > now.getTime()) {
    counter.hits += 1
    return
  }
  limits.delete(name)
  if (limits.size >= MAX_KEYS) limits.delete(limits.keys().next().value!) // the one that began first
  limits.set(name, { hits: 1, resetsAt: now.getTime() + limit.seconds * 1000 })
}

/** Counts a hit. @returns whether it is within the limit. */
export function isWithinLimit(limits: Limits, now: Date, limit: Limit, key: string): boolean {
  countHit(limits, now, limit, key)
  return limits.get(`${limit.name} ${key}`)!.hits <= limit.hits
}

/** Counts a hit that is allowed. @throws OAuthError as {@link requireUnlimited}. */
export function takeHit(limits: Limits, now: Date, limit: Limit, key: string): void {
  requireUnlimited(limits, now, limit, key)
  countHit(limits, now, limit, key)
}

/** Takes back a hit that turned out not to cost anything. */
export function giveBack(limits: Limits, limit: Limit, key: string): void {
  const counter = limits.get(`${limit.name} ${key}`)
  if (counter) counter.hits -= 1
}
