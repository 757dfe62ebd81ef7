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

/**
 * The process of the server that runs this statement, and the one that was announced when the connection was opened: with a
 * pooler in between it is another one.
 *
 * @returns also the name under which the statement was prepared, which no other connection uses; empty if it was not.
 */
export async function findBackend(sql: Queries): Promise<{ pid: number; announcedPid: number; statement: string }> {
  const rows = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`
  return { pid: rows[0]!.pid, announcedPid: rows.state.pid, statement: rows.statement.name }
}

/** Whether a statement of this name is prepared in the session that runs this one. */
export async function hasPrepared(sql: Queries, name: string): Promise<boolean> {
  const rows = await sql`
    select
    from pg_prepared_statements
    where pg_prepared_statements.name = ${name}`
  return rows.length > 0
}

/** The version of the database, such as `17.5`. */
export async function databaseVersion(sql: Queries): Promise<string> {
  const [row] = await sql<{ version: string }[]>`select current_setting('server_version') as version`
  return row!.version
}
