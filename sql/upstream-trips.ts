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

/** Consumes a trip of this session. @returns its stored request; undefined if there is no such trip. */
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

/** Deletes at most `limit` expired trips. @returns how many. */
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
