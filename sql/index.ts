/**
 * What the database remembers: one file a table, one statement a function, `(sql, params) => rows`. Nothing here decides,
 * opens a transaction or reads a clock: times are parameters. The schema is in `migrations/`.
 */
import type postgres from 'postgres'

/** What runs a statement: the pool, or one transaction. */
export type Queries = postgres.ISql<Record<string, unknown>>

/** Resolves if the database answers. */
export async function ping(sql: Queries): Promise<void> {
  await sql`select 1`
}
