/** How long the audit log goes back. */
import { sweepAuditEvents } from '../../sql/audit-events.ts'
import type { Base, Sweep } from '../base.ts'

const DAY_MS = 86_400_000

/** Deletes events that are older than `AUDIT_RETENTION` days; none if that is 0. */
export function auditSweeps({ sql, config }: Base): Sweep[] {
  const days = config.AUDIT_RETENTION
  if (days === 0) return []
  return [(now, limit) => sweepAuditEvents(sql, new Date(now.getTime() - days * DAY_MS), limit)]
}
