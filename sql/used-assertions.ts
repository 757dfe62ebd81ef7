import type { Queries } from './index.ts'

/** @returns whether this call was the first to use the assertion. */
export async function useAssertion(sql: Queries, assertion: { idHash: Uint8Array; expiresAt: Date }): Promise<boolean> {
  const rows = await sql`
    insert into used_assertions (id_hash, expires_at)
    values (${assertion.idHash}, ${assertion.expiresAt})
    on conflict (id_hash) do nothing
    returning id_hash`
  return rows.length === 1
}

/** Deletes at most `limit` expired assertions. @returns how many. */
export async function sweepUsedAssertions(sql: Queries, now: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from used_assertions
    where id_hash = any (array(
      select id_hash
      from used_assertions
      where expires_at <= ${now}
      order by expires_at
      limit ${limit}
      for update skip locked
    ))
    returning id_hash`
  return rows.length
}
