/**
 * Writes a consistent backup while the server runs. PostgreSQL: from one snapshot. The embedded database has a single
 * connection, which a long transaction would keep from the server: it is copied as files, in the moment of one
 * transaction, and read from the copy.
 */
import { closeSync, constants, openSync, rmSync } from 'node:fs'
import { cp, mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import packageJson from '../../package.json' with { type: 'json' }
import type { Queries } from '../../sql/index.ts'
import { type Migration, migrations } from '../../sql/migrations/index.ts'
import { UsageError } from '../lib/errors.ts'
import { type BackupWriter, createBackup } from './backup-file.ts'
import { type ConnectOptions, connect, type Database } from './index.ts'
import { tryLock } from './lock.ts'
import { appliedMigrations } from './migrate.ts'

/** For a snapshot or a restore as a whole. */
export const LONG_MS = 24 * 3_600_000
/** Rows of the first fetch of a table; then as many as make up about 1 MB. */
const FIRST_ROWS = 50
const MAX_ROWS = 5_000
const FETCH_BYTES = 1024 * 1024
/** The embedded database takes a connection that is silent in a transaction for dead after five seconds. */
const KEEP_ALIVE_MS = 1_000
/** In DATA_DIR, for as long as a backup is made: a name that nobody gives to a directory of backups, since it is removed. */
export const COPY = '.copying'

export interface BackupOptions extends Omit<ConnectOptions, 'serving'> {
  path: string
  secretCheck: string
  /** AUTH_SECRET, to be part of the backup. */
  secret: string | undefined
  /** Called now and then with how many more rows are written, and the number of all rows. */
  onProgress(more: number, all: number): void
}

/** @returns the number of rows. @throws UsageError if the database has no schema, or is newer than this binary. */
export async function backUp({ path, onProgress, secretCheck, secret, ...source }: BackupOptions): Promise<number> {
  await using opened = await openSource(source)
  return await opened.db.begin(async sql => {
    await sql`set transaction isolation level repeatable read, read only`
    await sql`set local statement_timeout = 0`
    await sql`set local idle_in_transaction_session_timeout = 0`
    const names = await appliedMigrations(sql)
    if (names.length === 0) throw new UsageError('The database is empty: no server has used it yet')
    if (names.length > migrations.length)
      throw new UsageError('A newer mcp-oauth-server has migrated this database; make the backup with that version')
    const tables = await countRows(sql, tablesOf(migrations.slice(0, names.length)))
    const all = tables.reduce((sum, { rows }) => sum + rows, 0)
    const file = createBackup(path, {
      program: packageJson.version,
      createdAt: await timeOf(sql),
      migrations: names,
      rows: all,
      secretCheck,
      ...(secret === undefined ? {} : { secret }),
    })
    // Also when the program is interrupted.
    process.once('exit', file.discard)
    try {
      for (const { name, rows } of tables) {
        file.line(JSON.stringify({ table: name, rows }))
        for await (const count of writeRows(sql, name, file)) onProgress(count, all)
      }
      file.finish(all)
      return all
    } finally {
      file.discard()
      process.off('exit', file.discard)
    }
  }, LONG_MS)
}

/** The tables that migrations create, in order, so that a table comes after those that it refers to. */
export function tablesOf(list: readonly Migration[]): string[] {
  return list.flatMap(({ text }) => [...text.matchAll(/^create (?:unlogged )?table (\w+)/gm)].map(match => match[1]!))
}

async function countRows(sql: Queries, names: string[]): Promise<{ name: string; rows: number }[]> {
  const tables: { name: string; rows: number }[] = []
  for (const name of names) {
    const [row] = await sql<{ rows: number }[]>`select count(*)::float8 as rows from ${sql(name)}`
    tables.push({ name, rows: row!.rows })
  }
  return tables
}

async function timeOf(sql: Queries): Promise<string> {
  const [row] = await sql<{ at: Date }[]>`select now() as at`
  return row!.at.toISOString()
}

/** Writes the rows of a table, and yields how many at a time. */
async function* writeRows(sql: Queries, table: string, file: BackupWriter): AsyncGenerator<number> {
  await sql`declare rows no scroll cursor for select row_to_json(each)::text as text from ${sql(table)} as each`
  for (let count = FIRST_ROWS; ; ) {
    const rows = (await sql.unsafe(`fetch ${count} from rows`)) as unknown as { text: string }[]
    let bytes = 0
    for (const { text } of rows) {
      file.line(text)
      bytes += text.length
    }
    if (rows.length > 0) yield rows.length
    if (rows.length < count) break
    count = Math.max(1, Math.min(MAX_ROWS, Math.round((FETCH_BYTES * rows.length) / bytes)))
  }
  await sql`close rows`
}

async function openSource(source: Omit<ConnectOptions, 'serving'>): Promise<{ db: Database } & AsyncDisposable> {
  if (source.databaseUrl) {
    const db = await connect({ ...source, serving: false })
    return { db, [Symbol.asyncDispose]: () => db.close() }
  }
  const copy = join(resolve(source.dataDir), COPY)
  await using opened = new AsyncDisposableStack()
  opened.defer(lockCopy(source.dataDir))
  const remove = () => rm(copy, { recursive: true, force: true })
  await remove() // left by a killed backup
  opened.defer(remove)
  const removeAtExit = () => rmSync(copy, { recursive: true, force: true })
  process.once('exit', removeAtExit)
  opened.defer(() => void process.off('exit', removeAtExit))
  await mkdir(copy, { mode: 0o700 })
  await copyCluster(source, join(copy, 'postgres'))
  const db = await connect({ ...source, dataDir: copy, serving: true })
  opened.defer(() => db.close())
  const stack = opened.move()
  return { db, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

/**
 * Keeps the copy to this process, by a lock on the directory that is copied, which nobody else locks: one on the copy would
 * end with it.
 *
 * @throws UsageError if another process makes a backup.
 */
function lockCopy(dataDir: string): () => void {
  const descriptor = openSync(join(resolve(dataDir), 'postgres'), 'r')
  const lock = tryLock(descriptor)
  if (lock === 'ours') return () => closeSync(descriptor)
  closeSync(descriptor)
  throw new UsageError(
    lock === 'held'
      ? `Another backup of ${resolve(dataDir)} is being made; try again when it has ended`
      : `${resolve(dataDir)} cannot be locked (errno ${lock.errno}); put it on a local file system`,
  )
}

/**
 * Copies the files of the embedded database. Nothing writes them while a transaction of ours occupies the only connection;
 * what is not in the tables yet is in the write-ahead log, as after a crash. Where the file system can, blocks are shared.
 */
async function copyCluster(source: Omit<ConnectOptions, 'serving'>, to: string): Promise<void> {
  const db = await connect({ ...source, serving: false })
  try {
    await db.begin(async sql => {
      await sql`select 1`
      // Fails if the connection was lost meanwhile, and with it the moment.
      await whileHolding(
        sql,
        cp(join(resolve(source.dataDir), 'postgres'), to, { recursive: true, mode: constants.COPYFILE_FICLONE }),
      ).catch(error => {
        const { code } = error as { code?: string }
        throw code
          ? new UsageError(
              `The embedded database cannot be copied to ${to} (${(error as Error).message.split(',')[0]})`,
            )
          : error
      })
    }, LONG_MS)
  } finally {
    await db.close()
  }
}

/** Waits for something without statements, in a transaction on the embedded database. @throws if the transaction is lost. */
export async function whileHolding<T>(sql: Queries, work: Promise<T>): Promise<T> {
  let isDone = false
  const done = work.finally(() => {
    isDone = true
  })
  while (!isDone) {
    await Promise.race([done, Bun.sleep(KEEP_ALIVE_MS)])
    await sql`select 1`
  }
  return done
}
