/** Limits the calls in flight on one process or URL, with a bounded queue; further calls are refused at once. */
import type { StopSignal } from '../lib/stop.ts'
import { fail } from './connection.ts'

export interface Slots {
  /** @returns a function that releases the slot; it is idempotent. @throws UpstreamFailure if the queue is full, or the caller disconnects. */
  take(signal: StopSignal): (() => void) | Promise<() => void>
  readonly taken: number
  readonly waiting: number
}

export function openSlots(concurrency: number, queue: number): Slots {
  let taken = 0
  const waiting = new Set<() => void>()

  function releaser(): () => void {
    let done = false
    return () => {
      if (done) return
      done = true
      const [next] = waiting
      if (next) {
        waiting.delete(next)
        next()
      } else taken--
    }
  }

  return {
    take(signal) {
      if (taken < concurrency) {
        taken++
        return releaser()
      }
      if (waiting.size >= queue) throw fail('busy', `${concurrency} calls are in flight and ${queue} are waiting`)
      const { promise, resolve, reject } = Promise.withResolvers<() => void>()
      const enter = () => {
        signal.removeEventListener('abort', leave)
        resolve(releaser())
      }
      const leave = () => {
        waiting.delete(enter)
        reject(fail('cancelled', 'the caller disconnected while waiting'))
      }
      signal.addEventListener('abort', leave)
      waiting.add(enter)
      return promise
    },
    get taken() {
      return taken
    },
    get waiting() {
      return waiting.size
    },
  }
}
