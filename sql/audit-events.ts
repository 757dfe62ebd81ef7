import type { EventCount } from './event-counts.ts'
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

/**
 * Appends events and adds to the counts of their hours, in one statement. Arrays, one for each column, cost the database a
 * third less than objects.
 */
export async function insertAuditEvents(
  sql: Queries,
  events: readonly NewAuditEvent[],
  counts: readonly EventCount[],
): Promise<void> {
  await sql`
    with counted as (
      -- In this order, so that two replicas do not wait for each other.
      insert into event_counts (hour, event, failed, count)
      select hour, event, failed, count
      from jsonb_to_recordset(${sql.json(counts.map(row => ({ ...row, hour: row.hour.toISOString() })))})
        as row (hour timestamptz, event text, failed boolean, count bigint)
      order by hour, event, failed
      on conflict (hour, event, failed) do update
      set count = event_counts.count + excluded.count
    )
    insert into audit_events (at, event, user_id, client_id, grant_id, ip, detail)
    select to_timestamp(ms / 1000), event, user_id, client_id, grant_id, ip, detail
    from rows from (
      unnest(${events.map(({ at }) => at.getTime())}::float8[]),
      unnest(${events.map(({ event }) => event)}::text[]),
      unnest(${events.map(({ userId }) => userId)}::uuid[]),
      unnest(${events.map(({ clientId }) => clientId)}::text[]),
      unnest(${events.map(({ grantId }) => grantId)}::uuid[]),
      unnest(${events.map(({ ip }) => ip)}::text[]),
      jsonb_array_elements(${sql.json(events.map(({ detail }) => detail))})
    ) as row (ms, event, user_id, client_id, grant_id, ip, detail)`
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
  /** Any of these; an empty list matches nothing. */
  userIds?: string[] | undefined
  clientId?: string | undefined
  ip?: string | undefined
  /** Inclusive. */
  since?: Date | undefined
}

/** At most `size` events from before `before`; of these, the newest `limit` that match. */
export interface AuditPage {
  before: AuditPosition
  size: number
  limit: number
}

/** Before and after all events. */
const BEGINNING = new Date(0)
export const AUDIT_END: AuditPosition = { at: new Date(Date.UTC(9999, 11, 31)), id: '0' }

export interface AuditBatch {
  /** The matching events, newest first. */
  found: (AuditEventRow & { id: string })[]
  /** The position after the last event of the batch; undefined if the log ended first. */
  end: AuditPosition | undefined
}

type BatchRow = AuditEventRow & { id: string | null; edge_at: Date | null; edge_id: string | null }

/** Searches the newest events, so that one statement reads a batch and no more. */
export async function searchAuditEvents(
  sql: Queries,
  filter: AuditFilter,
  { before, size, limit }: AuditPage,
): Promise<AuditBatch> {
  const newest = before.id === '0' ? new Date(before.at.getTime() - 1) : before.at
  const rows = await sql<BatchRow[]>`
    with edge as materialized (
      -- Of times alone, which the index has. Whole milliseconds are read, as JavaScript has no shorter times.
      select date_trunc('milliseconds', at) as at
      from audit_events
      where at <= ${newest}
      order by audit_events.at desc
      limit 1
      offset ${size - 1}
    ),
    found as (
      select *
      from audit_events
      where (at, id) < (${before.at}, ${before.id}::bigint)
        and at >= coalesce((select at from edge), '-infinity')
        and at >= ${filter.since ?? BEGINNING}
        and (${filter.event ?? null}::text is null or event = ${filter.event ?? null})
        and (${filter.userIds ?? null}::uuid[] is null or user_id = any (${filter.userIds ?? null}::uuid[]))
        and (${filter.clientId ?? null}::text is null or client_id = ${filter.clientId ?? null})
        and (${filter.ip ?? null}::text is null or ip = ${filter.ip ?? null})
      order by at desc, id desc
      limit ${limit}
    )
    select (select at from edge) as edge_at, '0' as edge_id, found.*, users.email
    from (select true) as one
    left join found on true
    left join users on users.id = found.user_id
    order by found.at desc, found.id desc`
  return batchOf(rows)
}

/** So many of these happen that an index of them would cost more than it saves. As in the index of the others. */
export const FREQUENT_EVENTS: readonly string[] = ['tool.called', 'upstream.called', 'token.issued', 'refresh.rotated']

/**
 * The same among the events of one client, else of one user, else of one event that is not frequent. Each index is read in
 * its own order, which no plan can replace by that of the time, whatever the statistics.
 */
export async function searchIndexedEvents(
  sql: Queries,
  key: { clientId: string } | { userId: string } | { event: string },
  filter: AuditFilter,
  { before, size, limit }: AuditPage,
): Promise<AuditBatch> {
  const { clientId, userId, event } = { clientId: null, userId: null, event: null, ...key }
  const rows = await sql<BatchRow[]>`
    with batch as materialized (
      (
        select id, at, event, user_id, client_id, ip
        from audit_events
        where client_id >= ${clientId}
          and (client_id, at, id) < (${clientId}, ${before.at}, ${before.id}::bigint)
        order by client_id desc, at desc, id desc
        limit ${size}
      )
      union all
      (
        select id, at, event, user_id, client_id, ip
        from audit_events
        where user_id >= ${userId}::uuid
          and (user_id, at, id) < (${userId}::uuid, ${before.at}, ${before.id}::bigint)
        order by user_id desc, at desc, id desc
        limit ${size}
      )
      union all
      (
        select id, at, event, user_id, client_id, ip
        from audit_events
        where event <> all (array['tool.called', 'upstream.called', 'token.issued', 'refresh.rotated'])
          and event >= ${event}
          and (event, at, id) < (${event}, ${before.at}, ${before.id}::bigint)
        order by event desc, at desc, id desc
        limit ${size}
      )
    ),
    edge as (
      select at, id
      from batch
      order by at, id
      limit 1
      offset ${size - 1}
    ),
    found as (
      select id
      from batch
      where at >= ${filter.since ?? BEGINNING}
        and (${filter.event ?? null}::text is null or event = ${filter.event ?? null})
        and (${filter.userIds ?? null}::uuid[] is null or user_id = any (${filter.userIds ?? null}::uuid[]))
        and (${filter.clientId ?? null}::text is null or client_id = ${filter.clientId ?? null})
        and (${filter.ip ?? null}::text is null or ip = ${filter.ip ?? null})
      order by at desc, id desc
      limit ${limit}
    )
    select edge.at as edge_at, edge.id as edge_id, events.*, users.email
    from (select true) as one
    left join edge on true
    left join (select * from audit_events where id = any (array(select id from found))) as events on true
    left join users on users.id = events.user_id
    order by events.at desc, events.id desc`
  return batchOf(rows)
}

function batchOf(rows: readonly BatchRow[]): AuditBatch {
  const { edge_at: at, edge_id: id } = rows[0]!
  return {
    found: rows.flatMap(({ edge_at: _, edge_id: __, ...row }) => (row.id === null ? [] : [{ ...row, id: row.id }])),
    end: at && id ? { at, id } : undefined,
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

/**
 * At most `limit` events whose ids are higher than one, or among those given, in the order of their ids.
 *
 * @param lowest No id among them is lower: where the index is read from.
 */
export function listAuditEventsAfter(
  sql: Queries,
  { id, among, lowest }: { id: number; among: number[]; lowest: number },
  limit: number,
): Promise<(AuditEventRow & { id: string })[]> {
  return sql<(AuditEventRow & { id: string })[]>`
    select event.id, event.at, event.event, event.user_id, users.email, event.client_id, event.grant_id, event.ip, event.detail
    from audit_events as event
    left join users on users.id = event.user_id
    where event.id >= ${lowest}::bigint
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
