import type { Queries } from './index.ts'

/**
 * Finds the table that needs a vacuum most: more than `rows` rows plus a tenth of the table were deleted, replaced or
 * inserted since the last vacuum. Tables not vacuumed since the start are included, as these counters begin there.
 */
export async function findTableToVacuum(sql: Queries, rows: number): Promise<string | undefined> {
  const [row] = await sql<{ name: string }[]>`
    select stat.relname as name
    from pg_stat_user_tables as stat
    join pg_class as class on class.oid = stat.relid
    where stat.vacuum_count = 0
      or stat.n_dead_tup + stat.n_ins_since_vacuum > ${rows}::int + 0.1 * greatest(class.reltuples, 0)
    order by stat.n_dead_tup + stat.n_ins_since_vacuum desc
    limit 1`
  return row?.name
}

/** Frees the space of deleted rows, and updates what the planner knows of the table. */
export async function vacuum(sql: Queries, table: string): Promise<void> {
  await sql`vacuum (analyze) ${sql(table)}`
}

/** @returns the bytes of write-ahead log that a start after a crash would replay. */
export async function bytesSinceCheckpoint(sql: Queries): Promise<number> {
  const [row] = await sql<{ bytes: number }[]>`
    select (pg_current_wal_insert_lsn() - redo_lsn)::float8 as bytes
    from pg_control_checkpoint()`
  return row!.bytes
}

/** Writes all changed pages, so that older write-ahead log can be removed. */
export async function checkpoint(sql: Queries): Promise<void> {
  await sql`checkpoint`
}
