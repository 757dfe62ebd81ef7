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
import { arrayTypes } from './arrays.ts'
import { listenForNotifications, type Notifications } from './listener.ts'
import { lockDataDir } from './lock.ts'

/** How long one query or transaction may take, waiting for a connection included. */
const DEADLINE_MS = 4_000
/** How long the server may work on one statement; shorter than the deadline, so that it ends first. */
const STATEMENT_TIMEOUT_MS = 3_500
const CONNECT_TIMEOUT_S = 3
const POOL_SIZE = 16
/** How often a server that is away is asked whether it is back. */
const PROBE_MS = 250
/** A pool that failed although the server answers is replaced, but not over and over while the server is merely slow. */
const RENEW_MS = 10_000

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

type Pool = postgres.Sql<Record<string, unknown>>
type Dial = (options: postgres.Options<Record<string, postgres.PostgresType>>) => Pool

/**
 * A pool that always answers. Every statement and transaction has a deadline. One that misses it, or whose connection
 * breaks, makes the watchdog ask over a fresh connection whether the server is there. Until it is, statements are refused
 * at once instead of piling up; when it is back, the pool is replaced, because postgres.js can lose track of its
 * connections when the server restarts under load. The old pool may finish what it is doing.
 */
function openPool(log: Log, max: number, dial: Dial, embedded = false): Database {
  const shared: postgres.Options<Record<string, postgres.PostgresType>> = {
    onnotice: () => {},
    connect_timeout: CONNECT_TIMEOUT_S,
    backoff: () => PROBE_MS / 1000,
    transform: { undefined: null },
    fetch_types: false,
    types: arrayTypes,
  }
  const make = () => dial({ ...shared, max, idle_timeout: embedded ? 0 : 60 })
  let pool = make()
  let madeAt = Date.now()
  let away = false
  let checking = false
  let closed = false

  async function check(): Promise<void> {
    if (checking || closed) return
    checking = true
    try {
      for (;;) {
        const probe = dial({ ...shared, max: 1 })
        const up = await answers(probe, 2_000)
        probe.end({ timeout: 0 }).catch(() => {})
        if (closed) return
        if (up) break
        if (!away) log.warn('the database does not answer; refusing statements until it does')
        away = true
        await Bun.sleep(PROBE_MS)
      }
      if (!away && Date.now() - madeAt < RENEW_MS) return
      const old = pool
      pool = make()
      madeAt = Date.now()
      old.end({ timeout: DEADLINE_MS / 1000 }).catch(() => {})
      log.warn(away ? 'the database answers again' : 'replaced a connection pool that had stopped answering')
    } finally {
      away = false
      checking = false
    }
  }

  /** Runs something on the pool, unless it could only fail. */
  function guarded<T>(what: string, ms: number, run: () => Promise<T>, onLate: () => void): Promise<T> {
    if (away) return Promise.reject(new DatabaseUnavailable('the server did not answer a moment ago'))
    const failed = (error: unknown): never => {
      if (isConnectionLost(error)) void check()
      throw error
    }
    return withDeadline(run().catch(failed), ms, () => {
      onLate()
      void check()
      return new DatabaseUnavailable(`${what} took longer than ${ms} ms`)
    })
  }

  // A query runs when it is awaited, and may instead be used as a fragment of another one: so the deadline is set on
  // `then`, which only the awaited one reaches.
  const query = (first: unknown, ...rest: unknown[]): unknown => {
    const made = (pool as unknown as (...args: unknown[]) => unknown)(first, ...rest)
    if (!Array.isArray(first) || !('raw' in first)) return made
    const pending = made as postgres.PendingQuery<postgres.Row[]> & { state?: unknown }
    const run = pending.then.bind(pending)
    /** Takes it out of the queue, so that it does not run when nobody waits for it any more. */
    const forget = () => {
      if (!pending.state) pending.cancel()
    }
    return Object.defineProperty(pending, 'then', {
      value: (resolve?: never, reject?: never) =>
        guarded('a query', DEADLINE_MS, () => run(rows => rows), forget).then(resolve, reject),
    })
  }
  const sql = new Proxy(query, {
    get: (_, key) => Reflect.get(pool, key),
  }) as unknown as Queries

  return {
    sql,
    embedded,
    begin: <T>(work: (sql: Queries) => Promise<T>, deadlineMs = DEADLINE_MS) => {
      let late = false
      const run = () => transact(pool, work, () => late)
      return guarded('a transaction', deadlineMs, run, () => {
        late = true
      })
    },
    listen: (channel, notifications) =>
      listenForNotifications(options => dial({ ...shared, ...options }), channel, notifications),
    async close() {
      closed = true
      await pool.end({ timeout: 2 })
    },
  }
}

/**
 * One transaction. postgres.js goes on using a transaction's connection after it broke: for the statements that come
 * next, and for a rollback when one has failed. That throws outside of any promise, which would end the process. So after
 * a break nothing more is sent, and postgres.js is not told that the work has ended; it rejects by itself.
 */
async function transact<T>(pool: Pool, work: (sql: Queries) => Promise<T>, cancelled: () => boolean): Promise<T> {
  let broken = false
  const refuseBroken = () => {
    if (broken) throw new DatabaseUnavailable('the connection of this transaction broke')
  }
  try {
    return (await pool.begin(async transaction => {
      if (cancelled()) throw new DatabaseUnavailable('nobody waits for this transaction any more')
      const sql = new Proxy(transaction, {
        apply(target, self, args) {
          refuseBroken()
          return Reflect.apply(target, self, args)
        },
        get(target, key) {
          refuseBroken()
          return Reflect.get(target, key)
        },
      })
      try {
        return await work(sql as unknown as Queries)
      } catch (error) {
        await new Promise(setImmediate) // a break that caused this error is known by then
        if (broken || isConnectionLost(error)) await new Promise<never>(() => {})
        throw error
      }
    })) as T
  } catch (error) {
    broken = true
    throw error
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
  if (error instanceof DatabaseUnavailable || isConnectionLost(error)) return true
  return error instanceof postgres.PostgresError && OUTAGE.test(error.code)
}

/**
 * SQLSTATE of what will pass without a change to the query: connections (08), transactions ended by the server (25P03,
 * 25P04, 40), a read-only standby (25006), refused credentials or a missing database (28, 3D000), exhausted resources
 * such as disk and connections (53), locks (55P03), operators, shutdown and timeouts (57), input and output (58).
 */
const OUTAGE = /^(08|25006|25P03|25P04|28|3D000|40|53|55P03|57|58)/

/** Whether there was no answer at all, or one that says that the connection ends. */
function isConnectionLost(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code
  if (typeof code !== 'string') return false
  if (error instanceof postgres.PostgresError) return /^(08(?!P01)|57P0)/.test(code)
  return /^(CONNECTION_|CONNECT_TIMEOUT|ECONN|ENOENT|EPIPE|ETIMEDOUT|EHOST|ENETUNREACH|ENOTFOUND|EAI_AGAIN)/.test(code)
}

/** What a database said or did not say, in one line for the operator; nothing if the error is not a database's. */
export function databaseProblem(error: unknown): string | undefined {
  if (error instanceof DatabaseUnavailable) return error.detail
  if (error instanceof postgres.PostgresError) return `${error.message} (SQLSTATE ${error.code})`
  return isOutage(error) ? (error as Error).message : undefined
}
