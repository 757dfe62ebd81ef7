/**
 * What every replica keeps in memory, so that a request needs no database: the signing keys, the clients it has seen and
 * what was revoked lately. PostgreSQL's notifications keep it true; while they are lost, it asks the database, and a
 * request that the database would have to vouch for fails closed: 503 while the database is away, MCP requests included.
 */
import { type ClientRow, findClient } from '../../sql/clients.ts'
import { anyRevoked, listRevocations } from '../../sql/revocations.ts'
import type { Deps } from '../deps.ts'
import { type KeyRing, loadKeys } from './keys.ts'
import { CHANNEL } from './model.ts'
import type { Principal } from './tokens.ts'

const CLIENT_LIMIT = 10_000
const TOKEN_LIMIT = 50_000

export interface Replica {
  keys: KeyRing
  /** Subjects that must be refused, with the time (ms) from which no token of theirs can be alive. */
  revoked: Map<string, number>
  clients: Map<string, ClientRow>
  /** Access tokens whose signature was good, by hash. */
  verified: Map<string, Principal>
  /** Told of every revoked subject, here or elsewhere. */
  onRevoked: Set<(subject: string) => void>
  /** Whether notifications arrive, so that the three above can be believed. */
  current: boolean
  close(): Promise<void>
}

type ReplicaDeps = Omit<Deps, 'replica' | 'close'>

/** Loads what a replica keeps, and goes on listening. */
export async function openReplica(deps: ReplicaDeps): Promise<Replica> {
  const replica: Replica = {
    keys: await loadKeys(deps),
    revoked: new Map(),
    clients: new Map(),
    verified: new Map(),
    onRevoked: new Set(),
    current: false,
    close: async () => {},
  }
  const ready = Promise.withResolvers<void>()
  const listener = deps.db.listen(CHANNEL, {
    onPayload: payload => apply(deps, replica, payload),
    async onReady() {
      replica.keys = await loadKeys(deps)
      for (const row of await listRevocations(deps.sql, deps.now()))
        refuse(replica, row.subject, row.expires_at.getTime())
      replica.clients.clear()
      replica.current = true
      ready.resolve()
    },
    onLost() {
      replica.current = false
      replica.clients.clear()
      deps.log.warn('lost the notification channel: asking the database about every token until it is back')
    },
  })
  replica.close = () => listener.close()
  await ready.promise
  return replica
}

async function apply(deps: ReplicaDeps, replica: Replica, payload: string): Promise<void> {
  const space = payload.indexOf(' ')
  const kind = space < 0 ? payload : payload.slice(0, space)
  const subject = payload.slice(space + 1)
  if (kind === 'revoked') remember(deps, replica, subject)
  else if (kind === 'client') replica.clients.delete(subject)
  else if (kind === 'keys') replica.keys = await loadKeys(deps)
}

/** Refuses a subject's tokens from now on; called at once where the revocation happens, and by notification elsewhere. */
export function remember(deps: Pick<Deps, 'config' | 'now'>, replica: Replica, subject: string): void {
  const now = deps.now().getTime()
  refuse(replica, subject, now + deps.config.ACCESS_TOKEN_TTL * 1000)
  for (const [old, until] of replica.revoked) {
    if (until > now) break // oldest first
    replica.revoked.delete(old)
  }
}

function refuse(replica: Replica, subject: string, until: number): void {
  const known = replica.revoked.has(subject)
  replica.revoked.set(subject, until)
  if (subject.startsWith('client:')) replica.clients.delete(subject.slice(7))
  if (!known) for (const listener of replica.onRevoked) listener(subject)
}

/** Whether any of the subjects is revoked. No database, unless notifications are lost. */
export async function isRevoked(deps: Deps, subjects: string[]): Promise<boolean> {
  if (subjects.some(subject => deps.replica.revoked.has(subject))) return true
  return !deps.replica.current && anyRevoked(deps.sql, subjects, deps.now())
}

/** A client by its id, from memory if it can be believed. */
export async function lookUpClient(deps: Deps, id: string): Promise<ClientRow | undefined> {
  const { replica } = deps
  const known = replica.clients.get(id)
  if (known) return known
  const found = await findClient(deps.sql, id)
  if (found) rememberClient(replica, found)
  return found
}

/** Keeps a client in memory, while changes elsewhere would be heard of; it may have been removed while it was looked up. */
export function rememberClient(replica: Replica, client: ClientRow): void {
  if (replica.current && !replica.revoked.has(`client:${client.id}`))
    bounded(replica.clients, CLIENT_LIMIT).set(client.id, client)
}

export function rememberVerified(replica: Replica, hash: string, principal: Principal): void {
  bounded(replica.verified, TOKEN_LIMIT).set(hash, principal)
}

/** Makes room in a map by forgetting what came first. */
function bounded<V>(map: Map<string, V>, limit: number): Map<string, V> {
  if (map.size >= limit) map.delete(map.keys().next().value!)
  return map
}
