/** The audit log: which events there are, a writer that appends them in batches, and the search through them. */
import {
  type AuditEventRow,
  type AuditFilter,
  type AuditPosition,
  insertAuditEvents,
  type NewAuditEvent,
  searchAuditEvents,
} from '../sql/audit-events.ts'
import type { Queries } from '../sql/index.ts'
import { isOutage } from './db/index.ts'
import { AppError } from './lib/errors.ts'
import type { Log } from './lib/log.ts'

/** Every event that can be recorded, and what it means. */
export const AUDIT_EVENTS = {
  'user.signed_in': 'Somebody signed in',
  'user.signed_out': 'Somebody signed out',
  'user.refused': 'Somebody was not let in: by what the provider said, or with a link that does not work',
  'user.link_created': 'An operator made a one-time sign-in link',
  'user.signed_out_everywhere': 'Somebody ended all their sessions and connections',
  'user.disabled': 'An operator disabled a user',
  'user.enabled': 'An operator enabled a user again',
  'client.added': 'An operator added a client',
  'client.registered': 'A client registered itself',
  'client.updated': 'A client changed its registration',
  'client.removed': 'A client was removed, by an operator or by itself',
  'client.refused': 'A client gave wrong credentials',
  'device.requested': 'A device asked to be authorized',
  'device.wrong_code': 'Somebody entered a code that is not one',
  'device.approved': 'A user approved a device',
  'device.denied': 'A user denied a device',
  'device.fetched': 'A device fetched its tokens',
  'authorization.approved': 'A user let a client in',
  'authorization.exchanged': 'A client exchanged an authorization code',
  'authorization.replayed': 'An authorization code was used again: what it had given was revoked',
  'token.issued': 'A machine got an access token',
  'token.revoked': 'An access token was revoked',
  'refresh.rotated': 'A refresh token was exchanged',
  'refresh.retried': 'A refresh token was exchanged again within the grace time and got the same successor',
  'refresh.reused': 'A refresh token was used again too late: its grant was revoked',
  'grant.revoked': 'A connection was ended',
  'key.rotated': 'An operator rotated the signing keys',
  'tool.called': 'A tool was called',
} as const

export type AuditEventName = keyof typeof AUDIT_EVENTS

export interface AuditDetails {
  userId?: string | null
  clientId?: string | null
  grantId?: string | null
  ip?: string | null
  detail?: Record<string, string | number | boolean>
}

const FLUSH_MS = 250
const BATCH = 500
const LIMIT = 20_000

export interface AuditWriter {
  add(event: NewAuditEvent): void
  /** Events that are not written yet. */
  readonly waiting: number
  /** Events that did not fit while the database was away, or that it refused. */
  readonly dropped: number
  /** Writes what is waiting; resolves when it is stored or the database refused it. */
  flush(): Promise<void>
  close(): Promise<void>
}

/**
 * Appends events in batches and in order, so that a busy endpoint does not wait for one insert a request. While the
 * database is away they wait here, and those past the limit are counted as dropped, as is one that the database would
 * never take. A batch whose answer was lost is written again, so an event may stand twice, but none is missing.
 */
export function openAuditWriter(sql: Queries, log: Log): AuditWriter {
  const waiting: NewAuditEvent[] = []
  let dropped = 0
  let failing = false
  let writing = Promise.resolve()
  let timer: Timer | undefined

  async function write(): Promise<void> {
    let size = BATCH
    while (waiting.length > 0) {
      const batch = waiting.slice(0, size)
      try {
        await insertAuditEvents(sql, batch)
        waiting.splice(0, batch.length)
        if (failing) log.info({ dropped }, 'the audit log is written again')
        failing = false
      } catch (error) {
        const { message } = error as Error
        if (isOutage(error)) {
          if (!failing) log.error({ detail: message }, 'could not write the audit log; trying until it works')
          failing = true
          return
        }
        // Something in the batch is not what the table takes: find it, so that it does not hold up the rest.
        size = Math.floor(batch.length / 2)
        if (size > 0) continue
        waiting.shift()
        size = BATCH
        dropped += 1
        log.error({ event: batch[0]?.event, detail: message }, 'the database refused an audit event')
      }
    }
  }

  function schedule(): void {
    timer ??= setTimeout(() => {
      timer = undefined
      void flush().then(() => {
        if (waiting.length > 0) schedule()
      })
    }, FLUSH_MS)
  }

  function flush(): Promise<void> {
    writing = writing.then(write)
    return writing
  }

  return {
    add(event) {
      if (waiting.length >= LIMIT) {
        if (dropped++ === 0)
          log.error('events come faster than the database takes them, or it is away: some are not in the audit log')
        return
      }
      waiting.push(event)
      schedule()
    },
    get waiting() {
      return waiting.length
    },
    get dropped() {
      return dropped
    },
    flush,
    async close() {
      clearTimeout(timer)
      await flush()
      dropped += waiting.length
      if (waiting.length > 0) log.error({ lost: waiting.length }, 'audit events were lost at shutdown')
    },
  }
}

/** Records one event, now. */
export function record(
  deps: { audit: AuditWriter; now: () => Date },
  event: AuditEventName,
  details: AuditDetails = {},
): void {
  deps.audit.add({
    at: deps.now(),
    event,
    userId: details.userId ?? null,
    clientId: details.clientId ?? null,
    grantId: details.grantId ?? null,
    ip: details.ip ?? null,
    detail: details.detail ?? {},
  })
}

/** Events that one statement looks through; at first few, as often that is enough. Nobody else waits long for the embedded database. */
const SEARCH_FIRST = 1_000
const SEARCH_BATCH = 10_000
/** Events that one search looks through; a longer one goes on from the cursor. */
const SEARCH_MOST = 1_000_000

export interface AuditSearch extends AuditFilter {
  /** How many events to find. */
  limit: number
  /** `nextCursor` of the search to go on with. */
  cursor?: string | undefined
}

export interface AuditSearchResult {
  /** Newest first. */
  events: AuditEventRow[]
  /** Where older events begin; null at the end of the log. */
  nextCursor: string | null
}

/**
 * Searches the log, what waits to be written included.
 *
 * @param options.onSearched Told after each statement how many events were looked through so far.
 * @throws AppError if the cursor is none, and the reason of `options.signal` when that is aborted.
 */
export async function searchAuditLog(
  deps: { audit: AuditWriter; sql: Queries },
  { limit, cursor, ...filter }: AuditSearch,
  options: { signal?: AbortSignal | undefined; onSearched?: (count: number) => void } = {},
): Promise<AuditSearchResult> {
  await deps.audit.flush()
  const events: AuditEventRow[] = []
  let before = cursor === undefined ? undefined : parseCursor(cursor)
  let searched = 0
  const { since: _, until: __, ...criteria } = filter
  let size = Object.values(criteria).some(value => value !== undefined) ? SEARCH_FIRST : limit
  for (;;) {
    const wanted = limit - events.length
    const batch = await searchAuditEvents(deps.sql, filter, { before, size, limit: wanted })
    options.signal?.throwIfAborted()
    events.push(...batch.found.map(({ id: _, ...event }) => event))
    const last = batch.found.length === wanted ? batch.found.at(-1)! : undefined
    before = last ?? batch.end
    if (!last && batch.looked < size) return { events, nextCursor: null }
    searched += batch.looked
    if (last || searched >= SEARCH_MOST) return { events, nextCursor: formatCursor(before!) }
    options.onSearched?.(searched)
    size = SEARCH_BATCH
  }
}

function formatCursor({ at, id }: AuditPosition): string {
  return `${at.toISOString()}_${id}`
}

function parseCursor(cursor: string): AuditPosition {
  const [, at, id] = /^(\d{4}-\d\d-\d\dT[\d:.]{8,12}Z)_(\d{1,18})$/.exec(cursor) ?? []
  const time = new Date(at ?? '')
  if (id === undefined || !(time.getTime() >= 0))
    throw new AppError('The cursor is not valid', 'Take it from next_cursor of an earlier answer, unchanged.')
  return { at: time, id }
}
