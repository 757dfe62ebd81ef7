import type { Queries } from '../../sql/index.ts'
import { isOutage } from './failures.ts'

const MOST = 100

interface Waiting<I, O> {
  input: I
  resolve(output: O | undefined): void
  reject(error: unknown): void
}

/**
 * Makes a function of one input from a statement for many: the inputs of one turn of the event loop share a statement, so
 * that under load many requests cost one round trip and one commit. Inputs with the same key get statements of their own.
 * If the database refuses a statement, its inputs are tried one by one, so that one cannot fail the others.
 *
 * @param run Returns a row for each input that has a result.
 */
export function gathered<I, O extends { key: string }>(
  keyOf: (input: I) => string,
  run: (sql: Queries, inputs: readonly I[]) => Promise<readonly O[]>,
): (sql: Queries, input: I) => Promise<O | undefined> {
  type Batch = Map<string, Waiting<I, O>>
  const open = new WeakMap<Queries, Batch>()

  async function answer(sql: Queries, batch: Batch): Promise<void> {
    try {
      const inputs = Array.from(batch.values(), ({ input }) => input)
      for (const row of await run(sql, inputs)) batch.get(row.key)?.resolve(row)
      for (const { resolve } of batch.values()) resolve(undefined) // those without a row; no effect on the others
    } catch (error) {
      if (batch.size === 1 || isOutage(error)) for (const { reject } of batch.values()) reject(error)
      else for (const [key, waiting] of batch) void answer(sql, new Map([[key, waiting]]))
    }
  }

  function openBatch(sql: Queries): Batch {
    const batch: Batch = new Map()
    open.set(sql, batch)
    setImmediate(() => {
      if (open.get(sql) === batch) open.delete(sql)
      void answer(sql, batch)
    })
    return batch
  }

  return (sql, input) => {
    const key = keyOf(input)
    let batch = open.get(sql)
    if (!batch || batch.size === MOST || batch.has(key)) batch = openBatch(sql)
    const { promise, resolve, reject } = Promise.withResolvers<O | undefined>()
    batch.set(key, { input, resolve, reject })
    return promise
  }
}
