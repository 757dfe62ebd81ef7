import type { Queries } from './index.ts'

export async function insertUpstreamTrip(
  sql: Queries,
  trip: {
    stateHash: Uint8Array
    sessionHash: Uint8Array
    userId: string
    upstream: string
    request: Uint8Array
    expiresAt: Date
  },
): Promise<void> {
  await sql`
    insert into upstream_trips (state_hash, session_hash, user_id, upstream, request, expires_at)
    values (${trip.stateHash}, ${trip.sessionHash}, ${trip.userId}, ${trip.upstream}, ${trip.request}, ${trip.expiresAt})`
}

/** Ends a trip, once, if it is this session's. @returns what was kept of it; nothing if there is no such trip any more. */
export async function takeUpstreamTrip(
  sql: Queries,
  trip: { stateHash: Uint8Array; sessionHash: Uint8Array; upstream: string; now: Date },
): Promise<{ request: Uint8Array } | undefined> {
  const [row] = await sql<{ request: Uint8Array }[]>`
    delete from upstream_trips
    where state_hash = ${trip.stateHash}
      and session_hash = ${trip.sessionHash}
      and upstream = ${trip.upstream}
      and expires_at > ${trip.now}
    returning request`
  return row
}

/** Deletes at most `limit` trips that nobody came back from. @returns how many. */
export async function sweepUpstreamTrips(sql: Queries, now: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from upstream_trips
    where state_hash = any (array(
      select state_hash
      from upstream_trips
      where expires_at <= ${now}
      order by expires_at
      limit ${limit}
      for update skip locked
    ))
    returning state_hash`
  return rows.length
}
