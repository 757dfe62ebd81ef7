/** What outlives a request for clients of the 2025 and 2024 revisions: sessions, bounded in number and in idle time. */

import type { Server, Transport } from '@modelcontextprotocol/server'
import type { OAuthDeps } from '../../oauth/deps.ts'
import type { Principal } from '../../oauth/principal.ts'
import { ownerOf, personOf, seeSameTools } from '../access.ts'

const PER_CONNECTION = 32
const PER_PERSON = 256
const OVERALL = 10_000
/**
 * Much longer than an access token lives: installed clients refresh a token that expired while nobody used them, but do not
 * begin a new session when theirs is gone.
 */
const IDLE_MS = 24 * 60 * 60_000

/** One client's conversation. It belongs to the user, client and grant that began it; to anybody else it does not exist. */
export interface Session<T extends Transport> {
  id: string
  /** Whose token was used last; a refreshed one may have less scope. */
  principal: Principal
  transport: T
  server: Server
  usedAt: number
}

export interface Sessions<T extends Transport> {
  find(id: string, principal: Principal): Session<T> | undefined
  add(session: { id: string; transport: T; server: Server }, principal: Principal): void
  remove(id: string): void
}

export function openSessions<T extends Transport>(deps: OAuthDeps): Sessions<T> {
  // In the order of their last use: the first is the one that may go.
  const sessions = new Map<string, Session<T>>()

  function remove(id: string): void {
    const session = sessions.get(id)
    if (session && sessions.delete(id)) void session.server.close()
  }

  /** Removes what is idle; of those who have too many, the session that they used least recently. */
  function makeRoom(principal: Principal): void {
    const now = deps.now().getTime()
    for (const session of sessions.values()) {
      if (session.usedAt + IDLE_MS > now) break
      remove(session.id)
    }
    const owner = ownerOf(principal)
    const person = personOf(principal)
    const ofPerson = [...sessions.values()].filter(session => personOf(session.principal) === person)
    const ofConnection = ofPerson.filter(session => ownerOf(session.principal) === owner)
    if (ofConnection.length >= PER_CONNECTION) remove(ofConnection[0]!.id)
    else if (ofPerson.length >= PER_PERSON) remove(ofPerson[0]!.id)
    else if (sessions.size >= OVERALL) remove(sessions.keys().next().value!)
  }

  deps.memory.onRevoked.add(subject => {
    for (const { id, principal } of sessions.values())
      if (subject === `grant:${principal.grantId}` || subject === `client:${principal.clientId}`) remove(id)
  })

  return {
    find(id, principal) {
      const session = sessions.get(id)
      if (!session || ownerOf(session.principal) !== ownerOf(principal)) return undefined
      const now = deps.now().getTime()
      if (session.usedAt + IDLE_MS <= now) {
        remove(id)
        return undefined
      }
      if (!seeSameTools(session.principal, principal)) void session.server.sendToolListChanged()
      session.principal = principal
      session.usedAt = now
      sessions.delete(id)
      sessions.set(id, session)
      return session
    },
    add(session, principal) {
      makeRoom(principal)
      sessions.set(session.id, { ...session, principal, usedAt: deps.now().getTime() })
    },
    remove,
  }
}
