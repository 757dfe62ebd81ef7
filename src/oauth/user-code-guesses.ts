/** Looks up user codes that users type, and limits wrong guesses per session, user and network (RFC 8628 5.1). */
import { claimDeviceCode } from '../../sql/device-codes.ts'
import { countFailure, deleteEmptyThrottles, findThrottles, lockThrottles, type Throttle } from '../../sql/throttles.ts'
import { record } from '../audit/events.ts'
import { inTransaction } from '../db/index.ts'
import type { Viewer } from '../http/session.ts'
import { OAuthError } from '../lib/errors.ts'
import { networkOf } from '../lib/networks.ts'
import type { OAuthDeps } from './deps.ts'
import { parseUserCode } from './user-codes.ts'

/** Wrong codes allowed per session or user, and per network, within the window. */
const WRONG_CODES = 5
const WRONG_CODES_OF_NETWORK = 50
const WRONG_CODES_WINDOW_MS = 15 * 60_000

/** The result of entering a code: the request's id, the number of tries left, or how long no code is accepted. */
export type EnteredCode =
  | { id: string }
  | { id: undefined; triesLeft: number }
  | { id: undefined; triesLeft: undefined; blocked: Blocked }

export interface Blocked {
  seconds: number
  /** Whether it is only the network that has entered too many: the user may not have entered a wrong code. */
  network: boolean
}

/** @returns whether and how long no code is accepted of this user, without counting anything. */
export async function findBlock(deps: OAuthDeps, viewer: Viewer, ip: string | null): Promise<Blocked | undefined> {
  const now = deps.now()
  return blockOf(await findThrottles(deps.sql, keysOf(viewer, ip), now), now)
}

/**
 * Looks up a user code that a signed-in user typed, and binds it to their session. All invalid codes look the same; after
 * too many, so do correct ones.
 */
export async function enterUserCode(
  deps: OAuthDeps,
  viewer: Viewer,
  typed: string,
  ip: string | null,
): Promise<EnteredCode> {
  const now = deps.now()
  const keys = keysOf(viewer, ip)
  const resetsAt = new Date(now.getTime() + WRONG_CODES_WINDOW_MS)
  // In one transaction, so that concurrent guesses are counted one after the other.
  const { counters, blocked, id } = await inTransaction(deps, async sql => {
    const counters = await lockThrottles(sql, { keys, now, resetsAt })
    const blocked = blockOf(counters, now)
    if (blocked) return { counters, blocked, id: undefined }
    const userCode = parseUserCode(typed)
    const claim = { sessionHash: viewer.sessionHash, userId: viewer.userId, now }
    const id = userCode && (await claimDeviceCode(sql, { userCode, ...claim }))
    await (id ? deleteEmptyThrottles(sql, keys) : countFailure(sql, keys))
    return { counters, blocked, id }
  })
  if (blocked) return { id: undefined, triesLeft: undefined, blocked }
  if (id) return { id }
  record(deps, 'device.wrong_code', { userId: viewer.userId, ip })
  return { id: undefined, triesLeft: Math.min(...counters.map(left)) - 1 }
}

const NETWORK_KEY = 'device:network:'

const keysOf = (viewer: Viewer, ip: string | null) => [
  `device:session:${viewer.sessionHash.toString('base64url')}`,
  `device:user:${viewer.userId}`,
  `${NETWORK_KEY}${networkOf(ip)}`,
]

const isOfNetwork = ({ key }: Throttle) => key.startsWith(NETWORK_KEY)
const left = (counter: Throttle) => (isOfNetwork(counter) ? WRONG_CODES_OF_NETWORK : WRONG_CODES) - counter.failures

function blockOf(counters: Throttle[], now: Date): Blocked | undefined {
  const full = counters.filter(counter => left(counter) <= 0)
  if (full.length === 0) return undefined
  const until = Math.max(...full.map(({ resets_at }) => resets_at.getTime()))
  return { seconds: Math.ceil((until - now.getTime()) / 1000), network: full.every(isOfNetwork) }
}

/** For programs. */
export function tooManyWrongCodes({ seconds, network }: Blocked): OAuthError {
  const minutes = Math.ceil(seconds / 60)
  const wait = minutes === 1 ? 'Wait a minute' : `Wait ${minutes} minutes`
  const whose = network
    ? 'Too many wrong codes were entered from your network, not necessarily by you'
    : 'Too many wrong codes'
  return new OAuthError('slow_down', `${whose}. ${wait}, then start again on your device.`, {
    status: 429,
    headers: { 'Retry-After': String(seconds) },
  })
}
