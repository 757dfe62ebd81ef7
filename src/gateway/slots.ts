/** Calls in flight on one process or URL: so many at a time, so many waiting, and the rest is refused at once. */
import { fail } from './connection.ts'

export interface Slots {
  /** @returns how to give the slot back; calling it twice is the same as once. @throws UpstreamFailure if there is no room, or the caller leaves. */
  take(signal: AbortSignal): (() => void) | Promise<() => void>
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
      if (waiting.size >= queue) throw fail('busy', `${concurrency} calls are in flight and ${queue} wait`)
      const { promise, resolve, reject } = Promise.withResolvers<() => void>()
      const enter = () => {
        signal.removeEventListener('abort', leave)
        resolve(releaser())
      }
      const leave = () => {
        waiting.delete(enter)
        reject(fail('cancelled', 'the caller left the queue'))
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
