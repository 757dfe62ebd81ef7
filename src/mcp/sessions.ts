/** What outlives a request for clients of the 2025 and 2024 revisions: sessions, bounded in number and in idle time. */
import type { Server, Transport } from '@modelcontextprotocol/server'
import type { Deps } from '../deps.ts'
import type { Principal } from '../oauth/tokens.ts'
import { ownerOf } from './streams.ts'

const PER_PRINCIPAL = 32
const OVERALL = 10_000
/**
 * Much longer than an access token lives: installed clients refresh a token that expired while nobody used them, but do not
 * begin a new session when theirs is gone.
 */
const IDLE_MS = 24 * 60 * 60_000

/** One client's conversation. It belongs to the user, client and grant that began it; to anybody else it does not exist. */
export interface Session<T extends Transport> {
  id: string
  owner: string
  grantId: string | null
  clientId: string
  transport: T
  server: Server
  usedAt: number
}

export interface Sessions<T extends Transport> {
  readonly size: number
  find(id: string, principal: Principal): Session<T> | undefined
  add(session: { id: string; transport: T; server: Server }, principal: Principal): void
  remove(id: string): void
}

export function openSessions<T extends Transport>(deps: Deps): Sessions<T> {
  // In the order of their last use: the first is the one that may go.
  const sessions = new Map<string, Session<T>>()

  function remove(id: string): void {
    const session = sessions.get(id)
    if (session && sessions.delete(id)) void session.server.close()
  }

  function makeRoom(owner: string): void {
    const now = deps.now().getTime()
    for (const session of sessions.values()) {
      if (session.usedAt + IDLE_MS > now) break
      remove(session.id)
    }
    const own = [...sessions.values()].filter(session => session.owner === owner)
    if (own.length >= PER_PRINCIPAL) remove(own[0]!.id)
    if (sessions.size >= OVERALL) remove(sessions.keys().next().value!)
  }

  deps.replica.onRevoked.add(subject => {
    for (const session of sessions.values()) {
      if (subject === `grant:${session.grantId}` || subject === `client:${session.clientId}`) remove(session.id)
    }
  })

  return {
    get size() {
      return sessions.size
    },
    find(id, principal) {
      const session = sessions.get(id)
      if (!session || session.owner !== ownerOf(principal)) return undefined
      const now = deps.now().getTime()
      if (session.usedAt + IDLE_MS <= now) {
        remove(id)
        return undefined
      }
      session.usedAt = now
      sessions.delete(id)
      sessions.set(id, session)
      return session
    },
    add(session, principal) {
      const owner = ownerOf(principal)
      makeRoom(owner)
      const { grantId, clientId } = principal
      sessions.set(session.id, { ...session, owner, grantId, clientId, usedAt: deps.now().getTime() })
    },
    remove,
  }
}
