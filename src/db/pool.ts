/** A pool of connections that always answers: deadlines, a bounded queue, and a watchdog for a server that is away. */
import type postgres from 'postgres'
import type { Queries } from '../../sql/index.ts'
import { DatabaseBusy, DatabaseUnavailable } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { arrayTypes } from './arrays.ts'
import { isConnectionLost } from './failures.ts'
import { listenForNotifications, type Notifications } from './listener.ts'

/** How long one query or transaction may take, waiting for a connection included. */
export const DEADLINE_MS = 4_000
/** How long one may wait for its turn: whoever has not begun by then is refused, and may try again. */
const WAIT_MS = 2_000
/** Queries and transactions that may wait or run at a time; those that come then are refused at once. */
const MAX_PENDING = 1_000
const CONNECT_TIMEOUT_S = 3
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

/** A query or transaction on its way. */
interface Work<T> {
  run(): Promise<T>
  hasBegun(): boolean
  /** Takes it out of the queue, so that it does not begin when nobody waits for it any more. */
  forget(): void
}

type Pool = postgres.Sql<Record<string, unknown>>
type Dial = (options: postgres.Options<Record<string, postgres.PostgresType>>) => Pool

/**
 * A pool that always answers. Every statement and transaction has a deadline. One that misses it, or whose connection
 * breaks, makes the watchdog ask over a fresh connection whether the server is there. Until it is, statements are refused
 * at once instead of piling up; when it is back, the pool is replaced, because postgres.js can lose track of its
 * connections when the server restarts under load. The old pool may finish what it is doing.
 */
export function openPool(log: Log, max: number, dial: Dial, embedded = false): Database {
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
  let pending = 0
  let answeredAt = Date.now()

  /** @param isStuck whether the pool is no good although the server answers. */
  async function check(isStuck: boolean): Promise<void> {
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
      if (!away && (!isStuck || Date.now() - madeAt < RENEW_MS)) return
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

  /**
   * Runs something on the pool, unless it could only fail: refused at once behind too many others, and after a while if
   * it has not begun by then.
   */
  async function guarded<T>(what: string, ms: number, work: Work<T>): Promise<T> {
    if (away) throw new DatabaseUnavailable('the server did not answer a moment ago')
    if (pending >= MAX_PENDING) throw new DatabaseBusy(`${pending} others are before it`)
    pending += 1
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const giveUp = (error: DatabaseUnavailable, isStuck: boolean) => {
      work.forget()
      void check(isStuck)
      reject(error)
    }
    const takesTooLong = () => giveUp(new DatabaseUnavailable(`${what} took longer than ${ms} ms`), true)
    const waitsTooLong = () => {
      const detail = `${what} did not begin within ${WAIT_MS} ms`
      if (work.hasBegun()) timer = setTimeout(takesTooLong, ms - WAIT_MS)
      else if (Date.now() - answeredAt <= WAIT_MS) giveUp(new DatabaseBusy(detail), false)
      else giveUp(new DatabaseUnavailable(detail), true)
    }
    let timer = setTimeout(waitsTooLong, WAIT_MS)
    work.run().then(resolve, reject)
    try {
      const result = await promise
      answeredAt = Date.now()
      return result
    } catch (error) {
      if (isConnectionLost(error)) void check(true)
      throw error
    } finally {
      clearTimeout(timer)
      pending -= 1
    }
  }

  // A query runs when it is awaited, and may instead be used as a fragment of another one: so the deadline is set on
  // `then`, which only the awaited one reaches.
  const ask = (first: unknown, ...rest: unknown[]): unknown => {
    const made = (pool as unknown as (...args: unknown[]) => unknown)(first, ...rest)
    if (!Array.isArray(first) || !('raw' in first)) return made
    const query = made as postgres.PendingQuery<postgres.Row[]> & { state?: unknown; active?: boolean }
    const then = query.then.bind(query)
    const work = {
      run: () => then(rows => rows),
      // Behind others on its connection it has a state, too.
      hasBegun: () => query.active === true,
      forget: () => {
        if (!query.state) query.cancel()
      },
    }
    return Object.defineProperty(query, 'then', {
      value: (resolve?: never, reject?: never) => guarded('a query', DEADLINE_MS, work).then(resolve, reject),
    })
  }
  const sql = new Proxy(ask, {
    get: (_, key) => Reflect.get(pool, key),
  }) as unknown as Queries

  return {
    sql,
    embedded,
    begin: <T>(work: (sql: Queries) => Promise<T>, deadlineMs = DEADLINE_MS) => {
      let begun = false
      let forgotten = false
      const run = () =>
        transact(pool, work, () => {
          begun = true
          return forgotten
        })
      return guarded('a transaction', deadlineMs, {
        run,
        hasBegun: () => begun,
        forget: () => {
          forgotten = true
        },
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
