/** New events of the audit log, as they are written. */
import { type AuditEventRow, listAuditEventsAfter, newestAuditEvent } from '../../sql/audit-events.ts'
import type { Queries } from '../../sql/index.ts'

const PAGE = 1_000
const LOOK_MS = 1_000
/** A transaction that has taken an id commits or fails sooner. */
const LATE_MS = 30_000
/** How many ids are waited for at most. */
const MOST_LATE = 10_000

/**
 * Events in the order of their ids, without an end. A replica may commit an id after another one has committed a higher
 * one: what was skipped is looked for again, and comes late.
 *
 * @param look Waits before the next look.
 */
export async function* newEvents(
  sql: Queries,
  look: () => Promise<unknown> = () => Bun.sleep(LOOK_MS),
): AsyncGenerator<AuditEventRow> {
  /** Ids that were not there yet, and until when they are looked for (ms). */
  const late = new Map<number, number>()
  for (let last = Number(await newestAuditEvent(sql)); ; ) {
    const among = [...late.keys()]
    const lowest = Math.min(last + 1, ...among)
    const rows = await listAuditEventsAfter(sql, { id: last, among, lowest }, PAGE)
    const until = performance.now() + LATE_MS
    for (const { id, ...event } of rows) {
      const number = Number(id)
      for (let skipped = last + 1; skipped < number && late.size < MOST_LATE; skipped++) late.set(skipped, until)
      late.delete(number)
      last = Math.max(last, number)
      yield event
    }
    for (const [id, end] of late) if (end < performance.now()) late.delete(id)
    if (rows.length < PAGE) await look()
  }
}
