import {
  AUDIT_END,
  type AuditEventRow,
  type AuditPage,
  type AuditPosition,
  FREQUENT_EVENTS,
  listEventsOfUser,
  type AuditFilter as QueryFilter,
  searchAuditEvents,
  searchIndexedEvents,
} from '../../sql/audit-events.ts'
import type { Queries } from '../../sql/index.ts'
import { listIdsWithAddress } from '../../sql/users.ts'
import { AppError } from '../lib/errors.ts'
import type { StopSignal } from '../lib/stop.ts'
import type { AuditWriter } from './writer.ts'

/** Events read per statement: at first few, which is often enough. Small batches keep the embedded database responsive. */
const SEARCH_FIRST = 1_000
const SEARCH_BATCH = 20_000
/** Maximum number of events read per search; a longer search continues from the cursor. */
const SEARCH_MOST = 1_000_000

export interface AuditSearch {
  event?: string | undefined
  /** The address of users, in any case. */
  email?: string | undefined
  clientId?: string | undefined
  ip?: string | undefined
  /** Inclusive. */
  since?: Date | undefined
  /** Exclusive. */
  until?: Date | undefined
  /** Maximum number of events to return. */
  limit: number
  /** `nextCursor` of the search to continue. */
  cursor?: string | undefined
}

export interface AuditSearchResult {
  /** Newest first. */
  events: AuditEventRow[]
  /** Continues with older events; null if no other matches. */
  nextCursor: string | null
  /** Until when the log was searched, if that is not to its end. */
  reached?: Date
}

/**
 * Searches the log, including events that are still queued.
 *
 * @param options.onSearched Called after each statement with the number of events read so far.
 * @throws AppError if the cursor is invalid. It fails when `options.signal` is aborted.
 */
export async function searchAuditLog(
  deps: { audit: AuditWriter; sql: Queries },
  { limit, cursor, until, email, ...criteria }: AuditSearch,
  options: { signal?: StopSignal | undefined; onSearched?: (count: number) => void } = {},
): Promise<AuditSearchResult> {
  let before = cursor === undefined ? AUDIT_END : parseCursor(cursor)
  if (until && until < before.at) before = { at: until, id: '0' }
  await deps.audit.flush()
  const userIds = email === undefined ? undefined : await listIdsWithAddress(deps.sql, email)
  const filter: QueryFilter = { ...criteria, userIds }
  const key = keyOf(filter)
  if (userIds?.length === 0) return { events: [], nextCursor: null }
  const found: (AuditEventRow & { id: string })[] = []
  const given = Object.values({ ...filter, since: undefined }).filter(value => value !== undefined).length
  let size = given > (key ? 1 : 0) ? SEARCH_FIRST : limit + 1
  for (let searched = 0; ; ) {
    // One more than asked for shows whether there are others.
    const wanted = limit + 1 - found.length
    const page: AuditPage = { before, size, limit: wanted }
    const batch = await (key
      ? searchIndexedEvents(deps.sql, key, filter, page)
      : searchAuditEvents(deps.sql, filter, page))
    if (options.signal?.aborted) throw new Error('the search was cancelled')
    found.push(...batch.found)
    const events = found.slice(0, limit).map(({ id: _, ...event }) => event)
    if (found.length > limit) return { events, nextCursor: formatCursor(found[limit - 1]!) }
    if (!batch.end || (filter.since && batch.end.at < filter.since)) return { events, nextCursor: null }
    before = batch.end
    searched += size
    if (searched >= SEARCH_MOST) return { events, nextCursor: formatCursor(before), reached: before.at }
    options.onSearched?.(searched)
    size = SEARCH_BATCH
  }
}

/** What there is an index of, so that little else is read; undefined if that is only the time. */
function keyOf({ clientId, userIds, event }: QueryFilter) {
  if (clientId !== undefined) return { clientId }
  if (userIds?.length === 1) return { userId: userIds[0]! }
  return event !== undefined && !FREQUENT_EVENTS.includes(event) ? { event } : undefined
}

/** Events about one user in a file for them; enough for years of what people do themselves. */
const ABOUT_USER = 10_000

/**
 * The newest events about a user, for that user. Where an operator acted, who and from where is left out.
 *
 * @returns at most 10,000, and whether there are more.
 */
export async function eventsAbout(deps: { audit: AuditWriter; sql: Queries }, userId: string) {
  await deps.audit.flush()
  const rows = await listEventsOfUser(deps.sql, userId, ABOUT_USER + 1)
  const events = rows.slice(0, ABOUT_USER).map(({ detail, ip, ...event }) => {
    const { administrator, actor, system_user: _, ...rest } = detail
    return { ...event, ip: administrator === undefined && actor === undefined ? ip : null, detail: rest }
  })
  return { events, isComplete: rows.length <= ABOUT_USER }
}

function formatCursor({ at, id }: AuditPosition): string {
  return `${at.toISOString()}_${id}`
}

function parseCursor(cursor: string): AuditPosition {
  const [, at, id] = /^(\d{4}-\d\d-\d\dT[\d:.]{8,12}Z)_(\d{1,18})$/.exec(cursor) ?? []
  const time = new Date(at ?? '')
  if (id === undefined || !(time.getTime() >= 0))
    throw new AppError('The cursor is not valid', 'Use the unchanged next_cursor of an earlier result.')
  return { at: time, id }
}
