/** Timeouts of one length, nearly all of which are cancelled in time: one timer of the runtime serves them all. */

export interface Timeouts {
  /** @returns how to cancel it; idempotent. */
  start(run: () => void): () => void
}

export function openTimeouts(milliseconds: number): Timeouts {
  /** In the order in which they are due. */
  const waiting = new Set<{ run(): void; dueAt: number }>()
  let timer: Timer | undefined

  function look(): void {
    timer = undefined
    const now = performance.now()
    for (const timeout of waiting) {
      if (timeout.dueAt > now) {
        timer = setTimeout(look, timeout.dueAt - now)
        return
      }
      waiting.delete(timeout)
      timeout.run()
    }
  }

  return {
    start(run) {
      const timeout = { run, dueAt: performance.now() + milliseconds }
      waiting.add(timeout)
      timer ??= setTimeout(look, milliseconds)
      return () => void waiting.delete(timeout)
    },
  }
}
