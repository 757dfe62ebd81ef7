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

/** Appends events and adds to the counts of their hours, in one statement. */
export async function insertAuditEvents(sql: Queries, events: NewAuditEvent[]): Promise<void> {
  await sql`
    with events as materialized (
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
      )}) as row (at timestamptz, event text, user_id uuid, client_id text, grant_id uuid, ip text, detail jsonb)
    ),
    counted as (
      -- In this order, so that two replicas do not wait for each other.
      insert into event_counts (hour, event, failed, count)
      select
        date_trunc('hour', at, 'UTC'),
        event,
        coalesce(detail->>'failed' = 'true' or detail->>'outcome' <> 'ok', false),
        sum(1 + coalesce((detail->>'repeats')::int, 0))
      from events
      group by 1, 2, 3
      order by 1, 2, 3
      on conflict (hour, event, failed) do update
      set count = event_counts.count + excluded.count
    )
    insert into audit_events (at, event, user_id, client_id, grant_id, ip, detail)
    select at, event, user_id, client_id, grant_id, ip, detail
    from events`
}

export interface AuditEventRow {
  at: Date
  event: string
  user_id: string | null
  /** The user's current address, if the user still exists. */
  email: string | null
  client_id: string | null
  grant_id: string | null
  ip: string | null
  detail: Record<string, unknown>
}

/** The newest events about a user. */
export function listEventsOfUser(
  sql: Queries,
  userId: string,
  limit: number,
): Promise<Omit<AuditEventRow, 'user_id' | 'email'>[]> {
  return sql<Omit<AuditEventRow, 'user_id' | 'email'>[]>`
    select at, event, client_id, grant_id, ip, detail
    from audit_events
    where user_id = ${userId}
    order by at desc
    limit ${limit}`
}

/** A position in the audit log. */
export interface AuditPosition {
  at: Date
  id: string
}

export interface AuditFilter {
  event?: string | undefined
  email?: string | undefined
  clientId?: string | undefined
  ip?: string | undefined
  /** Inclusive. */
  since?: Date | undefined
  /** Exclusive. */
  until?: Date | undefined
}

/** Before and after all events. */
const BEGINNING = new Date(0)
const END = new Date(Date.UTC(9999, 11, 31))

export interface AuditBatch {
  /** The matching events, newest first. */
  found: (AuditEventRow & { id: string })[]
  /** How many events were read; fewer than `size` at the end of the log. */
  looked: number
  /** The position after the last event read. */
  end: AuditPosition | undefined
}

/**
 * Searches the `size` events before a position, so that one statement never reads more than that. There is only one upper
 * bound: with several, PostgreSQL without statistics (the embedded one) expects few rows and sorts them all.
 *
 * @param limit Maximum number of matches.
 */
export async function searchAuditEvents(
  sql: Queries,
  filter: AuditFilter,
  { before, size, limit }: { before: AuditPosition | undefined; size: number; limit: number },
): Promise<AuditBatch> {
  const until = { at: filter.until ?? END, id: '0' }
  const end = before && before.at < until.at ? before : until
  const rows = await sql<(AuditEventRow & { id: string | null; looked: number; end_at: Date; end_id: string })[]>`
    with batch as materialized (
      select *
      from audit_events
      where at >= ${filter.since ?? BEGINNING}
        and (at, id) < (${end.at}, ${end.id}::bigint)
      order by at desc, id desc
      limit ${size}
    ),
    found as (
      select batch.*, users.email
      from batch
      left join users on users.id = batch.user_id
      where (${filter.event}::text is null or batch.event = ${filter.event})
        and (
          ${filter.email}::text is null
          or batch.user_id = any (array(select id from users where lower(email) = lower(${filter.email})))
        )
        and (${filter.clientId}::text is null or batch.client_id = ${filter.clientId})
        and (${filter.ip}::text is null or batch.ip = ${filter.ip})
      order by batch.at desc, batch.id desc
      limit ${limit}
    ),
    bounds as (
      select
        count(*)::int as looked,
        (select at from batch order by at, id limit 1) as end_at,
        (select id from batch order by at, id limit 1) as end_id
      from batch
    )
    select bounds.*, found.*
    from bounds
    left join found on true
    order by found.at desc, found.id desc`
  const [first] = rows
  return {
    found: rows.flatMap(({ looked: _, end_at: __, end_id: ___, ...row }) =>
      row.id === null ? [] : [{ ...row, id: row.id }],
    ),
    looked: first!.looked,
    end: first!.looked > 0 ? { at: first!.end_at, id: first!.end_id } : undefined,
  }
}

/** The id of the newest event; 0 if there is none. */
export async function newestAuditEvent(sql: Queries): Promise<string> {
  const [row] = await sql<{ id: string }[]>`
    select id
    from audit_events
    order by id desc
    limit 1`
  return row?.id ?? '0'
}

/** When the oldest event was; undefined if there is none. */
export async function oldestAuditEvent(sql: Queries): Promise<Date | undefined> {
  const [row] = await sql<{ at: Date }[]>`
    select at
    from audit_events
    order by at
    limit 1`
  return row?.at
}

/** At most `limit` events whose ids are higher than one, or among those given, in the order of their ids. */
export function listAuditEventsAfter(
  sql: Queries,
  id: number,
  among: number[],
  limit: number,
): Promise<(AuditEventRow & { id: string })[]> {
  return sql<(AuditEventRow & { id: string })[]>`
    select event.id, event.at, event.event, event.user_id, users.email, event.client_id, event.grant_id, event.ip, event.detail
    from audit_events as event
    left join users on users.id = event.user_id
    where event.id >= ${Math.min(id + 1, ...among)}::bigint
      and (event.id > ${id}::bigint or event.id = any (${among.map(String)}::text[]::bigint[]))
    order by event.id
    limit ${limit}`
}

/** Deletes at most `limit` events from before `before`, oldest first. @returns how many. */
export async function sweepAuditEvents(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from audit_events
    where id = any (array(
      select id
      from audit_events
      where at < ${before}
      order by at
      limit ${limit}
      for update skip locked
    ))
    returning id`
  return rows.length
}
