/**
 * Records what clients do on the way to their first call; `attempts` puts the steps of one attempt together and says where
 * it stopped. Nothing here is secret: addresses as networks, client ids that we know, and our own words.
 */
import { insertConnectionSteps, type NewStep } from '../../sql/connection-steps.ts'
import type { Queries } from '../../sql/index.ts'
import { makeRoom } from '../lib/bounded.ts'
import type { Log } from '../lib/log.ts'
import { isWithinLimit, LIMITS, type Limits } from '../limits.ts'

export type Step =
  | 'challenge'
  | 'metadata'
  | 'registration'
  | 'authorization'
  | 'sign-in'
  | 'consent'
  | 'device code'
  | 'approval'
  | 'token'
  | 'call'

/** Steps that only a person or a valid credential gets done. */
const KNOWN: ReadonlySet<Step> = new Set(['consent', 'approval', 'token', 'call'])
const FLUSH_MS = 2_000
const QUEUE = 2_000
/** Repetitions within this time are one step; clients poll for much longer. */
const REPEAT_MS = 5_000
const POLL_MS = 15 * 60_000
const REMEMBERED = 5_000
/** Corrections of the clock are smaller; steps keep their order over them, and have times of their own. */
const CORRECTION_MS = 1_000
/** A call this soon after the token counts as the client's first. */
export const FIRST_CALL_MS = 15 * 60_000

export interface StepWriter {
  see(seen: Omit<NewStep, 'at' | 'known' | 'step'> & { step: Step }): void
  /** Whether a connection has not called here before; from then on it has. */
  isFirst(connection: string): boolean
  flush(): Promise<void>
  close(): Promise<void>
}

export function openSteps(deps: { sql: Queries; log: Log; limits: Limits; now: () => Date }): StepWriter {
  const { sql, log, limits, now } = deps
  const waiting: NewStep[] = []
  /** Recent steps, and until when (ms) they are repetitions. */
  const recent = new Map<string, number>()
  const called = new Set<string>()
  let latest = 0
  let timer: Timer | undefined
  let writing = Promise.resolve()

  async function write(): Promise<void> {
    const batch = waiting.splice(0)
    if (batch.length === 0) return
    await insertConnectionSteps(sql, batch, new Date(now().getTime() - FIRST_CALL_MS)).catch(error => {
      log.debug({ detail: (error as Error).message }, 'steps of connections were not stored')
    })
  }

  function flush(): Promise<void> {
    clearTimeout(timer)
    timer = undefined
    writing = writing.then(write)
    return writing
  }

  return {
    see(step) {
      const time = now().getTime()
      const next = latest - time < CORRECTION_MS ? Math.max(latest + 1, time) : time
      const key = `${step.network} ${step.clientId ?? step.program} ${step.status} ${step.step} ${step.answer ?? ''}`
      if ((recent.get(key) ?? 0) > next) return
      const at = new Date(next)
      if (waiting.length >= QUEUE || !isWithinLimit(limits, at, LIMITS.steps, step.network)) return
      latest = next
      recent.delete(key)
      makeRoom(recent, REMEMBERED).set(key, at.getTime() + (step.answer === PENDING ? POLL_MS : REPEAT_MS))
      waiting.push({ ...step, at, known: KNOWN.has(step.step) && step.status < 400 })
      timer ??= setTimeout(() => void flush(), FLUSH_MS)
    },
    isFirst(connection) {
      if (called.has(connection)) return false
      makeRoom(called, REMEMBERED).add(connection)
      return true
    },
    flush,
    close: flush,
  }
}

/** The answer to a device that polls before somebody has decided. */
export const PENDING = 'authorization_pending'
