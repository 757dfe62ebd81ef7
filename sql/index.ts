/**
 * All SQL: one file per table, one statement per function, `(sql, params) => rows`. No transactions are opened here, and
 * times are parameters. The schema is in `migrations/`.
 */
import type postgres from 'postgres'

/** Runs statements: the pool, or one transaction. */
export type Queries = postgres.ISql<Record<string, unknown>>

/** What a user has granted: everything, or only to one client, or only with one scope. */
export interface UserRights {
  userId: string
  clientId?: string
  scope?: string
}

/** Resolves if the database answers. */
export async function ping(sql: Queries): Promise<void> {
  await sql`select 1`
}

/** The database's current time in milliseconds since 1970, not the start of the transaction. */
export async function databaseTime(sql: Queries): Promise<number> {
  const [row] = await sql<{ ms: number }[]>`select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms`
  return row!.ms
}

/** The version of the database, such as `17.5`. */
export async function databaseVersion(sql: Queries): Promise<string> {
  const [row] = await sql<{ version: string }[]>`select current_setting('server_version') as version`
  return row!.version
}
