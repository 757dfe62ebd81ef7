import type { Queries } from './index.ts'

/**
 * Counts one attempt for every key before it is known whether it fails, so that attempts at the same moment see each other.
 * A counter whose time is over starts at one.
 *
 * @returns when the last of the counters that are over `limit` with this attempt starts anew, if any is.
 */
export async function countAttempt(
  sql: Queries,
  count: { keys: string[]; limit: number; now: Date; resetsAt: Date },
): Promise<Date | undefined> {
  const [row] = await sql<{ resets_at: Date | null }[]>`
    with counted as (
      insert into throttles (key, failures, resets_at)
      select key, 1, ${count.resetsAt}
      from unnest(${count.keys}::text[]) as key
      order by key
      on conflict (key) do update
      set
        failures = case when throttles.resets_at > ${count.now} then throttles.failures + 1 else 1 end,
        resets_at = case when throttles.resets_at > ${count.now} then throttles.resets_at else excluded.resets_at end
      returning failures, resets_at
    )
    select max(resets_at) as resets_at
    from counted
    where failures > ${count.limit}`
  return row?.resets_at ?? undefined
}

/** Takes an attempt back that did not fail. */
export async function uncountAttempt(sql: Queries, keys: string[]): Promise<void> {
  await sql`
    update throttles
    set failures = failures - 1
    where key in (select key from throttles where key = any (${keys}::text[]) order by key for update)
      and failures > 0`
}

/** Deletes at most `limit` counters whose time is over. @returns how many. */
export async function sweepThrottles(sql: Queries, now: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from throttles
    where key in (select key from throttles where resets_at <= ${now} limit ${limit} for update skip locked)
    returning key`
  return rows.length
}
