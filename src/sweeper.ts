/** Deletes what nobody can use any more, in small batches. Features register what; here is when, and how much at once. */
import type { Base, Sweep } from './base.ts'
import { databaseProblem, isAway, isOutage } from './db/index.ts'

const INTERVAL_MS = 60_000
/** Rows of one statement, which nobody else's may wait for long: the embedded database does one after the other. */
const BATCH = 200
/** Between two batches, so that the requests that have come meanwhile get their turn; at least as long as the batch took. */
const PAUSE_MS = 5

type SweeperDeps = Pick<Base, 'log' | 'now'> & { sweeps: readonly Sweep[] }

/**
 * One round of sweeping. What one sweep cannot do is left for the next round, and holds up no other.
 *
 * @param signal Ends the round after the statement that runs.
 * @returns how many rows went.
 */
export async function sweep(deps: SweeperDeps, signal?: AbortSignal): Promise<number> {
  const now = deps.now()
  let total = 0
  for (const task of deps.sweeps) {
    for (let swept = BATCH; swept === BATCH && !signal?.aborted; ) {
      const began = performance.now()
      try {
        swept = await task(now, BATCH)
      } catch (error) {
        if (!signal?.aborted) explainFailure(deps, error)
        if (isAway(error)) return total
        break
      }
      total += swept
      if (swept === BATCH) await Bun.sleep(Math.max(PAUSE_MS, performance.now() - began))
    }
  }
  return total
}

function explainFailure({ log }: SweeperDeps, error: unknown): void {
  if (isOutage(error)) log.warn({ detail: databaseProblem(error) }, 'a sweep was not finished; the next round goes on')
  else log.error({ err: { message: (error as Error).message } }, 'could not sweep')
}

/** Sweeps once a minute, one round at a time, until it is stopped; a round that runs then ends with its statement. */
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
