import type { Queries } from './index.ts'

export interface Throttle {
  key: string
  failures: number
  resets_at: Date
}

/**
 * Locks the counters of `keys` for the rest of the transaction, so that concurrent attempts see each other's failures.
 * Expired counters restart at 0.
 */
export function lockThrottles(sql: Queries, lock: { keys: string[]; now: Date; resetsAt: Date }): Promise<Throttle[]> {
  return sql<Throttle[]>`
    insert into throttles (key, failures, resets_at)
    select key, 0, ${lock.resetsAt}
    from unnest(${lock.keys}::text[]) as key
    order by key
    on conflict (key) do update
    set
      failures = case when throttles.resets_at > ${lock.now} then throttles.failures else 0 end,
      resets_at = case when throttles.resets_at > ${lock.now} then throttles.resets_at else excluded.resets_at end
    returning key, failures, resets_at`
}

/** Reads the counters of `keys` that have not expired. */
export function findThrottles(sql: Queries, keys: string[], now: Date): Promise<Throttle[]> {
  return sql<Throttle[]>`
    select key, failures, resets_at
    from throttles
    where key = any (${keys}::text[])
      and resets_at > ${now}`
}

/** Counts one failure for every locked key. */
export async function countFailure(sql: Queries, keys: string[]): Promise<void> {
  await sql`
    update throttles
    set failures = failures + 1
    where key = any (${keys}::text[])`
}

/** Deletes the locked counters that are 0. */
export async function deleteEmptyThrottles(sql: Queries, keys: string[]): Promise<void> {
  await sql`
    delete from throttles
    where key = any (${keys}::text[])
      and failures = 0`
}

/** Deletes at most `limit` expired counters. @returns how many. */
export async function sweepThrottles(sql: Queries, now: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from throttles
    where key = any (array(
      select key
      from throttles
      where resets_at <= ${now}
      order by resets_at
      limit ${limit}
      for update skip locked
    ))
    returning key`
  return rows.length
}
