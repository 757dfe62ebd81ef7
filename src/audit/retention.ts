/** How long audit events are kept (`AUDIT_RETENTION`). */
import { sweepAuditEvents } from '../../sql/audit-events.ts'
import type { Base, Sweep } from '../base.ts'

const DAY_MS = 86_400_000

/** Deletes events older than `AUDIT_RETENTION` days; none if it is 0. */
export function auditSweeps({ sql, config }: Base): Sweep[] {
  const days = config.AUDIT_RETENTION
  if (days === 0) return []
  return [(now, limit) => sweepAuditEvents(sql, new Date(now.getTime() - days * DAY_MS), limit)]
}
