/**
 * The connections of one upstream: one per principal, per session, or for all. A connection is opened on first use, once
 * for concurrent callers, and closed when idle; after failures there is a pause.
 */
import type { Log } from '../lib/log.ts'
import type { UpstreamConfig } from './config.ts'
import {
  type Connection,
  type ConnectionEvents,
  type Failure,
  type FailureReason,
  fail,
  UpstreamFailure,
} from './connection.ts'
import type { Credential } from './credential.ts'
import type { Speaks } from './era-detection.ts'
import { carried } from './eras.ts'
import type { GatewayCaller } from './exchange.ts'
import { expandFor } from './expand.ts'
import { openHealth } from './health.ts'
import { openHttp } from './http.ts'
import { openHttpSse } from './http-sse.ts'
import { type Link, type LinkOptions, openLink } from './link.ts'
import type { Memory } from './memory.ts'
import { vetUrl } from './outbound.ts'
import { openSlots, type Slots } from './slots.ts'

export interface ChildSpec {
  upstream: string
  principal: string
  command: string
  args: string[]
  env: Record<string, string>
  cwd?: string
  maxBytes: number
  maxItems: number
  /** Whether it is in use: then it is not ended to make room for another. */
  inUse(): boolean
}

export interface PoolDeps {
  log: Log
  now(): Date
  /** The upstream failed so often that its calls fail at once. */
  onDown?(upstream: string, reason: FailureReason): void
  openChild(spec: ChildSpec, events: ConnectionEvents): Promise<Connection>
  /** For upstreams with `auth`. @throws UpstreamFailure for callers that cannot have one. */
  credentialFor(config: UpstreamConfig, caller: GatewayCaller): Credential | undefined
}

export interface Pool {
  /** The caller's connection, opened if necessary. Opening continues if the caller disconnects. @throws UpstreamFailure */
  acquire(caller: GatewayCaller): Promise<Link>
  /** The caller's connection, if it is open. */
  live(caller: GatewayCaller): Link | undefined
  slots(link: Link): Slots
  links(): Iterable<Link>
  /** HTTP: reports the outcome of a call, for the circuit breaker. */
  reportCall(caller: GatewayCaller, failure: Failure | undefined): void
  /** Why the upstream cannot be used for this caller now. @returns undefined if it can, as far as is known. */
  away(caller: GatewayCaller): { reason: FailureReason | 'starting'; retryAt?: Date } | undefined
  endPrincipal(principal: string): Promise<void>
  /** Uses a principal's connections for no further call, and closes them when their calls have ended. */
  retirePrincipal(principal: string): void
  /** Closes all connections, with their calls in flight, and forgets failures: the next call opens a new one. */
  restart(): Promise<void>
  /** Opens no new connections, and closes existing ones when their calls have ended. */
  retire(): void
  close(): Promise<void>
  readonly state: {
    speaks: Speaks | undefined
    starting: number
    restarts: number
    lastError: string | undefined
    open: boolean
    retryAt: Date | undefined
  }
}

export type PoolEvents = Pick<LinkOptions, 'onList' | 'onListChanged' | 'onElicitationComplete' | 'warn'> & {
  onLink(link: Link): void
}

/** Whether a failure says nothing about the upstream itself. */
const isAboutPerson = ({ reason }: Failure) =>
  reason === 'unlinked' || reason === 'more_scope' || reason === 'for_people'
const SWEEP_MS = 1_000

export function openPool(deps: PoolDeps, config: UpstreamConfig, memory: Memory, events: PoolEvents): Pool {
  const { transport, name } = config
  const links = new Map<string, Link>()
  const keys = new WeakMap<Link, string>()
  const starting = new Map<string, Promise<Link>>()
  const health = openHealth(deps, config)
  const slots = new WeakMap<Link, Slots>()
  const shared = transport.type === 'http' ? openSlots(config.concurrency, config.queue) : undefined
  let speaks: Speaks | undefined
  let restarts = 0
  let closed = false

  function keyFor(caller: GatewayCaller): string {
    if (transport.type === 'http')
      return config.perPrincipal || (speaks !== undefined && speaks !== '2026') ? caller.principal : ''
    if (config.isolation === 'shared') return ''
    return config.isolation === 'session' && caller.session !== undefined
      ? `${caller.principal} ${caller.session}`
      : caller.principal
  }

  async function connect(
    caller: GatewayCaller,
    kind: 'plain' | 'sse',
    connection: ConnectionEvents,
    inUse: () => boolean,
  ) {
    const filled = config.perPrincipal ? expandFor(transport, caller) : transport
    const { maxBytes, maxTools: maxItems } = config
    if (filled.type === 'http') {
      await vetUrl(filled.url)
      const credential = deps.credentialFor(config, caller)
      const spec = {
        url: filled.url,
        headers: filled.headers,
        maxBytes,
        maxItems,
        ...(credential ? { credential } : {}),
      }
      return kind === 'sse' ? openHttpSse(spec, connection) : openHttp(spec, connection)
    }
    const { command, args, env, cwd } = filled
    const principal = config.isolation === 'shared' ? 'shared' : caller.principal
    const spec = {
      upstream: name,
      principal,
      command,
      args,
      env,
      maxBytes,
      maxItems,
      inUse,
      ...(cwd === undefined ? {} : { cwd }),
    }
    return deps.openChild(spec, connection)
  }

  async function start(key: string, caller: GatewayCaller): Promise<Link> {
    await health.admit(caller)
    const known = await memory.era()
    let made: Link | undefined
    try {
      const link = await openLink({
        connect: (kind, connection) => connect(caller, kind, connection, () => !made || made.inUse),
        transport: transport.type,
        ...(transport.type === 'http' && transport.kind !== 'auto' ? { only: transport.kind } : {}),
        ...(known ? { known } : {}),
        startTimeout: config.startTimeout,
        capabilities: carried(config.roots),
        owner: key === '' ? '' : caller.principal,
        timeout: config.timeout,
        maxItems: config.maxTools,
        roots: config.roots,
        warn: events.warn,
        onList: events.onList,
        onListChanged: events.onListChanged,
        onElicitationComplete: events.onElicitationComplete,
        onStale: forget,
        onClose: (ended, failure) => onClose(ended, failure, caller),
      })
      made = link
      health.succeeded(caller)
      if (known !== link.speaks) memory.rememberEra(link.speaks)
      speaks = link.speaks
      if (closed) {
        await link.close()
        throw fail('cancelled', 'the upstream was removed')
      }
      admit(link, keyFor(caller))
      return link
    } catch (error) {
      // That a person has linked no account is not a failure of the upstream.
      if (!(error instanceof UpstreamFailure) || isAboutPerson(error.failure)) throw error
      health.failed(caller, error.failure, 'could not be started')
      throw error
    }
  }

  function admit(link: Link, key: string): void {
    links.set(key, link)
    keys.set(link, key)
    events.onLink(link)
    if (!timer) timer = setInterval(sweep, SWEEP_MS)
  }

  /** @returns the connections of a principal, which no further call uses. */
  function take(principal: string): Link[] {
    const taken = [...links].filter(([, link]) => link.owner === principal)
    for (const [key] of taken) links.delete(key)
    return taken.map(([, link]) => link)
  }

  function forget(link: Link): void {
    const key = keys.get(link)
    if (key !== undefined && links.get(key) === link) links.delete(key)
    // Calls in flight may still be answered.
    link.retire(config.maxTimeout)
  }

  function onClose(link: Link, failure: Failure, caller: GatewayCaller): void {
    const key = keys.get(link)
    if (key !== undefined && links.get(key) === link) links.delete(key)
    if (failure.reason === 'cancelled' || closed) return
    restarts++
    health.ended(caller, failure, performance.now() - link.startedAt)
  }

  let timer: NodeJS.Timeout | undefined
  function sweep(): void {
    const { idleTimeout } = config
    for (const [key, link] of links) {
      if (idleTimeout === 0 || performance.now() - link.lastUsedAt < idleTimeout) continue
      links.delete(key)
      void link.close()
    }
    if (links.size > 0) return
    clearInterval(timer)
    timer = undefined
  }

  return {
    live(caller) {
      const link = links.get(keyFor(caller))
      return link?.stale ? undefined : link
    },
    async acquire(caller) {
      for (;;) {
        if (closed) throw fail('unreachable', 'the upstream was removed')
        const key = keyFor(caller)
        const link = links.get(key)
        if (link && !link.stale) {
          if (transport.type === 'http') await health.admitCall(caller)
          return link
        }
        let begun = starting.get(key)
        if (!begun) {
          begun = start(key, caller).finally(() => starting.delete(key))
          starting.set(key, begun)
        }
        const started = await begun
        // The key may have changed with the era: 2025 sessions over HTTP are not shared.
        if (keys.get(started) === keyFor(caller)) return started
      }
    },
    slots(link) {
      if (shared) return shared
      let own = slots.get(link)
      if (!own) {
        own = openSlots(config.concurrency, config.queue)
        slots.set(link, own)
      }
      return own
    },
    links: () => links.values(),
    reportCall(caller, failure) {
      if (transport.type !== 'http') return
      if (!failure) health.succeeded(caller)
      else if (failure.reason === 'unreachable' && failure.status === undefined)
        health.failed(caller, failure, 'could not be reached')
    },
    away: caller => (starting.has(keyFor(caller)) ? { reason: 'starting' } : health.away(caller)),
    async endPrincipal(principal) {
      await Promise.all(take(principal).map(link => link.close()))
    },
    retirePrincipal(principal) {
      for (const link of take(principal)) link.retire(config.maxTimeout)
    },
    async restart() {
      const all = [...links.values()]
      links.clear()
      health.reset()
      await Promise.all(all.map(link => link.close()))
    },
    retire() {
      closed = true
      clearInterval(timer)
      for (const link of links.values()) link.retire(config.timeout)
    },
    async close() {
      closed = true
      clearInterval(timer)
      await Promise.all([...links.values()].map(link => link.close()))
    },
    get state() {
      return { speaks, starting: starting.size, restarts, ...health.state }
    },
  }
}
