/**
 * Supervises the child processes of this server: limits their number, ends idle ones, makes room for new ones, and
 * ensures that none outlives the server. A child belongs to the principal that its caller names.
 */
import type { Log } from '../lib/log.ts'
import { type Child, type ChildSpec, startChild } from './child.ts'
import { fail } from './connection.ts'
import { openChildRecord } from './orphans.ts'

/** The principal of a shared child, which is exempt from the limit per principal. */
export const SHARED = 'shared'

export interface StartOptions extends ChildSpec {
  /** Milliseconds without use until it is ended; absent or 0: never. */
  idleTimeout?: number
  /** Whether it is in use now; then it is neither idle nor ended to make room. */
  inUse(): boolean
  /** Called as soon as it is decided to end the child, before it is. */
  onEnding(why: string): void
}

export interface ManagedChild extends Child {
  /** Call it at every use: restarts the idle time. */
  touch(): void
}

export interface ChildStatus {
  upstream: string
  principal: string
  pid: number
  startedAt: Date
  lastUsedAt: Date
  /** The last 20 lines. */
  stderr: string[]
}

export interface Supervisor {
  /**
   * Starts a child; if the limit is reached, first ends the one that has been idle longest.
   *
   * @throws UpstreamFailure `start_failed`; `busy` if all children are in use, or the server is stopping.
   */
  start(options: StartOptions): Promise<ManagedChild>
  children(): ChildStatus[]
  /** The last lines of standard error of an upstream's children; if none runs, of the one that ended last. */
  lastLines(upstream: string): string[]
  /** Ends all children, and starts no more. */
  closeAll(): Promise<void>
  /** Resolves when the children of a killed server have ended. */
  orphansEnded: Promise<void>
  readonly log: Log
}

export interface SupervisorOptions {
  log: Log
  now(): Date
  /** Directory for the record of children; absent: no record. */
  stateDir?: string
  /** Duration of each step of ending a child, in milliseconds; default 2,000. */
  grace?: number
  maxChildren?: number
  maxPerPrincipal?: number
}

interface Managed {
  child: ManagedChild
  options: StartOptions
  startedAt: Date
  lastUsedAt: Date
  /** On the monotonic clock. */
  usedMs: number
  ending: boolean
}

export function openSupervisor({
  log,
  now,
  stateDir,
  grace,
  maxChildren = 64,
  maxPerPrincipal = 8,
}: SupervisorOptions): Supervisor {
  const record = stateDir === undefined ? undefined : openChildRecord(stateDir, log, now, grace)
  const living = new Set<Managed>()
  /** By upstream: the last lines of the child that ended last. */
  const left = new Map<string, string[]>()
  /** Principals of the children that are being started. */
  const starting: string[] = []
  let closed = false

  /** Waits until there is room and reserves it; the caller must release it. */
  async function reserve({ upstream, principal }: ChildSpec): Promise<void> {
    for (;;) {
      if (closed) throw fail('busy', 'the server is stopping')
      const ofPrincipal = [...living].filter(({ options }) => options.principal === principal)
      const isFull = living.size + starting.length >= maxChildren
      const isFullFor =
        principal !== SHARED && ofPrincipal.length + starting.filter(one => one === principal).length >= maxPerPrincipal
      if (!isFull && !isFullFor) return void starting.push(principal)
      const candidates = isFullFor ? ofPrincipal : [...living]
      const leaving = candidates.find(({ ending }) => ending)
      if (leaving) await leaving.child.gone
      else if (!(await endIdlest(candidates))) {
        const whose = isFullFor ? `${principal} has ${maxPerPrincipal}` : `there are ${maxChildren}`
        throw fail('busy', `cannot start ${upstream}: ${whose} child processes, all in use`)
      }
    }
  }

  async function endIdlest(candidates: Managed[]): Promise<boolean> {
    const [idlest] = candidates.filter(({ options }) => !options.inUse()).sort((a, b) => a.usedMs - b.usedMs)
    if (!idlest) return false
    await idlest.child.end('made room for another')
    return true
  }

  async function start(options: StartOptions): Promise<ManagedChild> {
    await reserve(options)
    try {
      return manage(await startChild(options, log, grace), options)
    } finally {
      starting.splice(starting.indexOf(options.principal), 1)
    }
  }

  function manage(child: Child, options: StartOptions): ManagedChild {
    record?.add(child.pid)
    const startedAt = now()
    const touch = () => {
      managed.lastUsedAt = now()
      managed.usedMs = performance.now()
    }
    const end = (why: string) => {
      managed.ending = true
      options.onEnding(why)
      return child.end(why)
    }
    const managed: Managed = {
      child: { ...child, touch, end },
      options,
      startedAt,
      lastUsedAt: startedAt,
      usedMs: performance.now(),
      ending: false,
    }
    living.add(managed)
    log.info({ upstream: options.upstream, pid: child.pid }, 'child started')
    const stopWaiting = endWhenIdle(managed)
    void child.exited.then(() => {
      managed.ending = true
      stopWaiting()
    })
    void child.gone.then(() => {
      living.delete(managed)
      left.set(options.upstream, child.stderr())
      record?.remove(child.pid)
      const how = { how: child.exit(), why: child.endedBecause() }
      log.info({ upstream: options.upstream, pid: child.pid, ...how }, 'child ended')
    })
    // The server was stopped while the child was starting.
    if (closed) void end('the server is stopping')
    return managed.child
  }

  return {
    log,
    start,
    orphansEnded: record?.orphansEnded ?? Promise.resolve(),
    children: () =>
      [...living].map(({ child, options: { upstream, principal }, startedAt, lastUsedAt }) => {
        return { upstream, principal, pid: child.pid, startedAt, lastUsedAt, stderr: child.stderr() }
      }),
    lastLines(upstream) {
      const running = [...living].filter(({ options }) => options.upstream === upstream)
      return running.length > 0 ? running.flatMap(({ child }) => child.stderr()) : (left.get(upstream) ?? [])
    },
    async closeAll() {
      closed = true
      do await Promise.all([...living].map(({ child }) => child.end('the server is stopping')))
      while (living.size > 0 || starting.length > 0)
      await record?.orphansEnded
      record?.close()
    },
  }
}

/** One timer per child, rearmed only when it fires, so that a use costs nothing. @returns a function that stops it. */
function endWhenIdle(managed: Managed): () => void {
  const { idleTimeout, inUse } = managed.options
  if (!idleTimeout) return () => {}
  let timer: NodeJS.Timeout
  const wait = (ms: number) => {
    timer = setTimeout(look, ms).unref()
  }
  const look = () => {
    if (inUse()) return wait(idleTimeout)
    const left = managed.usedMs + idleTimeout - performance.now()
    if (left > 0) return wait(left)
    void managed.child.end(`unused for ${idleTimeout} ms`)
  }
  wait(idleTimeout)
  return () => clearTimeout(timer)
}
