/**
 * One open connection to an upstream, after the handshake: the calls in flight, which of them a question or log message
 * of the upstream belongs to, its lists, and its feed of changes.
 */

import { type Connection, type ConnectionEvents, type Failure, UpstreamFailure } from './connection.ts'
import { type Era, type Handshake, type HandshakeOptions, type ServerDescription, shakeHands } from './era-detection.ts'
import { declares, isAtLeast, type LogLevel, neededFor, type Question } from './eras.ts'
import { type Feed, openFeed } from './feed.ts'
import { openLinkLists } from './link-lists.ts'
import type { Catalogue, Kind } from './lists.ts'
import {
  INTERNAL_ERROR,
  isObject,
  METHOD_NOT_FOUND,
  RpcError,
  type RpcNotification,
  type RpcRequest,
} from './messages.ts'
import { type CallOptions, openPeer, type Peer, type PeerAnswer, type PeerEvents } from './peer.ts'

/** A client's call in flight. */
export interface ActiveCall {
  principal: string
  capabilities: Record<string, unknown>
  /** The log messages that its client wants; undefined: none. */
  logLevel: LogLevel | 'any' | undefined
  /** Receives the upstream's notifications about the call, unmodified. */
  notify(notification: RpcNotification): void
  /** Asks the client a question of the upstream. @throws RpcError, for the upstream. */
  ask(question: Question, signal: AbortSignal): Promise<Record<string, unknown>>
}

export interface Link {
  /** The principal that it belongs to; empty: shared by all. */
  readonly owner: string
  readonly era: Era
  readonly speaks: Handshake['speaks']
  readonly server: ServerDescription
  readonly feed: Feed
  /** Whether no client has made a call yet: then its lists do not depend on the principal. */
  readonly pristine: boolean
  /** On the clock of `performance.now()`. */
  readonly startedAt: number
  readonly lastUsedAt: number
  readonly inFlight: number
  /** Whether a call is in flight or a resource is subscribed to. */
  readonly inUse: boolean
  /** Takes no new calls: the upstream has lost the session, or the configuration changed. */
  readonly stale: boolean
  /** Performs a client's call. @throws UpstreamFailure if there is no answer. */
  call(active: ActiveCall, method: string, params: Record<string, unknown>, options: CallOptions): Promise<PeerAnswer>
  /** The current, complete list. @throws UpstreamFailure if the upstream does not return it. */
  catalogue(kind: Kind): Promise<Catalogue>
  /** The list in memory, if there is one. */
  catalogueNow(kind: Kind): Catalogue | undefined
  /** Makes the next {@link catalogue} fetch the list again. @returns false if it was fetched a moment ago. */
  forget(kind: Kind): boolean
  /** 2025: lowers the upstream's log level to this one if it is higher. */
  wantLogs(level: LogLevel): Promise<void>
  notify(method: string, params?: Record<string, unknown>): Promise<void>
  /** Closes it when no call is in flight, or after `ms`. */
  retire(ms: number): void
  close(): Promise<void>
}

export interface LinkOptions extends Omit<HandshakeOptions, 'dial'> {
  connect(kind: 'plain' | 'sse', events: ConnectionEvents): Connection | Promise<Connection>
  owner: string
  timeout: number
  maxItems: number
  roots: boolean
  warn(words: string): void
  /** A list was fetched. */
  onList(link: Link, catalogue: Catalogue): void
  /** A list may have changed. */
  onListChanged(link: Link, kinds: readonly Kind[]): void
  /** A page that the upstream wanted to be opened is done. */
  onElicitationComplete(link: Link, elicitationId: string): void
  onStale(link: Link): void
  onClose(link: Link, failure: Failure): void
}

/** @throws UpstreamFailure if the upstream does not start. */
export async function openLink(options: LinkOptions): Promise<Link> {
  // A connection may close during the handshake.
  let events: PeerEvents | undefined
  const over = new WeakMap<Peer, Failure>()
  const { peer, era, speaks, server } = await shakeHands({
    ...options,
    dial: kind => {
      let mine: Peer | undefined
      const opening = openPeer(connection => options.connect(kind, connection), {
        onRequest: (request, about, signal) => {
          if (!events) throw new RpcError(METHOD_NOT_FOUND, 'Requests are not accepted before the first call')
          return events.onRequest(request, about, signal)
        },
        onNotification: (notification, about) => events?.onNotification(notification, about),
        onStale: () => events?.onStale?.(),
        onClose(failure) {
          if (events && mine === peer) events.onClose(failure)
          else if (mine) over.set(mine, failure)
        },
      })
      return opening.then(opened => {
        mine = opened
        return opened
      })
    },
  })
  const ended = over.get(peer)
  if (ended) throw new UpstreamFailure(ended)
  const made = makeLink(options, { peer, era, speaks, server })
  events = made.events
  return made.link
}

function makeLink(options: LinkOptions, { peer, era, speaks, server }: Omit<Handshake, 'revision'>) {
  const calls = new Map<number, ActiveCall>()
  /** Calls that wait for an answer of their client's, with how many questions. */
  const asking = new Map<ActiveCall, number>()
  let pristine = true
  let stale = false
  let lastUsedAt = performance.now()
  let logLevel: LogLevel | undefined
  const cancelByClosing = era === '2026' && options.transport === 'http'
  const { timeout } = options
  const lists = openLinkLists({
    peer,
    era,
    server,
    timeout,
    cancelByClosing,
    most: options.maxItems,
    warn: options.warn,
    onList: catalogue => options.onList(link, catalogue),
  })

  const feed = openFeed({
    peer,
    era,
    capabilities: server.capabilities,
    timeout,
    cancelByClosing,
    onListChanged(method) {
      options.onListChanged(link, lists.changed(method))
    },
  })

  /**
   * Finds the call that an untagged message belongs to, so that nothing of one principal reaches another. A call that
   * waits for its client sends nothing: a server asks one question at a time.
   */
  function callFor(wants: (call: ActiveCall) => boolean): ActiveCall | undefined {
    const all = [...calls.values()]
    if (all.some(({ principal }) => principal !== all[0]!.principal)) return undefined
    const running = all.filter(call => !asking.has(call))
    const likely = running.length > 0 ? running : all
    const candidates = likely.length === 1 ? likely : likely.filter(wants)
    return candidates.length === 1 ? candidates[0] : undefined
  }

  async function ask(call: ActiveCall, question: Question, signal: AbortSignal): Promise<Record<string, unknown>> {
    asking.set(call, (asking.get(call) ?? 0) + 1)
    try {
      return await call.ask(question, signal)
    } finally {
      const left = asking.get(call)! - 1
      if (left > 0) asking.set(call, left)
      else asking.delete(call)
    }
  }

  /** It may arrive long after the call that asked for the page, whichever call is running now. */
  function takeComplete({ method, params }: RpcNotification): boolean {
    if (method !== 'notifications/elicitation/complete') return false
    if (typeof params?.elicitationId === 'string') options.onElicitationComplete(link, params.elicitationId)
    return true
  }

  const events: PeerEvents = {
    async onRequest(request: RpcRequest, about, signal) {
      const needed = neededFor(request)
      if (!needed || (request.method === 'roots/list' && !options.roots))
        throw new RpcError(METHOD_NOT_FOUND, `${request.method} is not supported`)
      const call =
        about === undefined ? callFor(({ capabilities }) => declares(capabilities, needed)) : calls.get(about)
      if (!call) throw new RpcError(INTERNAL_ERROR, 'This request cannot be assigned to a call')
      return ask(call, { method: request.method, ...(request.params ? { params: request.params } : {}) }, signal)
    },
    onNotification(notification) {
      if (feed.take(notification) || takeComplete(notification)) return
      if (notification.method !== 'notifications/message') return
      const call = callFor(one => wantsLog(one, notification))
      if (call && wantsLog(call, notification)) call.notify(notification)
    },
    onStale() {
      stale = true
      options.onStale(link)
    },
    onClose(failure) {
      feed.close()
      options.onClose(link, failure)
    },
  }

  const link: Link = {
    owner: options.owner,
    era,
    speaks,
    server,
    feed,
    startedAt: performance.now(),
    get pristine() {
      return pristine
    },
    get lastUsedAt() {
      return link.inUse ? performance.now() : lastUsedAt
    },
    get inUse() {
      return feed.needed || calls.size > 0
    },
    get inFlight() {
      return calls.size
    },
    get stale() {
      return stale
    },
    call(active, method, params, callOptions) {
      pristine = false
      let id = 0
      return peer.call(method, params, {
        ...callOptions,
        cancelByClosing,
        onStart(call) {
          id = call.id
          calls.set(id, active)
          callOptions.onStart?.(call)
        },
        onEnd() {
          calls.delete(id)
          lastUsedAt = performance.now()
        },
        onNotification(notification) {
          if (feed.take(notification) || takeComplete(notification)) return
          if (notification.method !== 'notifications/message' || wantsLog(active, notification))
            active.notify(notification)
        },
      })
    },
    catalogue: lists.catalogue,
    catalogueNow: lists.now,
    forget: lists.forget,
    async wantLogs(level) {
      if (era === '2026' || !isObject(server.capabilities.logging)) return
      if (logLevel !== undefined && isAtLeast(level, logLevel)) return
      logLevel = level
      await peer.call('logging/setLevel', { level }, { timeout, maxTimeout: timeout }).catch(() => {})
    },
    notify: (method, params) => peer.notify(method, params),
    retire(ms) {
      stale = true
      const deadline = performance.now() + ms
      const timer = setInterval(() => {
        if (calls.size > 0 && performance.now() < deadline) return
        clearInterval(timer)
        void link.close()
      }, 50)
    },
    async close() {
      feed.close()
      await peer.close()
    },
  }
  return { link, events }
}

function wantsLog({ logLevel }: ActiveCall, { params }: RpcNotification): boolean {
  return logLevel !== undefined && (logLevel === 'any' || isAtLeast(params?.level, logLevel))
}
