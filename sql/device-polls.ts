import type { Poll } from './device-codes.ts'
import type { Queries } from './index.ts'

export interface UndecidedPoll {
  outcome: 'pending' | 'slow_down'
  interval_seconds: number
}

/**
 * A poll (RFC 8628 3.4, 3.5) with a code that nobody has decided yet. Compares the time with the last poll, and stores it; a
 * poll more than half a second early gets `slow_down` and lengthens the interval. Polls are the most frequent of all writes, so
 * they are in a table that is not logged: a crash of the database forgets them, which does no harm.
 *
 * @returns undefined if the code is decided, expired, unknown or of another client: see `redeemDeviceCode`.
 */
export async function pollUndecidedCode(sql: Queries, poll: Poll): Promise<UndecidedPoll | undefined> {
  const { now } = poll
  const [row] = await sql<UndecidedPoll[]>`
    insert into device_polls as last (device_code_hash, polled_at, interval_seconds, outcome, expires_at)
    with code as materialized ( -- or the planner may search the codes of the client, which may be many
      select device_code_hash, client_id, interval_seconds, decision, expires_at
      from device_codes
      where device_code_hash = ${poll.deviceCodeHash}
    )
    select device_code_hash, ${now}, interval_seconds, 'pending', expires_at
    from code
    where client_id = ${poll.clientId}
      and decision is null
      and expires_at > ${now}
    on conflict (device_code_hash) do update
    set
      outcome = case
        when excluded.polled_at < last.polled_at + make_interval(secs => last.interval_seconds - 0.5) then 'slow_down'
        else 'pending'
      end,
      interval_seconds = last.interval_seconds + case
        when excluded.polled_at < last.polled_at + make_interval(secs => last.interval_seconds - 0.5) then 5
        else 0
      end,
      polled_at = excluded.polled_at
    returning outcome, interval_seconds`
  return row
}

/** Deletes at most `limit` polls of codes that expired before `before`. @returns how many. */
export async function sweepDevicePolls(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from device_polls
    where device_code_hash = any (array(
      select device_code_hash
      from device_polls
      where expires_at < ${before}
      order by expires_at
      limit ${limit}
      for update skip locked
    ))
    returning device_code_hash`
  return rows.length
}
