/**
 * The database: PostgreSQL through a pool, or the embedded one (PGlite) through a Unix socket. Owns connections,
 * deadlines, transactions and notifications. Statements are in `sql/`; `migrate.ts` runs migrations.
 */
import { accessSync, chmodSync, constants, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import postgres from 'postgres'
import type { Queries } from '../../sql/index.ts'
import { UsageError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { readAddress } from './address.ts'
import type { Notifications } from './listener.ts'
import { lockDataDir, lockOrShare } from './lock.ts'
import { pollInstead } from './poll.ts'
import { type Database, DEADLINE_MS, type Dial, openPool } from './pool.ts'
import { refuseMixedStatements } from './pooler.ts'

export { databaseProblem, isAway, isOrphaned, isOutage } from './failures.ts'
export type { Database } from './pool.ts'

/** PostgreSQL's limit for one statement; shorter than our deadline, so that it takes effect first. */
const STATEMENT_TIMEOUT_MS = 3_500
const POOL_SIZE = 16
/** As PostgreSQL shows the connections of servers and commands. */
export const PROGRAM = 'mcp-oauth-server'

/** Runs `work` in one transaction: committed when it returns, rolled back when it throws. */
export function inTransaction<T>(deps: { db: Database }, work: (sql: Queries) => Promise<T>): Promise<T> {
  return deps.db.begin(work)
}

/** With `serving`, refuses a data directory that another server uses; without it (commands), goes through that server's socket. */
export interface ConnectOptions {
  databaseUrl: string | undefined
  /** For notifications alone, past a connection pooler. Default: the same. */
  listenUrl?: string | undefined
  /** Seconds between two looks for changes, in place of notifications. */
  pollSeconds?: number | undefined
  dataDir: string
  serving: boolean
  log: Log
  /** As PostgreSQL shows its connections. */
  name?: string
}

export async function connect(given: ConnectOptions): Promise<Database> {
  const { databaseUrl, dataDir, serving, log } = given
  if (databaseUrl) return openServerPool(databaseUrl, given)
  const dir = prepareDataDir(dataDir)
  const socket = join(dir, 'postgres.sock')
  const overSocket = (options: postgres.Options<Record<string, postgres.PostgresType>>) =>
    postgres({ ...options, path: socket, user: 'postgres', database: 'postgres' })

  const lock = serving ? await lockDataDir(dir, 'serve', 1_000) : await lockOrShare(dir, socket)
  if ('heldBy' in lock) {
    if (serving)
      throw new UsageError(`${dir} is in use by ${lock.heldBy}; stop it, or set DATA_DIR to another directory`)
    // A command while a server is running: without prepared statements, because all connections share one backend.
    return openPool(log, 1, options => overSocket({ ...options, prepare: false }), true)
  }
  // Imported dynamically, so that a process with DATABASE_URL never loads the embedded database.
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

function openServerPool(databaseUrl: string, given: ConnectOptions): Database {
  const { listenUrl, pollSeconds, log, name = PROGRAM } = given
  const dialTo = (address: string, variable: string): Dial => {
    const { url, options: parameters } = readAddress(address, variable)
    const connection = {
      application_name: name,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      lock_timeout: STATEMENT_TIMEOUT_MS,
      idle_in_transaction_session_timeout: 2 * DEADLINE_MS,
    }
    return options => {
      try {
        return postgres(url, { ...options, ...parameters, connection })
      } catch {
        // The error may quote the address, with its password.
        throw new UsageError(
          `${variable} cannot be read: in its password write / as %2F, # as %23 and % as %25, and check its port`,
        )
      }
    }
  }
  const dial = dialTo(databaseUrl, 'DATABASE_URL')
  const pool = openPool(log, POOL_SIZE, dial, false, listenUrl ? dialTo(listenUrl, 'DATABASE_LISTEN_URL') : dial)
  return {
    ...pool,
    checkPooler: () => refuseMixedStatements(pool.sql, () => dial({ max: 1 })),
    ...(pollSeconds
      ? {
          listen: (_: string, notifications: Notifications) => pollInstead(pollSeconds * 1000, notifications),
        }
      : {}),
  }
}

/** Creates the embedded database's directory if necessary, readable only by its owner. @throws UsageError */
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
      `DATA_DIR (${dir}) cannot be used: ${(error as Error).message}. It must be a directory owned by the user who runs the server.`,
    )
  }
  return dir
}
