/** How long audit events are kept (`AUDIT_RETENTION`). */
import { sweepAuditEvents } from '../../sql/audit-events.ts'
import { sweepEventCounts } from '../../sql/event-counts.ts'
import type { Base, Sweep } from '../base.ts'

const DAY_MS = 86_400_000

/** For how long the pages of administrators count. */
const COUNTED_DAYS = 31

/** Deletes events older than `AUDIT_RETENTION` days, none if it is 0, and old counts. */
export function auditSweeps({ sql, config }: Base): Sweep[] {
  const days = config.AUDIT_RETENTION
  const counts: Sweep = (now, limit) => sweepEventCounts(sql, new Date(now.getTime() - COUNTED_DAYS * DAY_MS), limit)
  if (days === 0) return [counts]
  return [counts, (now, limit) => sweepAuditEvents(sql, new Date(now.getTime() - days * DAY_MS), limit)]
}
