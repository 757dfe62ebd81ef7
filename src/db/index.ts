/**
 * The database: PostgreSQL through a pool, or the embedded one (PGlite) through its own Unix socket. Owns connections,
 * deadlines, transactions and notifications. Statements live in `sql/`, migrations are run by `migrate.ts`.
 */
import { accessSync, chmodSync, constants, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import postgres from 'postgres'
import type { Queries } from '../../sql/index.ts'
import { DatabaseUnavailable, UsageError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { listenForNotifications, type Notifications } from './listener.ts'
import { lockDataDir } from './lock.ts'

/** How long one query or transaction may take, waiting for a connection included. */
const DEADLINE_MS = 4_000
/** How long the server may work on one statement; shorter than the deadline, so that it ends first. */
const STATEMENT_TIMEOUT_MS = 3_500
const CONNECT_TIMEOUT_S = 3
const POOL_SIZE = 16

export interface Database {
  /** Runs statements outside a transaction. Never use it inside {@link inTransaction}: the embedded database has one connection. */
  readonly sql: Queries
  readonly embedded: boolean
  /** One transaction; use {@link inTransaction}, except for work that may take longer than a request. */
  begin<T>(work: (sql: Queries) => Promise<T>, deadlineMs?: number): Promise<T>
  /** Calls back with every payload sent to the channel; see {@link Notifications}. */
  listen(channel: string, notifications: Notifications): { close(): Promise<void> }
  close(): Promise<void>
}

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

  const lock = lockDataDir(dir, serving ? 'serve' : 'command', serving ? 1_000 : 0)
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

type Pool = postgres.Sql<Record<string, unknown>>
type Dial = (options: postgres.Options<Record<string, postgres.PostgresType>>) => Pool

/**
 * A pool that always answers. Every query has a deadline; one that misses it makes the watchdog ask, over a fresh
 * connection, whether the server is there, and if it is, while the pool still does not answer, replace the pool
 * (postgres.js can lose track of its connections when the server restarts under load).
 */
function openPool(log: Log, max: number, dial: Dial, embedded = false): Database {
  const shared: postgres.Options<Record<string, postgres.PostgresType>> = {
    onnotice: () => {},
    connect_timeout: CONNECT_TIMEOUT_S,
    backoff: () => 0.25,
    transform: { undefined: null },
  }
  let pool = dial({ ...shared, max, idle_timeout: embedded ? 0 : 60 })
  let closed = false
  let checking = false

  async function check(): Promise<void> {
    if (checking || closed) return
    checking = true
    const asked = pool
    try {
      while (!closed) {
        const probe = dial({ ...shared, max: 1 })
        const up = await answers(probe, 2_000)
        probe.end({ timeout: 0 }).catch(() => {})
        if (up) break
        await Bun.sleep(250)
      }
      if (closed || (await answers(asked, 1_000))) return
      log.warn('the database is back but the connection pool does not answer: replacing the pool')
      pool = dial({ ...shared, max, idle_timeout: embedded ? 0 : 60 })
      asked.end({ timeout: 0 }).catch(() => {})
    } finally {
      checking = false
    }
  }

  const late = (what: string, ms: number): DatabaseUnavailable => {
    void check()
    return new DatabaseUnavailable(`${what} took longer than ${ms} ms`)
  }

  // A query runs when it is awaited, and may instead be used as a fragment of another one: so the deadline is set on
  // `then`, which only the awaited one reaches.
  const query = (first: unknown, ...rest: unknown[]): unknown => {
    const made = (pool as unknown as (...args: unknown[]) => unknown)(first, ...rest)
    if (!Array.isArray(first) || !('raw' in first)) return made
    const pending = made as postgres.PendingQuery<postgres.Row[]>
    const run = pending.then.bind(pending)
    return Object.defineProperty(pending, 'then', {
      value: (resolve?: never, reject?: never) =>
        withDeadline(
          run(rows => rows),
          DEADLINE_MS,
          () => late('a query', DEADLINE_MS),
        ).then(resolve, reject),
    })
  }
  const sql = new Proxy(query, {
    get: (_, key) => Reflect.get(pool, key),
  }) as unknown as Queries

  return {
    sql,
    embedded,
    begin: <T>(work: (sql: Queries) => Promise<T>, deadlineMs = DEADLINE_MS) =>
      withDeadline(pool.begin(transaction => work(transaction as unknown as Queries)) as Promise<T>, deadlineMs, () =>
        late('a transaction', deadlineMs),
      ),
    listen: (channel, notifications) =>
      listenForNotifications(options => dial({ ...shared, ...options }), channel, notifications),
    async close() {
      closed = true
      await pool.end({ timeout: 5 })
    },
  }
}

async function answers(sql: Pool, ms: number): Promise<boolean> {
  try {
    await withDeadline(sql`select 1`.execute(), ms, () => new DatabaseUnavailable('no answer'))
    return true
  } catch {
    return false // the question was only whether it answers
  }
}

function withDeadline<T>(work: Promise<T>, ms: number, late: () => Error): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const timer = setTimeout(() => reject(late()), ms)
  work.then(resolve, reject).finally(() => clearTimeout(timer))
  return promise
}

/** Whether an error of a query means that the database is away or refuses work, rather than that the query is wrong. */
export function isOutage(error: unknown): boolean {
  if (error instanceof DatabaseUnavailable) return true
  const sqlState = (error as { code?: unknown } | null)?.code
  if (typeof sqlState !== 'string') return false
  if (error instanceof postgres.PostgresError) {
    // 08 connection, 25006 read only, 53 resources (disk full), 57 operator intervention and timeouts, 58 system, 55P03 lock, 40 serialization
    return /^(08|53|57|58|40)/.test(sqlState) || sqlState === '25006' || sqlState === '55P03'
  }
  return /^(CONNECTION_|CONNECT_TIMEOUT|ECONN|ENOENT|EPIPE|ETIMEDOUT|EHOST|ENETUNREACH|ENOTFOUND|EAI_AGAIN)/.test(
    sqlState,
  )
}

/** What a database said or did not say, in one line for the operator; nothing if the error is not a database's. */
export function databaseProblem(error: unknown): string | undefined {
  if (error instanceof DatabaseUnavailable) return error.detail
  if (error instanceof postgres.PostgresError) return `${error.message} (SQLSTATE ${error.code})`
  return isOutage(error) ? (error as Error).message : undefined
}
