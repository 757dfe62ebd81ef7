/** Keeps one child that writes without end from taking the whole event loop. */
import type { Readable } from 'node:stream'

/** In one turn of the event loop, roughly: streams hand over all that is there before anybody else gets a turn. */
const TURN = { bytes: 262_144, ms: 10 }
/** What is of no use, before the stream waits for as long as that took at this rate. */
const WASTE = { bytes: 1_048_576, ms: 1000 }

export interface Pace {
  /** To be told of everything that was read, and of what was of no use. */
  read(bytes: number): void
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

/** Says whether more than a limit came within a span of time that begins anew when it is over. */
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
