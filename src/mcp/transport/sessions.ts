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
}

export interface Sessions<T extends Session> {
  /** @returns the session, and the principal of the previous request; a refreshed token may have less scope. */
  find(id: string, principal: Principal): { session: T; before: Principal } | undefined
  /** @returns the sessions evicted to make room: the least recently used of the same connection or person. */
  add(session: T, principal: Principal): T[]
  /** Closes a session on this replica. */
  remove(id: string): T | undefined
}

/** The sessions of one connection or of one person. */
interface Group {
  key: string
  /** In the order of their last use. */
  ids: Set<string>
}

interface Entry<T> {
  session: T
  principal: Principal
  connection: Group
  person: Group
  usedAt: number
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
  // Ordered by last use: the first is evicted first.
  const sessions = new Map<string, Entry<T>>()
  deps.metrics.gauge(metric, `Sessions over ${transport}`, () => sessions.size)
  const groups = new Map<string, Group>()

  function join(key: string, id: string): Group {
    const group = groups.get(key) ?? { key, ids: new Set() }
    groups.set(key, group)
    group.ids.add(id)
    return group
  }

  function leave({ key, ids }: Group, id: string): void {
    ids.delete(id)
    if (ids.size === 0) groups.delete(key)
  }

  function remove(id: string): T | undefined {
    const entry = sessions.get(id)
    if (!entry) return undefined
    sessions.delete(id)
    leave(entry.connection, id)
    leave(entry.person, id)
    close(entry.session)
    return entry.session
  }

  function forgetIdle(now: number): void {
    for (const [id, { usedAt }] of sessions) {
      if (usedAt + IDLE_MS > now) break
      remove(id)
    }
  }

  /** Evicts the least recently used session of the connection, the person or all, whichever limit is reached. */
  function makeRoom(owner: string, person: string): T[] {
    const [ofConnection, ofPerson] = [groups.get(owner)?.ids, groups.get(person)?.ids]
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
      if (entry?.connection.key !== ownerOf(principal)) return undefined
      const { session, principal: before } = entry
      entry.principal = principal
      entry.usedAt = now
      sessions.delete(id)
      sessions.set(id, entry)
      for (const { ids } of [entry.connection, entry.person]) {
        ids.delete(id)
        ids.add(id)
      }
      return { session, before }
    },
    add(session, principal) {
      const now = deps.now().getTime()
      forgetIdle(now)
      const [owner, person] = [ownerOf(principal), personOf(principal)]
      const gone = makeRoom(owner, person)
      const { id } = session
      sessions.set(id, { session, principal, connection: join(owner, id), person: join(person, id), usedAt: now })
      return gone
    },
    remove,
  }
}

/** The subject under which the end of a session is stored as a revocation. */
export function subjectOf({ key }: Pick<Session, 'key'>): string {
  return `session:${key}`
}
