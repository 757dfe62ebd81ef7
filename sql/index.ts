/**
 * What the database remembers: one file a table, one statement a function, `(sql, params) => rows`. Nothing here decides,
 * opens a transaction or reads a clock: times are parameters. The schema is in `migrations/`.
 */
import type postgres from 'postgres'

/** What runs a statement: the pool, or one transaction. */
export type Queries = postgres.ISql<Record<string, unknown>>

/** What a user has allowed clients: all of it, or what one client has, or what has one scope. */
export interface UserRights {
  userId: string
  clientId?: string
  scope?: string
}

/** Resolves if the database answers. */
export async function ping(sql: Queries): Promise<void> {
  await sql`select 1`
}

/** The database's time of day, in milliseconds since 1970: the moment of the answer, not of the transaction's begin. */
export async function databaseTime(sql: Queries): Promise<number> {
  const [row] = await sql<{ ms: number }[]>`select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms`
  return row!.ms
}
