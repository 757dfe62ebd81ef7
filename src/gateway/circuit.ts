/**
 * Circuit breaker for upstreams that fail to start: retries after a pause that doubles; after five failures in a row the
 * circuit opens, and once its time is over a single trial decides.
 */
import { fail } from './connection.ts'

export interface Circuit {
  /** Waits if the pause is short. @throws UpstreamFailure at once if it is longer. */
  admit(): Promise<void>
  failed(): void
  succeeded(): void
  readonly open: boolean
  /** When the next attempt is allowed; undefined if that is now. */
  retryAt(): Date | undefined
}

const OPEN_MS = 30_000
const OPEN_MOST_MS = 300_000
const PAUSE_MS = 500
const PAUSE_MOST_MS = 60_000
/** The longest pause that a caller waits for. */
const PATIENCE_MS = 2_000

/** @param tripsAt How many failures in a row open the circuit; Infinity: it only pauses. */
export function openCircuit(now: () => Date, tripsAt = 5): Circuit {
  let failures = 0
  let until = 0
  const left = () => until - now().getTime()

  return {
    async admit() {
      const wait = left()
      if (failures >= tripsAt && wait > 0)
        throw fail('unreachable', `failed to start ${failures} times; next attempt in ${seconds(wait)}`)
      if (wait > PATIENCE_MS) throw fail('unreachable', `failed to start; next attempt in ${seconds(wait)}`)
      // The only trial for a while, whether or not anybody hears how it ended.
      if (failures >= tripsAt) until = now().getTime() + OPEN_MS
      if (wait > 0) await Bun.sleep(wait)
    },
    failed() {
      failures++
      const pause =
        failures >= tripsAt
          ? Math.min(OPEN_MS * 2 ** (failures - tripsAt), OPEN_MOST_MS)
          : Math.min(PAUSE_MS * 2 ** (failures - 1), PAUSE_MOST_MS)
      until = now().getTime() + pause
    },
    succeeded() {
      failures = 0
      until = 0
    },
    get open() {
      return failures >= tripsAt
    },
    retryAt: () => (left() > 0 ? new Date(until) : undefined),
  }
}

const seconds = (ms: number): string => `${Math.max(1, Math.ceil(ms / 1000))} s`
