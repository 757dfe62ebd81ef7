/**
 * When an upstream that does not start is tried again: after a pause that doubles, and, after five failures in a row,
 * not before the circuit has been open for a while; then one trial decides.
 */
import { fail } from './connection.ts'

export interface Circuit {
  /** Waits out a short pause. @throws UpstreamFailure at once if the pause is longer. */
  admit(): Promise<void>
  failed(): void
  succeeded(): void
  readonly open: boolean
  /** When it is tried again; nothing while it may be tried at once. */
  retryAt(): Date | undefined
}

const OPEN_MS = 30_000
const OPEN_MOST_MS = 300_000
const PAUSE_MS = 500
const PAUSE_MOST_MS = 60_000
/** A caller waits for this much of a pause. */
const PATIENCE_MS = 2_000

/** @param tripsAt Failures in a row; never, for what only pauses. */
export function openCircuit(now: () => Date, tripsAt = 5): Circuit {
  let failures = 0
  let until = 0
  let trial = false
  const left = () => until - now().getTime()

  return {
    async admit() {
      const wait = left()
      if (failures >= tripsAt && (wait > 0 || trial))
        throw fail('unreachable', `did not start ${failures} times; the next attempt is in ${seconds(wait)}`)
      if (wait > PATIENCE_MS) throw fail('unreachable', `did not start; the next attempt is in ${seconds(wait)}`)
      trial = failures >= tripsAt
      if (wait > 0) await Bun.sleep(wait)
    },
    failed() {
      failures++
      trial = false
      const pause =
        failures >= tripsAt
          ? Math.min(OPEN_MS * 2 ** (failures - tripsAt), OPEN_MOST_MS)
          : Math.min(PAUSE_MS * 2 ** (failures - 1), PAUSE_MOST_MS)
      until = now().getTime() + pause
    },
    succeeded() {
      failures = 0
      until = 0
      trial = false
    },
    get open() {
      return failures >= tripsAt
    },
    retryAt: () => (left() > 0 ? new Date(until) : undefined),
  }
}

const seconds = (ms: number): string => `${Math.max(1, Math.ceil(ms / 1000))} s`
