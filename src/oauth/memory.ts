/**
 * State that every replica keeps in memory, so that a request needs no database: signing keys, recently used clients and
 * users, and recent revocations. PostgreSQL notifications keep it current. While they are lost, revocations are checked in
 * the database; if that is unavailable too, requests (including MCP) fail closed with 503.
 */
import type { JSONWebKeySet } from 'jose'
import { type ClientRow, findClient } from '../../sql/clients.ts'
import { CHANNEL } from '../../sql/notifications.ts'
import { anyRevoked, listNewRevocations, listRevocations } from '../../sql/revocations.ts'
import { findUserById, listDisabledSince } from '../../sql/users.ts'
import type { Base, Sweep } from '../base.ts'
import { LONGEST_ACCESS_TOKEN_TTL } from '../config.ts'
import { makeRoom } from '../lib/bounded.ts'
import { type KeyRing, loadKeys } from './keys.ts'
import type { Principal } from './principal.ts'

const CLIENT_LIMIT = 10_000
/** Unknown client ids are cached for a minute, so that they are not told apart from known ones by the time of a query. */
const UNKNOWN_MS = 60_000
const UNKNOWN_LIMIT = 10_000
const USER_LIMIT = 10_000
const TOKEN_LIMIT = 50_000
const PERSONAL_LIMIT = 10_000
/**
 * How long revocations are kept: twice the largest ACCESS_TOKEN_TTL, so that tokens issued under an earlier configuration
 * are covered, and a database clock that jumps by less than a day does not revive any.
 */
const REMEMBER_MS = 2 * LONGEST_ACCESS_TOKEN_TTL * 1000
/** Maximum number of new revocations that a poll reads; if there are more, it reads all. */
const POLLED = 10_000
/** A revocation is committed at most so much later than its time says. */
const COMMIT_MS = 60_000

/** The cached part of a user. */
export interface KnownUser {
  email: string
  name: string
  isAdmin: boolean
  disabled: boolean
}

export interface Memory {
  keys: KeyRing
  /** Revoked subjects, with the time (ms) by which all of their tokens have expired. */
  revoked: Map<string, number>
  clients: Map<string, ClientRow>
  /** Unknown client ids, and until when (ms) that is cached. */
  unknownClients: Map<string, number>
  /** By id. */
  users: Map<string, KnownUser>
  /** Incremented on every change of a user, so that a row read before the change is not cached after it. */
  userChanges: number
  /** Access tokens with a verified signature, by hash. */
  verified: Map<string, Principal>
  personalTokens: PersonalTokens
  /** Last uses by calls that are not stored yet, by grant or personal access token: when (ms), and from where. */
  uses: Map<string, { at: number; ip: string | null }>
  /** Client id metadata documents being fetched, by URL, so that concurrent requests share one fetch. */
  documents: Map<string, Promise<ClientRow>>
  /** Clients' key sets by URL, and when (ms) to fetch them again. */
  keySets: Map<string, { keys: Promise<JSONWebKeySet>; until: number }>
  /** Called for every revoked subject, from any replica. */
  onRevoked: Set<(subject: string) => void>
  /** Called for every changed user, from any replica. */
  onUserChanged: Set<(userId: string) => void>
  /** Incremented on every change of a client, so that a row read before the change is not cached after it. */
  clientChanges: number
  /** Incremented when a client is added, so that an earlier lookup that found none is not cached afterwards. */
  clientAdditions: number
  /** Whether notifications arrive, so that this state is current. */
  current: boolean
  close(): Promise<void>
}

/** The principal of a personal access token, which always has a user. */
export type PersonalPrincipal = Principal & { userId: string }

/** Personal access tokens as this replica knows them; {@link Memory.revoked} says which have ended since. */
interface PersonalTokens {
  /** By hash. Read again at `until` (ms), long before a revocation is forgotten. */
  known: Map<string, { principal: PersonalPrincipal; until: number }>
  /** Hashes that no token has, or that of an ended one: no token will ever have them again. */
  unknown: Set<string>
}

type MemoryDeps = Base & { memory: Memory }

/** Loads the state of this replica, and keeps it current through notifications. */
export async function openMemory(base: Base): Promise<Memory> {
  const memory: Memory = {
    keys: await loadKeys(base),
    revoked: new Map(),
    clients: new Map(),
    unknownClients: new Map(),
    users: new Map(),
    userChanges: 0,
    verified: new Map(),
    personalTokens: { known: new Map(), unknown: new Set() },
    uses: new Map(),
    documents: new Map(),
    keySets: new Map(),
    onRevoked: new Set(),
    onUserChanged: new Set(),
    clientChanges: 0,
    clientAdditions: 0,
    current: false,
    close: async () => {},
  }
  const ready = Promise.withResolvers<void>()
  /**
   * @param since When everything was last loaded; without it, all revocations are.
   * @param unheard When users may have been disabled without a notification; without it, no listener has been there for long.
   */
  async function load(since?: number, unheard = since): Promise<void> {
    memory.keys = await loadKeys(base)
    for (const row of await revocationsSince(base, since)) refuse(memory, row.subject, row.expires_at.getTime())
    forgetClients(memory)
    forgetUsers(memory)
    if (unheard !== undefined)
      for (const { id } of await listDisabledSince(base.sql, new Date(unheard - COMMIT_MS))) forgetUsers(memory, id)
    memory.current = true
    ready.resolve()
  }
  let polledAt: number | undefined
  let lostAt: number | undefined
  const listener = base.db.listen(CHANNEL, {
    onPayload: payload => apply(base, memory, payload),
    async onReady() {
      await load(undefined, lostAt)
      lostAt = undefined
    },
    async onPoll() {
      const now = base.now().getTime()
      await load(polledAt, polledAt ?? lostAt)
      polledAt = now
      lostAt = undefined
    },
    onLost() {
      memory.current = false
      lostAt ??= base.now().getTime()
      polledAt = undefined
      forgetClients(memory)
      forgetUsers(memory)
      base.log.warn('lost the notification channel; checking every token in the database until it is back')
    },
  })
  memory.close = () => listener.close()
  await ready.promise
  return memory
}

async function revocationsSince({ sql }: Base, since: number | undefined) {
  if (since !== undefined) {
    const expiringAfter = new Date(since - COMMIT_MS + REMEMBER_MS)
    const rows = await listNewRevocations(sql, { expiringAfter, limit: POLLED })
    if (rows.length < POLLED) return rows
  }
  return listRevocations(sql)
}

async function apply(base: Base, memory: Memory, payload: string): Promise<void> {
  const space = payload.indexOf(' ')
  const kind = space < 0 ? payload : payload.slice(0, space)
  const subject = payload.slice(space + 1)
  if (kind === 'revoked') remember({ ...base, memory }, subject)
  else if (kind === 'client') forgetClients(memory, subject)
  else if (kind === 'added') noteAddedClient(memory, subject)
  else if (kind === 'user') forgetUsers(memory, subject)
  else if (kind === 'keys') memory.keys = await loadKeys(base)
}

/** Refuses a subject's tokens from now on. Called directly where the revocation happens, and on notification elsewhere. */
export function remember(deps: MemoryDeps, subject: string): void {
  refuse(deps.memory, subject, rememberUntil(deps).getTime())
}

/** Removes expired revocations from memory. */
export function sweepRevoked(memory: Memory): Sweep {
  return async (now, limit) => {
    const over = [...memory.revoked].filter(([, until]) => until <= now.getTime()).slice(0, limit)
    for (const [subject] of over) memory.revoked.delete(subject)
    return over.length
  }
}

function forgetUsers(memory: Memory, id?: string): void {
  memory.userChanges++
  if (id === undefined) memory.users.clear()
  else {
    memory.users.delete(id)
    for (const listener of memory.onUserChanged) listener(id)
  }
}

/** Drops a changed client, or all of them, from memory. Lookups in progress are not cached. */
export function forgetClients(memory: Memory, id?: string): void {
  memory.clientChanges++
  for (const clients of [memory.clients, memory.unknownClients]) {
    if (id === undefined) clients.clear()
    else clients.delete(id)
  }
}

function noteAddedClient(memory: Memory, id: string): void {
  memory.clientAdditions++
  memory.unknownClients.delete(id)
}

function refuse(memory: Memory, subject: string, until: number): void {
  const known = memory.revoked.has(subject)
  memory.revoked.set(subject, until)
  if (subject.startsWith('client:')) forgetClients(memory, subject.slice(7))
  if (!known) for (const listener of memory.onRevoked) listener(subject)
}

/** Until when a revocation made now is kept: by then all existing access tokens have expired. */
export function rememberUntil({ now }: Pick<Base, 'now'>): Date {
  return new Date(now().getTime() + REMEMBER_MS)
}

/** Whether any of the subjects is revoked. Queries the database, and returns a promise, only while notifications are lost. */
export function isRevoked({ memory, sql }: MemoryDeps, subjects: readonly string[]): boolean | Promise<boolean> {
  return subjects.some(subject => memory.revoked.has(subject)) || (!memory.current && anyRevoked(sql, subjects))
}

/** Finds a client by id. @returns a promise only if the database has to be asked. */
export function lookUpClient(deps: MemoryDeps, id: string): ClientRow | undefined | Promise<ClientRow | undefined> {
  const known = deps.memory.clients.get(id)
  if (known) return known
  const now = deps.now().getTime()
  return (deps.memory.unknownClients.get(id) ?? 0) > now ? undefined : readClient(deps, id, now)
}

async function readClient(deps: MemoryDeps, id: string, now: number): Promise<ClientRow | undefined> {
  const { memory } = deps
  const { clientChanges, clientAdditions } = memory
  const found = await findClient(deps.sql, id)
  if (memory.clientChanges !== clientChanges) return found
  if (found) rememberClient(memory, found)
  else if (memory.current && memory.clientAdditions === clientAdditions)
    makeRoom(memory.unknownClients, UNKNOWN_LIMIT).set(id, now + UNKNOWN_MS)
  return found
}

/** Caches a client, unless notifications are lost or it was removed during the lookup. */
export function rememberClient(memory: Memory, client: ClientRow): void {
  if (memory.current && !memory.revoked.has(`client:${client.id}`))
    makeRoom(memory.clients, CLIENT_LIMIT).set(client.id, client)
}

/**
 * Finds a user by id.
 *
 * @returns a promise only if the database has to be asked; undefined if there is no such user.
 */
export function lookUpUser(deps: MemoryDeps, id: string): KnownUser | Promise<KnownUser | undefined> {
  return deps.memory.users.get(id) ?? readUser(deps, id)
}

async function readUser(deps: MemoryDeps, id: string): Promise<KnownUser | undefined> {
  const { memory } = deps
  const { userChanges } = memory
  const row = await findUserById(deps.sql, id)
  if (!row) return undefined
  const found = { email: row.email, name: row.name, isAdmin: row.is_admin, disabled: row.disabled_at !== null }
  if (memory.current && memory.userChanges === userChanges) makeRoom(memory.users, USER_LIMIT).set(id, found)
  return found
}

export function rememberVerified(memory: Memory, hash: string, principal: Principal): void {
  makeRoom(memory.verified, TOKEN_LIMIT).set(hash, principal)
}

/** @param principal Undefined if there is no such token. */
export function rememberPersonalToken(
  { personalTokens }: Memory,
  hash: string,
  principal: PersonalPrincipal | undefined,
  until: number,
): void {
  if (principal) makeRoom(personalTokens.known, PERSONAL_LIMIT).set(hash, { principal, until })
  else makeRoom(personalTokens.unknown, PERSONAL_LIMIT).add(hash)
}
