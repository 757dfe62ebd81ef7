/** What outlives a request for clients of the 2025 and 2024 revisions: sessions, bounded in number and in idle time. */
import type { OAuthDeps } from '../../oauth/deps.ts'
import type { Principal } from '../../oauth/principal.ts'
import { ownerOf, personOf } from '../access.ts'

const PER_CONNECTION = 32
const PER_PERSON = 256
const OVERALL = 10_000
/**
 * Much longer than an access token lives: installed clients refresh a token that expired while nobody used them, but do not
 * begin a new session when theirs is gone.
 */
const IDLE_MS = 24 * 60 * 60_000

/** One client's conversation. It belongs to the user, client and grant that began it; to anybody else it does not exist. */
export interface Session {
  id: string
  /** What revocations call it. */
  key: string
  close(): void
}

export interface Sessions<T extends Session> {
  /** @returns the session, and whose token it was used with last; a refreshed one may have less scope. */
  find(id: string, principal: Principal): { session: T; before: Principal } | undefined
  /** @returns those that had to go for it: the ones of the same connection or person that were used least recently. */
  add(session: T, principal: Principal): T[]
  /** Ends one here. */
  remove(id: string): T | undefined
}

export function openSessions<T extends Session>(deps: OAuthDeps): Sessions<T> {
  // In the order of their last use: the first is the one that may go.
  const sessions = new Map<string, { session: T; principal: Principal; usedAt: number }>()

  function remove(id: string): T | undefined {
    const entry = sessions.get(id)
    if (!entry || !sessions.delete(id)) return undefined
    entry.session.close()
    return entry.session
  }

  function forgetIdle(now: number): void {
    for (const [id, { usedAt }] of sessions) {
      if (usedAt + IDLE_MS > now) break
      remove(id)
    }
  }

  /** The session that was used least recently, of those who have too many. */
  function makeRoom(principal: Principal): T[] {
    const owner = ownerOf(principal)
    const person = personOf(principal)
    const ofPerson = [...sessions].filter(([, entry]) => personOf(entry.principal) === person)
    const ofConnection = ofPerson.filter(([, entry]) => ownerOf(entry.principal) === owner)
    let tooMany: string | undefined
    if (ofConnection.length >= PER_CONNECTION) tooMany = ofConnection[0]![0]
    else if (ofPerson.length >= PER_PERSON) tooMany = ofPerson[0]![0]
    else if (sessions.size >= OVERALL) tooMany = sessions.keys().next().value
    const gone = tooMany === undefined ? undefined : remove(tooMany)
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
      if (!entry || ownerOf(entry.principal) !== ownerOf(principal)) return undefined
      const { session, principal: before } = entry
      sessions.delete(id)
      sessions.set(id, { session, principal, usedAt: now })
      return { session, before }
    },
    add(session, principal) {
      const now = deps.now().getTime()
      forgetIdle(now)
      const gone = makeRoom(principal)
      sessions.set(session.id, { session, principal, usedAt: now })
      return gone
    },
    remove,
  }
}

/** What the end of a session is remembered by. */
export function subjectOf({ key }: Pick<Session, 'key'>): string {
  return `session:${key}`
}
