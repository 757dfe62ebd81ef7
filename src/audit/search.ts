import {
  type AuditEventRow,
  type AuditFilter,
  type AuditPosition,
  listEventsOfUser,
  searchAuditEvents,
} from '../../sql/audit-events.ts'
import type { Queries } from '../../sql/index.ts'
import { AppError } from '../lib/errors.ts'
import type { AuditWriter } from './writer.ts'

/** Events read per statement: at first few, which is often enough. Small batches keep the embedded database responsive. */
const SEARCH_FIRST = 1_000
const SEARCH_BATCH = 10_000
/** Maximum number of events read per search; a longer search continues from the cursor. */
const SEARCH_MOST = 1_000_000

export interface AuditSearch extends AuditFilter {
  /** Maximum number of events to return. */
  limit: number
  /** `nextCursor` of the search to continue. */
  cursor?: string | undefined
}

export interface AuditSearchResult {
  /** Newest first. */
  events: AuditEventRow[]
  /** Continues with older events; null at the end of the log. */
  nextCursor: string | null
}

/**
 * Searches the log, including events that are still queued.
 *
 * @param options.onSearched Called after each statement with the number of events read so far.
 * @throws AppError if the cursor is invalid, and the reason of `options.signal` when that is aborted.
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
