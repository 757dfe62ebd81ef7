/**
 * A signal to stop work, as AbortSignal is, which can be used in its place. One of the runtime takes longer than most steps
 * of a call, and nearly all calls end by themselves.
 */
export interface StopSignal {
  readonly aborted: boolean
  addEventListener(type: 'abort', listener: () => void): void
  removeEventListener(type: 'abort', listener: () => void): void
}

export interface Stop {
  readonly signal: StopSignal
  /** Calls each listener once. */
  abort(): void
}

export function openStop(): Stop {
  let aborted = false
  let listeners: (() => void)[] = []
  return {
    signal: {
      get aborted() {
        return aborted
      },
      addEventListener(_, listener) {
        listeners.push(listener)
      },
      removeEventListener(_, listener) {
        listeners = listeners.filter(one => one !== listener)
      },
    },
    abort() {
      if (aborted) return
      aborted = true
      const told = listeners
      listeners = []
      for (const listener of told) listener()
    },
  }
}
