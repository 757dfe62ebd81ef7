import type { Queries } from '../../sql/index.ts'
import { type Migration, migrations } from '../../sql/migrations/index.ts'
import { UsageError } from '../lib/errors.ts'
import type { Database } from './index.ts'

/** An arbitrary key for the advisory lock, unlikely to be used by other programs in the same database. */
const MIGRATION_LOCK = 7_305_081
/** For one migration, including waiting for another replica. */
const DEADLINE_MS = 10 * 60_000

/**
 * Brings the schema up to this binary's version. Each migration runs in one transaction, under an advisory lock, with its
 * row inserted first, so that replicas may start at the same time.
 *
 * @param list The migrations of this binary, in order.
 * @returns the names of the migrations that this call applied.
 * @throws UsageError if the database was migrated by a newer binary, or a pooler in front of it cannot be used.
 */
export async function migrate(db: Database, list: readonly Migration[] = migrations): Promise<string[]> {
  await db.checkPooler?.()
  const applied: string[] = []
  for (;;) {
    const name = await db.begin(sql => applyNext(sql, list), DEADLINE_MS)
    if (name === undefined) return applied
    applied.push(name)
  }
}

async function applyNext(sql: Queries, list: readonly Migration[]): Promise<string | undefined> {
  await sql`set local statement_timeout = 0`
  await sql`set local lock_timeout = 0`
  await lockMigrations(sql)
  await createMigrationsTable(sql)
  const current = (await appliedMigrations(sql)).length
  if (current > list.length) {
    throw new UsageError(
      `The database is at version ${current}, but this binary knows only ${list.length}: a newer mcp-oauth-server has migrated it. Use that version.`,
    )
  }
  return list[current] && applyMigration(sql, list, current + 1)
}

/** Makes others wait that want to migrate, until the transaction ends. */
export async function lockMigrations(sql: Queries): Promise<void> {
  await sql`select pg_advisory_xact_lock(${MIGRATION_LOCK})`
}

export async function createMigrationsTable(sql: Queries): Promise<void> {
  await sql`
    create table if not exists schema_migrations (
      id integer primary key,
      name text not null,
      applied_at timestamptz not null default now()
    )`
}

/** The names of the migrations that a database has, in order; none if it is empty. */
export async function appliedMigrations(sql: Queries): Promise<string[]> {
  const [found] = await sql<{ there: boolean }[]>`select to_regclass('schema_migrations') is not null as there`
  if (!found!.there) return []
  return (await sql<{ name: string }[]>`select name from schema_migrations order by id`).map(({ name }) => name)
}

/** Applies the migration that leads to version `id`. @returns its name. */
export async function applyMigration(sql: Queries, list: readonly Migration[], id: number): Promise<string> {
  const { name, text } = list[id - 1]!
  await sql`insert into schema_migrations (id, name) values (${id}, ${name})`
  await sql.unsafe(text)
  return name
}
