/**
 * The database: PostgreSQL through a pool, or the embedded one (PGlite) through its own Unix socket. Owns connections,
 * deadlines, transactions and notifications. Statements live in `sql/`, migrations are run by `migrate.ts`.
 */
import { accessSync, chmodSync, constants, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import postgres from 'postgres'
import type { Queries } from '../../sql/index.ts'
import { UsageError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { lockDataDir } from './lock.ts'
import { type Database, DEADLINE_MS, openPool } from './pool.ts'

export { databaseProblem, isAway, isOutage } from './failures.ts'
export type { Database } from './pool.ts'

/** How long the server may work on one statement; shorter than the deadline, so that it ends first. */
const STATEMENT_TIMEOUT_MS = 3_500
const POOL_SIZE = 16

/** Runs `work` in one transaction: committed when it returns, rolled back when it throws. */
export function inTransaction<T>(deps: { db: Database }, work: (sql: Queries) => Promise<T>): Promise<T> {
  return deps.db.begin(work)
}

/** Where the database is and who asks. `serving` refuses to share the embedded database's directory with a running server. */
export interface ConnectOptions {
  databaseUrl: string | undefined
  dataDir: string
  serving: boolean
  log: Log
}

export async function connect({ databaseUrl, dataDir, serving, log }: ConnectOptions): Promise<Database> {
  if (databaseUrl) {
    return openPool(log, POOL_SIZE, options =>
      postgres(databaseUrl, {
        ...options,
        connection: {
          application_name: 'mcp-oauth-server',
          statement_timeout: STATEMENT_TIMEOUT_MS,
          lock_timeout: STATEMENT_TIMEOUT_MS,
          idle_in_transaction_session_timeout: 2 * DEADLINE_MS,
        },
      }),
    )
  }
  const dir = prepareDataDir(dataDir)
  const socket = join(dir, 'postgres.sock')
  const overSocket = (options: postgres.Options<Record<string, postgres.PostgresType>>) =>
    postgres({ ...options, path: socket, user: 'postgres', database: 'postgres' })

  const lock = await lockDataDir(dir, serving ? 'serve' : 'command', serving ? 1_000 : 0)
  if ('heldBy' in lock) {
    if (serving)
      throw new UsageError(`${dir} is in use by ${lock.heldBy}; stop it, or set DATA_DIR to another directory`)
    // A command beside a running server: unprepared, because all connections share one backend.
    return openPool(log, 1, options => overSocket({ ...options, prepare: false }), true)
  }
  // Imported here, so that a process with DATABASE_URL never loads the embedded database.
  const { openPglite } = await import('./pglite.ts')
  const pglite = await openPglite(dir, socket).catch(error => {
    lock.release()
    throw error
  })
  const pool = openPool(log, 1, overSocket, true)
  return {
    ...pool,
    async close() {
      await pool.close()
      await pglite.close()
      lock.release()
    },
  }
}

/** The embedded database's directory: made if absent, readable by its owner only. */
export function prepareDataDir(dataDir: string): string {
  const dir = resolve(dataDir)
  if (Buffer.byteLength(join(dir, 'postgres.sock')) > 103) {
    throw new UsageError(`DATA_DIR is too long for a Unix socket (${dir}); choose a path of at most 90 bytes`)
  }
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    chmodSync(dir, 0o700)
    accessSync(dir, constants.W_OK)
  } catch (error) {
    throw new UsageError(
      `DATA_DIR (${dir}) cannot be used: ${(error as Error).message}. It must be a directory that belongs to the user who runs the server.`,
    )
  }
  return dir
}
