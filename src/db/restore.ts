/** Loads a backup into a database of either kind, in one transaction. */
import type { Queries } from '../../sql/index.ts'
import { migrations } from '../../sql/migrations/index.ts'
import { UsageError } from '../lib/errors.ts'
import { LONG_MS, tablesOf, whileHolding } from './backup.ts'
import { type BackupHeader, damaged, objectOf, readBackup } from './backup-file.ts'
import { type ConnectOptions, connect, type Database, PROGRAM } from './index.ts'
import { appliedMigrations, applyMigration, createMigrationsTable, lockMigrations } from './migrate.ts'

/** Something that had ended in the database before, and is valid again in the backup. */
export interface Revived {
  kind: string
  label: string
  /** How many there are, of all kinds. */
  count: number
}

export interface RestoreOptions extends Omit<ConnectOptions, 'serving'> {
  path: string
  header: BackupHeader
  /** Whether rows may be deleted. */
  replace: boolean
  onProgress(more: number, all: number): void
  /** Called before anything is committed, with the first 20 of what is revived. @returns whether to go on. */
  confirm(revived: readonly Revived[]): Promise<boolean>
}

/** Reads a whole backup, and checks that it is complete and that this binary knows its schema. @throws UsageError */
export async function checkBackup(
  path: string,
  onProgress: (more: number, all: number) => void,
): Promise<BackupHeader> {
  let found: BackupHeader | undefined
  await readBackup(
    path,
    header => {
      found = header
      const unknown = header.migrations.find((name, index) => name !== migrations[index]?.name)
      if (unknown !== undefined)
        throw new UsageError(
          `${path} has the schema ${header.migrations.at(-1)}, and this version knows only ${migrations.at(-1)!.name}: restore it with mcp-oauth-server ${header.program} or newer`,
        )
    },
    (_, rows, line) => {
      const wrong = rows.findIndex(row => !objectOf(row))
      if (wrong !== -1) throw damaged(path, `line ${line + wrong} is not a JSON object`)
      onProgress(rows.length, found!.rows)
    },
  )
  return found!
}

/** @returns whether it was restored; false if `confirm` declined. @throws UsageError if the database is in use or has rows. */
export async function restore({ confirm, ...options }: RestoreOptions): Promise<boolean> {
  const { path, header, replace, onProgress, ...target } = options
  // As a server does, so that the embedded database is refused while one runs.
  const db = await connect({ ...target, serving: true, name: `${PROGRAM} restore` })
  const declined = new Error('declined')
  try {
    await db.begin(async sql => {
      await sql`set local statement_timeout = 0`
      await sql`set local lock_timeout = 0`
      await sql`set local idle_in_transaction_session_timeout = 0`
      await lockMigrations(sql) // a server that starts meanwhile waits
      await refuseWhileServed(sql, db)
      const had = await prepare(sql, replace)
      await createMigrationsTable(sql)
      const known = header.migrations.length
      for (let id = 1; id <= known; id++) await applyMigration(sql, migrations, id)
      await load(sql, path, tablesOf(migrations.slice(0, known)), onProgress)
      for (let id = known + 1; id <= migrations.length; id++) await applyMigration(sql, migrations, id)
      if (!(await whileHolding(sql, confirm(had ? await findRevived(sql) : [])))) throw declined
    }, LONG_MS)
    return true
  } catch (error) {
    if (error === declined) return false
    throw error
  } finally {
    await db.close()
  }
}

/** Servers would go on with the keys and connections that they remember. The embedded database has its lock. */
async function refuseWhileServed(sql: Queries, { embedded }: Database): Promise<void> {
  if (embedded) return
  const [row] = await sql<{ others: number }[]>`
    select count(*)::int as others
    from pg_stat_activity
    where datname = current_database()
      and application_name = ${PROGRAM}`
  if (row!.others > 0)
    throw new UsageError(`Servers are connected to this database (${row!.others} connections); stop them first`)
}

/**
 * Empties the database.
 *
 * @returns whether it had rows; then `before_restore` has what was valid.
 * @throws UsageError if it has rows and may not be replaced.
 */
async function prepare(sql: Queries, replace: boolean): Promise<boolean> {
  const current = (await appliedMigrations(sql)).length
  if (current > migrations.length)
    throw new UsageError('A newer mcp-oauth-server has migrated this database; restore with that version')
  if (current === 0) return false
  let hadRows = false
  for (const table of tablesOf(migrations.slice(0, current))) {
    const [found] = await sql<{ has: boolean }[]>`select exists (select from ${sql(table)}) as has`
    hadRows ||= found!.has
  }
  if (hadRows && !replace)
    throw new UsageError('The database has rows. Restore into an empty one, or delete what is there with --replace')
  for (let id = current + 1; id <= migrations.length; id++) await applyMigration(sql, migrations, id)
  await sql.unsafe(`create temporary table before_restore on commit drop as ${VALID}`)
  await sql.unsafe(`drop table ${[...tablesOf(migrations), 'schema_migrations'].map(name => `"${name}"`).join(', ')}`)
  return hadRows
}

/** A value that its column cannot have (SQLSTATE 22), or rows that contradict each other (23). */
const isWrongData = (error: unknown) => /^2[23]/.test(String((error as { code?: unknown } | null)?.code))

/** @param tables Those that a backup may fill: whoever made it must reach no other one of the database. */
async function load(
  sql: Queries,
  path: string,
  tables: readonly string[],
  onProgress: (more: number, all: number) => void,
): Promise<void> {
  let all = 0
  await readBackup(
    path,
    header => {
      all = header.rows
    },
    async (table, rows, line) => {
      if (!tables.includes(table)) throw damaged(path, `it has rows of a table ${table}`)
      const inserted = sql.unsafe(
        `insert into "${table}" overriding system value
        select * from json_populate_recordset(null::"${table}", $1::text::json)`,
        [`[${rows.join(',')}]`],
      )
      await inserted.catch(error => {
        if (!isWrongData(error)) throw error
        const last = line + rows.length - 1
        throw damaged(
          path,
          `${line === last ? `line ${line} is not a row` : `lines ${line} to ${last} are not rows`} of ${table}`,
        )
      })
      onProgress(rows.length, all)
    },
  )
  const counters = await sql<{ table: string; column: string }[]>`
    select table_name as table, column_name as column
    from information_schema.columns
    where table_schema = current_schema()
      and is_identity = 'YES'
      and table_name = any (${tablesOf(migrations)}::text[])`
  for (const { table, column } of counters)
    await sql`
      select setval(pg_get_serial_sequence(${table}, ${column}), coalesce(max(${sql(column)}), 0) + 1, false)
      from ${sql(table)}`
}

/** What gives somebody access, by kind and id. */
const VALID = `
  select 'connection' as kind, granted.id::text as id, client.name || ' of ' || users.email as label
  from grants as granted
  join clients as client on client.id = granted.client_id
  join users on users.id = granted.user_id
  where granted.revoked_at is null
    and granted.expires_at > current_timestamp
  union all
  select 'personal access token', token.id::text, token.name || ' of ' || users.email
  from personal_tokens as token
  join users on users.id = token.user_id
  where token.expires_at > current_timestamp
  union all
  select 'user', id::text, email from users where disabled_at is null
  union all
  select 'administrator', id::text, email from users where is_admin
  union all
  select 'client', id, name from clients where source in ('operator', 'token')
  union all
  select 'browser session', encode(session.id_hash, 'hex'), users.email
  from sessions as session
  join users on users.id = session.user_id
  where session.expires_at > current_timestamp`

async function findRevived(sql: Queries): Promise<Revived[]> {
  const rows = await sql.unsafe(`
    select kind, label, count(*) over ()::int as count
    from (${VALID}) as valid
    where not exists (select from before_restore where before_restore.kind = valid.kind and before_restore.id = valid.id)
    order by kind, label
    limit 20`)
  return rows as unknown as Revived[]
}
