/** Lets callers wait for a change: a ring wakes all that wait for the key. */
import type { StopSignal } from '../../lib/stop.ts'

export interface Bells {
  ring(key: string): void
  /** Resolves at the next ring, after `ms`, or when the signal aborts. */
  wait(key: string, ms: number, signal?: StopSignal): Promise<void>
}

export function openBells(): Bells {
  const waiting = new Map<string, Set<() => void>>()
  return {
    ring(key) {
      const all = waiting.get(key)
      waiting.delete(key)
      for (const end of all ?? []) end()
    },
    async wait(key, ms, signal) {
      if (signal?.aborted) return
      const { promise, resolve } = Promise.withResolvers<void>()
      const all = waiting.get(key) ?? new Set()
      waiting.set(key, all.add(resolve))
      const timer = setTimeout(resolve, ms)
      signal?.addEventListener('abort', () => resolve())
      await promise
      clearTimeout(timer)
      all.delete(resolve)
      if (all.size === 0 && waiting.get(key) === all) waiting.delete(key)
    },
  }
}
