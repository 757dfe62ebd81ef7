/** One upstream: its connections, its lists for each caller, and the listeners to its changes. */
import type { Queries } from '../../sql/index.ts'
import type { UpstreamConfig } from './config.ts'
import { UpstreamFailure } from './connection.ts'
import type { AccountAt } from './credential.ts'
import type { ServerDescription } from './era-detection.ts'
import type { GatewayCaller, ListenFilter, Listening, UpstreamStatus } from './exchange.ts'
import { grantable, type Listener } from './feed.ts'
import type { Link } from './link.ts'
import { type Catalogue, type Entry, type Kind, LISTS } from './lists.ts'
import { type ChangedTools, type Known, openMemory } from './memory.ts'
import { isObject } from './messages.ts'
import { openPool, type Pool, type PoolDeps } from './pool.ts'
import { statusOf } from './status.ts'
import { openVisibility, type Visible } from './visible.ts'

export interface UpstreamDeps extends PoolDeps {
  sql: Queries
  onToolsChanged(change: ChangedTools): void
  /** The upstream says that a page, which it had asked to be opened, is done. @param owner See {@link Link.owner}. */
  onElicitationComplete?(upstream: string, elicitationId: string, owner: string): void
}

export interface ListChange {
  kind: 'tools' | 'prompts' | 'resources'
  /** Whose list; undefined: everyone's. */
  principal: string | undefined
  /** The list was not known before, so it is a change only for clients that got lists without it. */
  first: boolean
}

export interface Upstream {
  readonly config: UpstreamConfig
  readonly pool: Pool
  /**
   * The upstream's description of itself. Starts it only if none is stored.
   *
   * @param patience Milliseconds to wait for a start; absent: until it has started or failed.
   * @returns undefined if it has not started in time. @throws UpstreamFailure only without `patience`.
   */
  describe(caller: GatewayCaller, patience?: number): Promise<ServerDescription | undefined>
  /** A list without what policy hides, live or as last stored; `patience` as for {@link describe}. */
  list(kind: Kind, caller: GatewayCaller, patience?: number): Promise<Visible | undefined>
  /** The list that is in memory. */
  listNow(kind: Kind, caller: GatewayCaller): Visible | undefined
  /** The tool as this connection lists it, checked against its fingerprint. @returns undefined if it is hidden or does not exist. */
  toolOf(link: Link, name: string): Promise<Entry | undefined>
  /** The same, if it was already checked. */
  toolNow(link: Link, name: string): Entry | undefined
  /** Whether its lists are the same for every caller. */
  readonly sharable: boolean
  /** @param start Whether to connect at once instead of waiting for a call. */
  listen(caller: GatewayCaller, filter: ListenFilter, listener: Listener, start: boolean): Promise<Listening>
  /** Present if people use accounts of their own. */
  readonly account?: AccountAt
  /**
   * Drops what is known for a principal, and its connections: it has another account now, whose calls in flight go on, or
   * none.
   */
  accountChanged(principal: string, isLinked: boolean): Promise<void>
  /** Call it when changed tools were accepted, here or on another replica. */
  trusted(): void
  /** Reads what is stored for everybody, for {@link status}. */
  load(): Promise<void>
  status(): Omit<UpstreamStatus, 'stderr'>
}

/** Minimum time between two notifications of the same change. */
const QUIET_MS = 1_000

export function openUpstream(
  deps: UpstreamDeps,
  config: UpstreamConfig,
  onChange: (change: ListChange) => void,
): Upstream {
  const memory = openMemory(deps, config)
  const { transport, name } = config
  const listeners = new Map<Listener, GatewayCaller>()
  const visibility = openVisibility(memory, config)
  const { visibleOf, isJudged } = visibility
  const changes = throttle(QUIET_MS, onChange)

  /** The principal under which a list is stored; empty: shared by all. */
  function scopeOf(kind: Kind | 'server', principal: string): string {
    if (config.perPrincipal) return principal
    const private_ = transport.type === 'stdio' && config.isolation !== 'shared' && kind.startsWith('resource')
    return private_ ? principal : ''
  }

  const pool = openPool(deps, config, memory, {
    warn: words => deps.log.warn({ upstream: name }, `the upstream ${words}`),
    onLink(link) {
      memory.rememberServer(scopeOf('server', link.owner), link.server)
      for (const [listener, caller] of listeners) if (pool.live(caller) === link) void link.feed.add(listener)
    },
    onList(link, catalogue) {
      const scope = scopeOf(catalogue.kind, link.owner)
      // After a principal's calls, its lists may differ from everyone's.
      if (scope !== link.owner && !link.pristine) return
      const differs = memory.rememberList(scope, catalogue)
      if (differs !== 'same') changed(catalogue.kind, scope, differs === 'new')
    },
    onElicitationComplete: (link, elicitationId) => deps.onElicitationComplete?.(name, elicitationId, link.owner),
    onListChanged(link, kinds) {
      for (const kind of kinds) changed(kind, link.owner, false)
    },
  })

  function changed(kind: Kind, principal: string, first: boolean): void {
    changes({ kind: LISTS[kind].capability, principal: principal === '' ? undefined : principal, first })
  }

  const judged = (catalogue: Catalogue, principal: string) => visibility.judged(catalogue, scopeOf('tools', principal))

  /** A stored list; empty if the upstream does not have the capability. */
  function knownList(
    known: Known | undefined,
    server: ServerDescription | undefined,
    kind: Kind,
  ): Catalogue | undefined {
    const list = known?.lists.get(kind)
    if (list) return list
    return server && !isObject(server.capabilities[LISTS[kind].capability]) ? { kind, entries: new Map() } : undefined
  }

  async function list(kind: Kind, caller: GatewayCaller, patience?: number): Promise<Visible | undefined> {
    const { principal } = caller
    const lastKnown = async () => {
      const [own, everybody] = [
        await memory.known(scopeOf(kind, principal)),
        await memory.known(scopeOf('server', principal)),
      ]
      return knownList(own, everybody.server, kind)
    }
    const link = pool.live(caller)
    const known = link ? undefined : await lastKnown()
    if (known) return visibleOf(await judged(known, principal))
    const live = async () => judged(await (link ?? (await pool.acquire(caller))).catalogue(kind), principal)
    try {
      const catalogue = await within(patience, live())
      if (catalogue) return visibleOf(catalogue)
    } catch (error) {
      const last = link ? await lastKnown() : undefined
      if (last) return visibleOf(await judged(last, principal))
      if (patience === undefined) throw error
      return undefined
    }
    const last = link ? await lastKnown() : undefined
    return last && visibleOf(await judged(last, principal))
  }

  return {
    config,
    pool,
    async describe(caller, patience) {
      const live = pool.live(caller)
      if (live) return live.server
      const known = await memory.known(scopeOf('server', caller.principal))
      if (known.server) return known.server
      try {
        return (await within(patience, pool.acquire(caller)))?.server
      } catch (error) {
        if (patience === undefined) throw error
        return undefined
      }
    },
    list,
    listNow(kind, caller) {
      const catalogue =
        pool.live(caller)?.catalogueNow(kind) ?? memory.knownNow(scopeOf(kind, caller.principal))?.lists.get(kind)
      return catalogue && isJudged(catalogue) ? visibleOf(catalogue) : undefined
    },
    async toolOf(link, tool) {
      try {
        const found = visibleOf(await judged(await link.catalogue('tools'), link.owner)).get(tool)
        // A tool that has just appeared may be called before its notification arrives.
        if (found || !link.forget('tools')) return found
        return visibleOf(await judged(await link.catalogue('tools'), link.owner)).get(tool)
      } catch (error) {
        // An upstream that fails to list may still answer calls, unless its tools must be checked first.
        if (!(error instanceof UpstreamFailure) || error.failure.reason !== 'protocol' || config.onChange === 'block')
          throw error
        return { key: tool, item: {}, headers: [] }
      }
    },
    toolNow(link, tool) {
      const catalogue = link.catalogueNow('tools')
      return catalogue && isJudged(catalogue) ? visibleOf(catalogue).get(tool) : undefined
    },
    get sharable() {
      return !config.perPrincipal && (transport.type === 'http' || config.isolation === 'shared') && !config.users
    },
    async listen(caller, filter, listener, start) {
      let server = pool.live(caller)?.server ?? (await memory.known(scopeOf('server', caller.principal))).server
      listeners.set(listener, caller)
      const live = pool.live(caller)
      if (live) await live.feed.add(listener)
      else if (start || listener.uris.length > 0) {
        // Wait only briefly, so that an unresponsive upstream does not block the client; `onLink` attaches the listener later.
        const link = await within(QUIET_MS * 2, pool.acquire(caller)).catch(() => undefined)
        server = link?.server ?? server
        if (link) await Promise.race([link.feed.add(listener), Bun.sleep(QUIET_MS)])
      }
      return {
        granted: server ? grantable(filter, server.capabilities) : filter,
        close() {
          listeners.delete(listener)
          for (const link of pool.links()) link.feed.remove(listener)
        },
      }
    },
    async accountChanged(principal, isLinked) {
      if (isLinked) pool.retirePrincipal(principal)
      else await pool.endPrincipal(principal)
      memory.forget(principal)
      visibility.forget(principal)
    },
    trusted() {
      visibility.reset()
      onChange({ kind: 'tools', principal: undefined, first: false })
    },
    async load() {
      await memory.known('')
    },
    status() {
      const [link] = pool.links()
      const count = (kind: Kind) => {
        const list = link?.catalogueNow(kind) ?? memory.knownNow('')?.lists.get(kind)
        return list && visibleOf(list).size
      }
      return statusOf(config, pool, count, visibility.waiting())
    },
  }
}

/** @returns undefined if the work takes longer than `ms`; the work continues. */
async function within<T>(ms: number | undefined, work: Promise<T>): Promise<T | undefined> {
  if (ms === undefined) return work
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(resolve, ms, undefined)
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
    work.catch(() => {})
  }
}

/** Passes on equal changes at most once in `ms`; a change during that time is passed on at its end. */
export function throttle(ms: number, tell: (change: ListChange) => void): (change: ListChange) => void {
  const quiet = new Map<string, boolean>()
  return change => {
    const key = `${change.kind} ${change.first} ${change.principal ?? ''}`
    if (quiet.has(key)) {
      quiet.set(key, true)
      return
    }
    tell(change)
    quiet.set(key, false)
    setTimeout(() => {
      const again = quiet.get(key)
      quiet.delete(key)
      if (again) tell(change)
    }, ms)
  }
}
