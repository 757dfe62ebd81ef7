import type { Queries } from './index.ts'

export interface NewAuditEvent {
  at: Date
  event: string
  userId: string | null
  clientId: string | null
  grantId: string | null
  ip: string | null
  detail: Record<string, string | number | boolean>
}

/** Appends events in one statement. */
export async function insertAuditEvents(sql: Queries, events: NewAuditEvent[]): Promise<void> {
  await sql`
    insert into audit_events (at, event, user_id, client_id, grant_id, ip, detail)
    select *
    from jsonb_to_recordset(${sql.json(
      events.map(event => ({
        at: event.at.toISOString(),
        event: event.event,
        user_id: event.userId,
        client_id: event.clientId,
        grant_id: event.grantId,
        ip: event.ip,
        detail: event.detail,
      })),
    )}) as row (at timestamptz, event text, user_id uuid, client_id text, grant_id uuid, ip text, detail jsonb)`
}

export interface AuditEventRow {
  at: Date
  event: string
  user_id: string | null
  client_id: string | null
  grant_id: string | null
  ip: string | null
  detail: Record<string, unknown>
}

/** The newest events first. */
export function listAuditEvents(sql: Queries, limit: number): Promise<AuditEventRow[]> {
  return sql<AuditEventRow[]>`
    select at, event, user_id, client_id, grant_id, ip, detail
    from audit_events
    order by id desc
    limit ${limit}`
}
