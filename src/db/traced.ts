/** A database whose statements and transactions are spans, where there is a span around: not those of sweeps. */
import type { Queries } from '../../sql/index.ts'
import { type Tracing, trace } from '../tracing.ts'
import type { Database } from './pool.ts'

export function tracedDatabase(db: Database, tracing: Tracing): Database {
  const attributes = { 'db.system.name': 'postgresql' }
  return {
    ...db,
    sql: tracedQueries(db.sql, tracing),
    begin: (work, deadlineMs) =>
      tracing.isActive()
        ? trace(tracing, 'transaction', { kind: 'client', attributes }, () =>
            db.begin(sql => work(tracedQueries(sql, tracing)), deadlineMs),
          )
        : db.begin(work, deadlineMs),
  }
}

/** As in `pool.ts`: a query runs when its `then` is called, unless it becomes a fragment of another one. */
function tracedQueries(sql: Queries, tracing: Tracing): Queries {
  return new Proxy(sql, {
    apply(target, self, args) {
      const made: unknown = Reflect.apply(target as unknown as (...args: unknown[]) => unknown, self, args)
      const [first] = args
      if (!tracing.isActive() || !Array.isArray(first) || !('raw' in first)) return made
      const text = first.join('?').replace(/\s+/g, ' ').trim()
      const operation = /^\w+/.exec(text)?.[0] ?? 'query'
      const attributes = { 'db.system.name': 'postgresql', 'db.operation.name': operation, 'db.query.text': text }
      const query = made as Promise<unknown>
      const then = query.then.bind(query)
      const run = () => trace(tracing, operation, { kind: 'client', attributes }, async () => then(rows => rows))
      return Object.defineProperty(query, 'then', {
        value: (resolve?: never, reject?: never) => run().then(resolve, reject),
      })
    },
  })
}
