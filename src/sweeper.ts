/** Deletes obsolete rows regularly, in small batches. Features register what to delete. */
import type { Base, Sweep } from './base.ts'
import { databaseProblem, isAway, isOutage } from './db/index.ts'

const INTERVAL_MS = 60_000
/** Rows per statement; small, because on the embedded database other statements wait for it. */
const BATCH = 200
/** Minimum pause between two batches, to let requests through; at least as long as the batch took. */
const PAUSE_MS = 5

type SweeperDeps = Pick<Base, 'log' | 'now' | 'metrics'> & { sweeps: readonly Sweep[] }

/**
 * Runs one round of all sweeps. If one fails, the others continue, and it is retried in the next round.
 *
 * @param signal Ends the round after the current statement.
 * @returns how many rows the sweeps looked at; nearly all of them were deleted.
 */
export async function sweep(deps: SweeperDeps, signal?: AbortSignal): Promise<number> {
  const now = deps.now()
  const { swept, failures } = countersOf(deps)
  let total = 0
  for (const task of deps.sweeps) {
    for (let looked = BATCH; looked === BATCH && !signal?.aborted; ) {
      const began = performance.now()
      try {
        looked = await task(now, BATCH)
      } catch (error) {
        if (!signal?.aborted) {
          failures.inc()
          explainFailure(deps, error)
        }
        if (isAway(error)) return total
        break
      }
      total += looked
      swept.inc(looked)
      if (looked === BATCH) await Bun.sleep(Math.max(PAUSE_MS, performance.now() - began))
    }
  }
  return total
}

function countersOf({ metrics }: SweeperDeps) {
  return {
    swept: metrics.counter('swept_rows_total', 'Rows that sweeps looked at, nearly all to delete them', []),
    failures: metrics.counter('sweep_failures_total', 'Sweeps that failed', []),
  }
}

function explainFailure({ log }: SweeperDeps, error: unknown): void {
  if (isOutage(error))
    log.warn({ detail: databaseProblem(error) }, 'a sweep was not finished; the next round continues it')
  else log.error({ err: { message: (error as Error).message } }, 'could not sweep')
}

/** Sweeps once a minute, one round at a time, until stopped; a running round then ends after its statement. */
export function startSweeper(deps: SweeperDeps): { stop(): void } {
  const stopping = new AbortController()
  let running = false
  const timer = setInterval(async () => {
    if (running) return
    running = true
    await sweep(deps, stopping.signal)
    running = false
  }, INTERVAL_MS)
  return {
    stop() {
      stopping.abort()
      clearInterval(timer)
    },
  }
}
