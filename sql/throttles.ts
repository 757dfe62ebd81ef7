import type { Queries } from './index.ts'

/** @returns when the last of the full counters among `keys` starts anew, if any is full. */
export async function findFullThrottle(
  sql: Queries,
  check: { keys: string[]; limit: number; now: Date },
): Promise<Date | undefined> {
  const [row] = await sql<{ resets_at: Date | null }[]>`
    select max(resets_at) as resets_at
    from throttles
    where key = any (${check.keys}::text[])
      and failures >= ${check.limit}
      and resets_at > ${check.now}`
  return row?.resets_at ?? undefined
}

/** Counts one failure for every key; a counter whose time is over starts at one. */
export async function countFailure(sql: Queries, count: { keys: string[]; now: Date; resetsAt: Date }): Promise<void> {
  await sql`
    insert into throttles (key, failures, resets_at)
    select key, 1, ${count.resetsAt}
    from unnest(${count.keys}::text[]) as key
    order by key
    on conflict (key) do update
    set
      failures = case when throttles.resets_at > ${count.now} then throttles.failures + 1 else 1 end,
      resets_at = case when throttles.resets_at > ${count.now} then throttles.resets_at else excluded.resets_at end`
}

/** Deletes at most `limit` counters whose time is over. @returns how many. */
export async function sweepThrottles(sql: Queries, now: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from throttles
    where key in (select key from throttles where resets_at <= ${now} limit ${limit} for update skip locked)
    returning key`
  return rows.length
}
