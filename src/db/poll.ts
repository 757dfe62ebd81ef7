import { setTimeout as sleep } from 'node:timers/promises'
import type { Notifications } from './listener.ts'

/** In place of notifications, for engines without them: looks for changes every `ms` milliseconds. */
export function pollInstead(ms: number, { onPoll, onLost }: Notifications): { close(): Promise<void> } {
  const ending = new AbortController()
  const loop = (async () => {
    for (let working = false; onPoll && !ending.signal.aborted; ) {
      try {
        await onPoll()
        working = true
      } catch {
        // The database is unavailable, which queries report to their callers.
        if (working) onLost()
        working = false
      }
      await sleep(ms, undefined, { signal: ending.signal }).catch(() => {})
    }
  })()
  return {
    close() {
      ending.abort()
      return loop
    },
  }
}
