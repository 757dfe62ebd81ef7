/** Keeps a child that writes endlessly from starving the event loop. */
import type { Readable } from 'node:stream'

/** Limit for roughly one turn of the event loop: a stream delivers all of its buffered data before yielding. */
const TURN = { bytes: 262_144, ms: 10 }
/** Limit for useless output; beyond it the stream is paused for `ms`. */
const WASTE = { bytes: 1_048_576, ms: 1000 }

export interface Pace {
  /** Call it for all bytes read. */
  read(bytes: number): void
  /** Call it for bytes that were not messages. */
  wasted(bytes: number): void
}

export function paceOf(stream: Readable): Pace {
  const turn = span(TURN.bytes, TURN.ms)
  const waste = span(WASTE.bytes, WASTE.ms)
  let resting = false
  const rest = (wait: (done: () => void) => unknown) => {
    if (resting) return
    resting = true
    stream.pause()
    wait(() => {
      resting = false
      stream.resume()
    })
  }
  return {
    read(bytes) {
      if (turn(bytes)) rest(setImmediate)
    },
    wasted(bytes) {
      if (waste(bytes)) rest(done => setTimeout(done, WASTE.ms).unref())
    },
  }
}

/** Counts amounts in consecutive windows of time. @returns a function that adds one and tells whether the limit is exceeded. */
function span(limit: number, ms: number): (amount: number) => boolean {
  let since = Number.NEGATIVE_INFINITY
  let sum = 0
  return amount => {
    const at = performance.now()
    if (at - since > ms) {
      since = at
      sum = 0
    }
    sum += amount
    return sum > limit
  }
}
