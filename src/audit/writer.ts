import { insertAuditEvents, type NewAuditEvent } from '../../sql/audit-events.ts'
import type { EventCount } from '../../sql/event-counts.ts'
import type { Queries } from '../../sql/index.ts'
import { isOutage } from '../db/index.ts'
import type { Log } from '../lib/log.ts'
import type { Metrics } from '../metrics.ts'
import type { Notices } from './notices.ts'

const FLUSH_MS = 250
const BATCH = 500
/** Number of queued events that are not kept waiting any longer, as calls wait for the log once it is crowded. */
const MANY = 2_000
const LIMIT = 20_000

export interface AuditWriter {
  /** Counts an event that is recorded with others like it. */
  count(event: string): void
  add(event: NewAuditEvent): void
  /** Number of queued events. */
  readonly waiting: number
  /** Number of events lost because the queue was full or the database rejected them. */
  readonly dropped: number
  /** Writes the events that are queued now; resolves when they are stored or rejected. */
  flush(): Promise<void>
  close(): Promise<void>
}

/**
 * Appends events in batches and in order, so that requests do not wait for an insert. During a database outage events are
 * queued; those beyond the limit, and events that the database rejects, are counted as dropped. A batch whose
 * acknowledgement was lost is written again, so an event may appear twice, but none is missing.
 *
 * @param options.known The names of all events.
 */
export function openAuditWriter(
  sql: Queries,
  log: Log,
  metrics: Metrics,
  { known = [], notices }: { known?: readonly string[]; notices?: Notices | undefined } = {},
): AuditWriter {
  const events = metrics.counter('audit_events_total', 'What was recorded in the audit log, repeats included', [
    'event',
  ])
  /** With their labels, which would be looked up each time. */
  const counts = new Map<string, { inc(value?: number): void }>()
  function count(event: string, times = 1): void {
    let counter = counts.get(event)
    if (!counter) {
      counter = events.labels({ event })
      counts.set(event, counter)
    }
    counter.inc(times)
  }
  // Prometheus sees no increase in a series that begins with 1.
  for (const event of known) count(event, 0)
  metrics.gauge('audit_waiting', 'Audit events that are not written yet', () => waiting.length)
  metrics.gauge('audit_dropped', 'Audit events that were lost since the start', () => dropped)
  const waiting: NewAuditEvent[] = []
  let dropped = 0
  let failing = false
  let writing = Promise.resolve()
  /** What begins when that is over. */
  let next: Promise<void> | undefined
  let timer: Timer | undefined

  /** Writes what is there when it begins: under load, more comes for as long as that lasts. */
  async function write(): Promise<void> {
    next = undefined
    let size = BATCH
    let left = waiting.length
    while (left > 0) {
      const batch = waiting.slice(0, Math.min(size, left))
      try {
        await insertAuditEvents(sql, batch, countByHour(batch))
        waiting.splice(0, batch.length)
        left -= batch.length
        if (failing) log.info({ dropped }, 'the audit log can be written again')
        failing = false
      } catch (error) {
        const { message } = error as Error
        if (isOutage(error)) {
          if (!failing) log.error({ detail: message }, 'could not write the audit log; will keep trying')
          failing = true
          return
        }
        // The database rejects some event in the batch: find it by halving, so that it does not block the rest.
        size = Math.floor(batch.length / 2)
        if (size > 0) continue
        waiting.shift()
        left -= 1
        size = BATCH
        dropped += 1
        log.error({ event: batch[0]?.event, detail: message }, 'the database rejected an audit event')
      }
    }
  }

  function schedule(): void {
    timer ??= setTimeout(async () => {
      do await flush()
      while (waiting.length >= BATCH && !failing)
      timer = undefined
      if (waiting.length > 0) schedule()
    }, FLUSH_MS)
  }

  function flush(): Promise<void> {
    next ??= writing.then(write)
    writing = next
    return writing
  }

  return {
    count,
    add(event) {
      notices?.offer(event)
      count(event.event)
      if (waiting.length >= LIMIT) {
        if (dropped++ === 0)
          log.error('the audit queue is full because the database is slow or unavailable; events are being dropped')
        return
      }
      waiting.push(event)
      if (waiting.length === MANY && !failing) void flush()
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
      do await flush()
      while (waiting.length > 0 && !failing)
      dropped += waiting.length
      if (waiting.length > 0) log.error({ lost: waiting.length }, 'audit events were lost at shutdown')
    },
  }
}

const HOUR_MS = 3_600_000

/** Counts events by hour, name and outcome, repeats included. */
function countByHour(events: readonly NewAuditEvent[]): EventCount[] {
  const counts = new Map<string, EventCount>()
  for (const { at, event, detail } of events) {
    const ms = at.getTime()
    const hour = ms - (ms % HOUR_MS)
    const failed = detail.failed === true || (detail.outcome !== undefined && detail.outcome !== 'ok')
    const key = `${hour} ${failed} ${event}`
    const known = counts.get(key) ?? { hour: new Date(hour), event, failed, count: 0 }
    known.count += 1 + Number(detail.repeats ?? 0)
    counts.set(key, known)
  }
  return [...counts.values()]
}
