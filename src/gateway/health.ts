/**
 * The health of one upstream: its circuits, its last failure, and when the next attempt is allowed. Per principal if the
 * configuration is, so that one principal's failures do not affect others.
 */
import type { Log } from '../lib/log.ts'
import { type Circuit, openCircuit } from './circuit.ts'
import type { UpstreamConfig } from './config.ts'
import type { Failure, FailureReason } from './connection.ts'
import type { GatewayCaller } from './exchange.ts'

export interface Health {
  /** Waits if the pause is short. @throws UpstreamFailure at once if it is longer. */
  admit(caller: GatewayCaller): Promise<void>
  /** The same for a connection that exists already: only an open circuit matters. */
  admitCall(caller: GatewayCaller): Promise<void>
  succeeded(caller: GatewayCaller): void
  /** It could not be started or reached. @param what In words for the log. */
  failed(caller: GatewayCaller, failure: Failure, what: string): void
  /** A connection ended by itself. @param lasted In milliseconds. */
  ended(caller: GatewayCaller, failure: Failure, lasted: number): void
  /** The last failure, unless something succeeded since. */
  away(caller: GatewayCaller): { reason: FailureReason; retryAt?: Date } | undefined
  /** Forgets all failures: the next attempt is allowed at once. */
  reset(): void
  readonly state: { lastError: string | undefined; open: boolean; retryAt: Date | undefined }
}

/** A process that has run this long did not crash at startup. */
const SETTLED_MS = 60_000
/** These say nothing about the upstream. */
const INCIDENTAL: ReadonlySet<FailureReason> = new Set(['busy', 'cancelled'])

interface Circuits {
  start: Circuit
  crash: Circuit
  failure: Failure | undefined
}

export function openHealth(
  { log, now, onDown }: { log: Log; now(): Date; onDown?(upstream: string, reason: FailureReason): void },
  { name, perPrincipal }: UpstreamConfig,
): Health {
  const all = new Map<string, Circuits>()
  let lastError: string | undefined

  const keyOf = (caller: GatewayCaller) => (perPrincipal ? caller.principal : '')

  function circuitsOf(caller: GatewayCaller): Circuits {
    const key = keyOf(caller)
    let found = all.get(key)
    if (!found) {
      found = { start: openCircuit(now), crash: openCircuit(now, Number.POSITIVE_INFINITY), failure: undefined }
      all.set(key, found)
    }
    return found
  }

  function note(circuits: Circuits, failure: Failure, what: string): void {
    const { reason, detail } = failure
    if (!INCIDENTAL.has(reason)) circuits.failure = failure
    lastError = `${reason}: ${detail}`
    log.warn({ upstream: name, reason, detail }, `the upstream ${what}`)
  }

  return {
    async admit(caller) {
      const { start, crash } = circuitsOf(caller)
      await start.admit()
      await crash.admit()
    },
    async admitCall(caller) {
      const { start } = circuitsOf(caller)
      if (start.open) await start.admit()
    },
    succeeded(caller) {
      const circuits = circuitsOf(caller)
      circuits.start.succeeded()
      circuits.failure = undefined
      lastError = undefined
    },
    failed(caller, failure, what) {
      const circuits = circuitsOf(caller)
      note(circuits, failure, what)
      if (INCIDENTAL.has(failure.reason)) return
      const wasOpen = circuits.start.open
      circuits.start.failed()
      if (!wasOpen && circuits.start.open) onDown?.(name, failure.reason)
    },
    ended(caller, failure, lasted) {
      const circuits = circuitsOf(caller)
      note(circuits, failure, 'ended')
      if (lasted > SETTLED_MS) circuits.crash.succeeded()
      circuits.crash.failed()
    },
    away(caller) {
      const { failure, start, crash } = all.get(keyOf(caller)) ?? {}
      if (!failure) return undefined
      const retryAt = start?.retryAt() ?? crash?.retryAt()
      return { reason: failure.reason, ...(retryAt ? { retryAt } : {}) }
    },
    reset() {
      all.clear()
      lastError = undefined
    },
    get state() {
      const open = [...all.values()].find(({ start }) => start.open)
      const paused = open?.start ?? [...all.values()].map(({ crash }) => crash).find(circuit => circuit.retryAt())
      return { lastError, open: open !== undefined, retryAt: paused?.retryAt() }
    },
  }
}
