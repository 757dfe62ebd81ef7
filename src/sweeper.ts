/** Deletes what nobody can use any more, in small batches. Features register what; here is when, and how much at once. */
import type { Base, Sweep } from './base.ts'
import { isOutage } from './db/index.ts'

const INTERVAL_MS = 60_000
const BATCH = 500

type SweeperDeps = Pick<Base, 'log' | 'now'> & { sweeps: readonly Sweep[] }

/** One round of sweeping. @returns how many rows went. */
export async function sweep(deps: SweeperDeps): Promise<number> {
  const now = deps.now()
  let total = 0
  for (const task of deps.sweeps) {
    for (let swept = BATCH; swept === BATCH; ) {
      swept = await task(now, BATCH)
      total += swept
    }
  }
  return total
}

/** Sweeps once a minute, until it is stopped; a round that runs then ends with its statement. */
export function startSweeper(deps: SweeperDeps): { stop(): void } {
  let stopped = false
  const timer = setInterval(() => {
    sweep(deps).catch(error => {
      if (stopped) return
      if (isOutage(error)) deps.log.warn('could not sweep: the database is away')
      else deps.log.error({ err: { message: (error as Error).message } }, 'could not sweep')
    })
  }, INTERVAL_MS)
  return {
    stop() {
      stopped = true
      clearInterval(timer)
    },
  }
}
