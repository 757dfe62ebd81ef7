import type { Queries } from './index.ts'

export interface EventCount {
  hour: Date
  event: string
  failed: boolean
  count: number
}

/** What happened in each hour from `since` on; a row for each kind of event. */
export function listEventCounts(sql: Queries, since: Date): Promise<EventCount[]> {
  return sql<EventCount[]>`
    select hour, event, failed, count::float8 as count
    from event_counts
    where hour >= ${since}
    order by hour`
}

/** Deletes at most `limit` counts from before `before`. @returns how many. */
export async function sweepEventCounts(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from event_counts
    where ctid = any (array(
      select ctid
      from event_counts
      where hour < ${before}
      order by hour
      limit ${limit}
      for update skip locked
    ))
    returning event`
  return rows.length
}
