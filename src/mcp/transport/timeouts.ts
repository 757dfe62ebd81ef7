/** Timeouts of one length, nearly all of which are cancelled in time: one timer of the runtime serves them all. */

export interface Timeouts {
  /** @returns how to cancel it; idempotent. */
  start(act: () => void): () => void
}

export function openTimeouts(milliseconds: number): Timeouts {
  /** In the order in which they are due. */
  const waiting = new Set<{ act(): void; dueAt: number }>()
  let isRunning = false

  function look(): void {
    isRunning = false
    const now = performance.now()
    for (const timeout of waiting) {
      if (timeout.dueAt > now) {
        run(timeout.dueAt - now)
        return
      }
      waiting.delete(timeout)
      timeout.act()
    }
  }

  function run(ms: number): void {
    if (isRunning) return
    isRunning = true
    setTimeout(look, ms)
  }

  return {
    start(act) {
      const timeout = { act, dueAt: performance.now() + milliseconds }
      waiting.add(timeout)
      run(milliseconds)
      return () => void waiting.delete(timeout)
    },
  }
}
