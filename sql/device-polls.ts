import type { Poll } from './device-codes.ts'
import type { Queries } from './index.ts'

export interface UndecidedPoll {
  /** The hash of the code, in hexadecimal. */
  key: string
  outcome: 'pending' | 'slow_down'
  interval_seconds: number
}

/**
 * Polls (RFC 8628 3.4, 3.5) with different codes that nobody has decided yet. Compares the time with the last poll, and stores
 * it; a poll more than half a second early gets `slow_down` and lengthens the interval. Polls are the most frequent of all
 * writes, so they are in a table that is not logged: a crash of the database forgets them, which does no harm.
 *
 * @returns no row for a code that is decided, expired, unknown or of another client: see `redeemDeviceCode`.
 */
export function pollUndecidedCodes(sql: Queries, polls: readonly Poll[]): Promise<UndecidedPoll[]> {
  const hashes = polls.map(({ deviceCodeHash }) => deviceCodeHash.toString('hex'))
  const clientIds = polls.map(({ clientId }) => clientId)
  const { now } = polls[0]!
  return sql<UndecidedPoll[]>`
    insert into device_polls as last (device_code_hash, polled_at, interval_seconds, outcome, expires_at)
    select code.device_code_hash, ${now}, code.interval_seconds, 'pending', code.expires_at
    from unnest(${hashes}::text[], ${clientIds}::text[]) as poll (hash, client_id)
    cross join lateral (
      select device_code_hash, client_id, interval_seconds, decision, expires_at
      from device_codes
      where device_code_hash = decode(poll.hash, 'hex')
      limit 1 -- or the planner may search the codes of the client, which may be many
    ) as code
    where code.client_id = poll.client_id
      and code.decision is null
      and code.expires_at > ${now}
    order by poll.hash -- so that two statements do not wait for each other
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
    returning encode(device_code_hash, 'hex') as key, outcome, interval_seconds`
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
