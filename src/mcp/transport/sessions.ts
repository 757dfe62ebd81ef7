/** Sessions of clients of the 2025 and 2024 revisions, limited in number and idle time. */
import type { OAuthDeps } from '../../oauth/deps.ts'
import type { Principal } from '../../oauth/principal.ts'
import { ownerOf, personOf } from '../caller.ts'

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
  close(): void
}

export interface Sessions<T extends Session> {
  /** @returns the session, and the principal of the previous request; a refreshed token may have less scope. */
  find(id: string, principal: Principal): { session: T; before: Principal } | undefined
  /** @returns the sessions evicted to make room: the least recently used of the same connection or person. */
  add(session: T, principal: Principal): T[]
  /** Closes a session on this replica. */
  remove(id: string): T | undefined
}

interface Entry<T> {
  session: T
  principal: Principal
  /** Whose it is: of a connection, and of a person. */
  keys: readonly [owner: string, person: string]
  usedAt: number
}

/** @param metric How many there are, by this name, of a transport in words. */
export function openSessions<T extends Session>(deps: OAuthDeps, metric: string, transport: string): Sessions<T> {
  // Ordered by last use: the first is evicted first.
  const sessions = new Map<string, Entry<T>>()
  deps.metrics.gauge(metric, `Sessions over ${transport}`, () => sessions.size)
  /** Ids by connection and by person, in the same order. */
  const idsOf = new Map<string, Set<string>>()

  function insert(id: string, entry: Entry<T>): void {
    sessions.set(id, entry)
    for (const key of entry.keys) {
      const ids = idsOf.get(key)
      if (ids) ids.add(id)
      else idsOf.set(key, new Set([id]))
    }
  }

  function take(id: string): Entry<T> | undefined {
    const entry = sessions.get(id)
    if (!entry) return undefined
    sessions.delete(id)
    for (const key of entry.keys) {
      const ids = idsOf.get(key)!
      ids.delete(id)
      if (ids.size === 0) idsOf.delete(key)
    }
    return entry
  }

  function remove(id: string): T | undefined {
    const session = take(id)?.session
    session?.close()
    return session
  }

  function forgetIdle(now: number): void {
    for (const [id, { usedAt }] of sessions) {
      if (usedAt + IDLE_MS > now) break
      remove(id)
    }
  }

  /** Evicts the least recently used session of the connection, the person or all, whichever limit is reached. */
  function makeRoom([owner, person]: Entry<T>['keys']): T[] {
    const [ofConnection, ofPerson] = [idsOf.get(owner), idsOf.get(person)]
    const full =
      ofConnection && ofConnection.size >= PER_CONNECTION
        ? ofConnection
        : ofPerson && ofPerson.size >= PER_PERSON
          ? ofPerson
          : sessions.size >= OVERALL
            ? sessions
            : undefined
    const [oldest] = full?.keys() ?? []
    const gone = oldest === undefined ? undefined : remove(oldest)
    return gone ? [gone] : []
  }

  deps.memory.onRevoked.add(subject => {
    for (const [id, { session, principal }] of sessions) {
      const isOver = [`grant:${principal.grantId}`, `client:${principal.clientId}`, subjectOf(session)]
      if (isOver.includes(subject)) remove(id)
    }
  })

  return {
    find(id, principal) {
      const now = deps.now().getTime()
      forgetIdle(now)
      const entry = sessions.get(id)
      if (!entry || entry.keys[0] !== ownerOf(principal)) return undefined
      const { session, principal: before } = entry
      entry.principal = principal
      entry.usedAt = now
      sessions.delete(id)
      sessions.set(id, entry)
      for (const key of entry.keys) {
        const ids = idsOf.get(key)!
        ids.delete(id)
        ids.add(id)
      }
      return { session, before }
    },
    add(session, principal) {
      const now = deps.now().getTime()
      forgetIdle(now)
      const keys = [ownerOf(principal), personOf(principal)] as const
      const gone = makeRoom(keys)
      insert(session.id, { session, principal, keys, usedAt: now })
      return gone
    },
    remove,
  }
}

/** The subject under which the end of a session is stored as a revocation. */
export function subjectOf({ key }: Pick<Session, 'key'>): string {
  return `session:${key}`
}
