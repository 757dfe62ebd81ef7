/** How long audit events are kept (`AUDIT_RETENTION`), and the steps of connections. */
import { sweepAuditEvents } from '../../sql/audit-events.ts'
import { sweepOldSteps, sweepSurplusSteps } from '../../sql/connection-steps.ts'
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

/** How many steps are kept, of known users and clients and of strangers: about a thousand attempts together. */
const KEEP_STEPS = 5_000
const KEEP_STEPS_MS = 30 * DAY_MS

export function stepSweeps({ sql }: Base): Sweep[] {
  return [
    (now, limit) => sweepOldSteps(sql, new Date(now.getTime() - KEEP_STEPS_MS), limit),
    (_now, limit) => sweepSurplusSteps(sql, true, KEEP_STEPS, limit),
    (_now, limit) => sweepSurplusSteps(sql, false, KEEP_STEPS, limit),
  ]
}
