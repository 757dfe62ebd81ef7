/** The audit log as a table or a file. */
import type { AuditEventRow } from '../../sql/audit-events.ts'
import { record } from './events.ts'
import { type AuditSearch, searchAuditLog } from './search.ts'

const PAGE = 1_000

export const COLUMNS = ['at', 'event', 'email', 'client_id', 'grant_id', 'ip', 'detail'] as const

export type AuditCriteria = Omit<AuditSearch, 'limit' | 'cursor'>

/**
 * All events that match, newest first, read in pages.
 *
 * @param onPage Gets the time of the last event of each page.
 */
export async function* allEvents(
  deps: Parameters<typeof searchAuditLog>[0],
  criteria: AuditCriteria,
  most = Number.POSITIVE_INFINITY,
  onPage: (reached: Date) => void = () => {},
): AsyncGenerator<AuditEventRow> {
  let cursor: string | null | undefined
  for (let left = most; left > 0 && cursor !== null; ) {
    const { events, nextCursor } = await searchAuditLog(deps, {
      ...criteria,
      limit: Math.min(left, PAGE),
      cursor: cursor ?? undefined,
    })
    yield* events
    if (events.length > 0) onPage(events.at(-1)!.at)
    left -= events.length
    cursor = nextCursor
  }
}

/** As {@link allEvents}, for a file that leaves this server, which is an event itself. */
export function exportedEvents(
  deps: Parameters<typeof searchAuditLog>[0] & Parameters<typeof record>[0],
  { since, until, ...criteria }: AuditCriteria,
  format: 'csv' | 'jsonl',
  onPage?: (reached: Date) => void,
): AsyncGenerator<AuditEventRow> {
  const filter = { ...criteria, since: since?.toISOString(), until: until?.toISOString() }
  const given = Object.entries(filter).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
  record(deps, 'audit.exported', { detail: { format, ...Object.fromEntries(given) } })
  return allEvents(deps, { since, until, ...criteria }, undefined, onPage)
}

/** The cells of an event, in the order of {@link COLUMNS}. */
export function cells({ at, event, email, user_id, client_id, grant_id, ip, detail }: AuditEventRow): string[] {
  const details = Object.entries(detail).map(([name, value]) => `${name}=${value}`)
  return [at.toISOString(), event, email ?? user_id ?? '', client_id ?? '', grant_id ?? '', ip ?? '', details.join(' ')]
}

/** A line of CSV (RFC 4180). What a spreadsheet would take for a formula is text. */
export function csvLine(texts: readonly string[]): string {
  return texts.map(quoted).join(',')
}

function quoted(cell: string): string {
  const text = /^[=+@\t\r-]/.test(cell) ? `'${cell}` : cell
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** The time that somebody typed, such as 2026-11-01 or 2026-11-01T12:00:00Z; undefined if it is none from 1970 to 9999. */
export function readTime(text: string): Date | undefined {
  const time = new Date(text)
  const isInRange = time.getTime() >= 0 && time.getTime() < Date.UTC(10_000, 0)
  return /^\d{4}-\d\d-\d\d/.test(text) && isInRange ? time : undefined
}
