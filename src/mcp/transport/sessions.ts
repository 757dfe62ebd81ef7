/** Sessions of clients of the 2025 and 2024 revisions, limited in number and idle time. */
import type { OAuthDeps } from '../../oauth/deps.ts'
import type { Principal } from '../../oauth/principal.ts'
import { isSameOwner, ownerOf, personOf } from '../caller.ts'
import { openGroups } from './groups.ts'
import { openRecency, type Placed } from './recency.ts'

const PER_CONNECTION = 32
const PER_PERSON = 256
const OVERALL = 10_000
/**
 * Much longer than the lifetime of an access token: installed clients refresh an expired token, but do not open a new
 * session when theirs is gone.
 */
const IDLE_MS = 24 * 60 * 60_000

/** One client's session. It belongs to the user, client and grant that opened it; to anyone else it does not exist. */
export interface Session {
  id: string
  /** Identifies it in revocations. */
  key: string
}

export interface Sessions<T extends Session> {
  /** @returns the session, and the principal of the previous request; a refreshed token may have less scope. */
  find(id: string, principal: Principal): { session: T; before: Principal } | undefined
  /** @returns the session evicted to make room: the least recently used of the same connection or person, or of all. */
  add(session: T, principal: Principal): T | undefined
  /** Closes a session on this replica. */
  remove(id: string): T | undefined
}

interface Entry<T> extends Placed<Entry<T>> {
  session: T
  principal: Principal
  usedAt: number
  /** Grows with each use of any session. */
  turn: number
}

/**
 * @param metric How many there are, by this name, of a transport in words.
 * @param close Called for each session that is removed.
 */
export function openSessions<T extends Session>(
  deps: OAuthDeps,
  metric: string,
  transport: string,
  close: (session: T) => void,
): Sessions<T> {
  const sessions = new Map<string, Entry<T>>()
  deps.metrics.gauge(metric, `Sessions over ${transport}`, () => sessions.size)
  const order = openRecency<Entry<T>>()
  /** The sessions of each connection and of each person, and those that a revocation ends. */
  const groups = openGroups<Entry<T>>()
  let turn = 0

  function groupsOf({ session, principal }: Pick<Entry<T>, 'session' | 'principal'>): string[] {
    const ended = [`grant:${principal.grantId}`, `client:${principal.clientId}`, subjectOf(session)]
    return [ownerOf(principal), personOf(principal), ...ended]
  }

  function use(entry: Entry<T>, principal: Principal, now: number): void {
    entry.principal = principal
    entry.usedAt = now
    entry.turn = ++turn
    order.touch(entry)
  }

  function remove(id: string): T | undefined {
    const entry = sessions.get(id)
    if (!entry) return undefined
    sessions.delete(id)
    order.remove(entry)
    groups.leave(groupsOf(entry), entry)
    close(entry.session)
    return entry.session
  }

  function forgetIdle(now: number): void {
    for (let oldest = order.oldest(); oldest && oldest.usedAt + IDLE_MS <= now; oldest = order.oldest())
      remove(oldest.session.id)
  }

  /** Finds the least recently used session of the connection, the person or all, whichever limit is reached. */
  function findSurplus(principal: Principal): Entry<T> | undefined {
    const [ofConnection, ofPerson] = [groups.of(ownerOf(principal)), groups.of(personOf(principal))]
    if (ofConnection.length >= PER_CONNECTION) return leastRecent(ofConnection)
    if (ofPerson.length >= PER_PERSON) return leastRecent(ofPerson)
    return sessions.size >= OVERALL ? order.oldest() : undefined
  }

  deps.memory.onRevoked.add(subject => {
    for (const { session } of groups.of(subject).toReversed()) remove(session.id)
  })

  return {
    find(id, principal) {
      const now = deps.now().getTime()
      forgetIdle(now)
      const entry = sessions.get(id)
      if (!entry || !isSameOwner(entry.principal, principal)) return undefined
      const { session, principal: before } = entry
      use(entry, principal, now)
      return { session, before }
    },
    add(session, principal) {
      const now = deps.now().getTime()
      forgetIdle(now)
      const surplus = findSurplus(principal)
      if (surplus) remove(surplus.session.id)
      const entry: Entry<T> = { session, principal, usedAt: now, turn: 0 }
      sessions.set(session.id, entry)
      groups.join(groupsOf(entry), entry)
      use(entry, principal, now)
      return surplus?.session
    },
    remove,
  }
}

const leastRecent = <T>(entries: readonly Entry<T>[]) =>
  entries.reduce((least, one) => (one.turn < least.turn ? one : least))

/** The subject under which the end of a session is stored as a revocation. */
export function subjectOf({ key }: Pick<Session, 'key'>): string {
  return `session:${key}`
}
