/** A connection pool that always answers: deadlines, a bounded queue, and a watchdog for outages. */
import type postgres from 'postgres'
import type { Queries } from '../../sql/index.ts'
import { DatabaseBusy, DatabaseUnavailable } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { arrayTypes } from './arrays.ts'
import { isConnectionLost } from './failures.ts'
import { listenForNotifications, type Notifications } from './listener.ts'

/** Deadline of one query or transaction, including waiting for a connection. */
export const DEADLINE_MS = 4_000
/** Maximum time in the queue; a query that has not started by then is refused. */
const WAIT_MS = 2_000
/** Maximum number of queries and transactions waiting or running; more are refused at once. */
const MAX_PENDING = 1_000
const CONNECT_TIMEOUT_S = 3
/** How often an unavailable server is probed. */
const PROBE_MS = 250
/** Minimum age of a pool before it is replaced although the server answers, so that a slow server does not cause it repeatedly. */
const RENEW_MS = 10_000

export interface Database {
  /** Runs statements outside a transaction. Never use it inside {@link inTransaction}: the embedded database has one connection. */
  readonly sql: Queries
  readonly embedded: boolean
  /** Runs one transaction. Use {@link inTransaction}, except for work that may take longer than a request. */
  begin<T>(work: (sql: Queries) => Promise<T>, deadlineMs?: number): Promise<T>
  /** Calls back with every payload sent to the channel; see {@link Notifications}. */
  listen(channel: string, notifications: Notifications): { close(): Promise<void> }
  /** @throws UsageError if a pooler is in between that cannot be used like this. */
  checkPooler?(): Promise<void>
  /** How many statements and transactions wait or run. */
  pending(): number
  close(): Promise<void>
}

/** A query or transaction in progress. */
interface Work<T> {
  run(): Promise<T>
  hasBegun(): boolean
  /** Removes it from the queue, so that it does not start after its caller has given up. */
  forget(): void
}

type Pool = postgres.Sql<Record<string, unknown>>
export type Dial = (options: postgres.Options<Record<string, postgres.PostgresType>>) => Pool

/**
 * A pool that always answers. Every statement and transaction has a deadline. If one misses it, or its connection breaks,
 * the watchdog probes the server over a new connection. Until it answers, statements are refused at once instead of
 * queueing. Then the pool is replaced, because postgres.js can lose track of its connections when the server restarts
 * under load; the old pool may finish its work.
 */
export function openPool(log: Log, max: number, dial: Dial, embedded = false, dialListener = dial): Database {
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

  /** @param isStuck Whether the pool failed although the server may be answering. */
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
   * Runs work on the pool. Refuses it at once during an outage or if the queue is full, and later if it has not started in
   * time or misses its deadline.
   */
  async function guarded<T>(what: string, ms: number, work: Work<T>): Promise<T> {
    if (away) throw new DatabaseUnavailable('the database server is not answering')
    if (pending >= MAX_PENDING) throw new DatabaseBusy(`${pending} queries are ahead of it`)
    pending += 1
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const giveUp = (error: DatabaseUnavailable, isStuck: boolean) => {
      work.forget()
      void check(isStuck)
      reject(error)
    }
    const takesTooLong = () => giveUp(new DatabaseUnavailable(`${what} took longer than ${ms} ms`), true)
    const waitsTooLong = () => {
      const detail = `${what} did not start within ${WAIT_MS} ms`
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

  // A query runs when it is awaited, but may instead become a fragment of another one. So the deadline is set on `then`,
  // which is called only when the query is awaited.
  const ask = (first: unknown, ...rest: unknown[]): unknown => {
    const made = (pool as unknown as (...args: unknown[]) => unknown)(first, ...rest)
    if (!Array.isArray(first) || !('raw' in first)) return made
    const query = made as postgres.PendingQuery<postgres.Row[]> & { state?: unknown; active?: boolean }
    const then = query.then.bind(query)
    const work = {
      run: () => then(rows => rows),
      // `state` is also set while the query is queued on its connection.
      hasBegun: () => query.active === true,
      forget: () => {
        if (!query.state) query.cancel()
      },
    }
    return Object.defineProperty(query, 'then', {
      configurable: true, // for `traced.ts`
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
    pending: () => pending,
    listen: (channel, notifications) =>
      listenForNotifications(options => dialListener({ ...shared, ...options }), channel, notifications),
    async close() {
      closed = true
      await pool.end({ timeout: 2 })
    },
  }
}

/**
 * Runs one transaction. postgres.js keeps using a transaction's connection after it broke, for further statements and for
 * the rollback. That throws outside of any promise, which would end the process. So after a break nothing more is sent,
 * and the work's promise stays pending; postgres.js rejects by itself.
 */
async function transact<T>(pool: Pool, work: (sql: Queries) => Promise<T>, cancelled: () => boolean): Promise<T> {
  let broken = false
  const refuseBroken = () => {
    if (broken) throw new DatabaseUnavailable('the connection of this transaction broke')
  }
  try {
    return (await pool.begin(async transaction => {
      if (cancelled()) throw new DatabaseUnavailable('the caller has given up on this transaction')
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
        await new Promise(setImmediate) // by then a break that caused this error is known
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
    return false // the error does not matter
  }
}

function withDeadline<T>(work: Promise<T>, ms: number, late: () => Error): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const timer = setTimeout(() => reject(late()), ms)
  work.then(resolve, reject).finally(() => clearTimeout(timer))
  return promise
}
