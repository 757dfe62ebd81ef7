/**
 * Change notifications of one connection, for any number of listeners with one upstream subscription. 2025 upstreams
 * send `list_changed` unasked and `updated` after `resources/subscribe`; 2026 upstreams answer one `subscriptions/listen`.
 */

import { type Era, ourEnvelope } from './era-detection.ts'
import { withoutSubscription } from './eras.ts'
import type { ListenFilter } from './exchange.ts'
import { isObject, type RpcNotification } from './messages.ts'
import type { Peer, PeerCall } from './peer.ts'
import { metaOf, SUBSCRIPTION_ID } from './protocol.ts'

/** A listener for changed resources. */
export interface Listener {
  /** The upstream's own URIs. */
  uris: readonly string[]
  deliver(notification: RpcNotification): void
}

export interface Feed {
  /** Resolves when the upstream has acknowledged the subscription, or after a timeout. */
  add(listener: Listener): Promise<void>
  remove(listener: Listener): void
  /** Handles a notification that belongs to no call. @returns whether it was a change notification. */
  take(notification: RpcNotification): boolean
  /** Whether any resource is subscribed to: then the connection is in use. */
  readonly needed: boolean
  close(): void
}

const LIST_CHANGED: ReadonlySet<string> = new Set([
  'notifications/tools/list_changed',
  'notifications/prompts/list_changed',
  'notifications/resources/list_changed',
])
const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged'
const UPDATED = 'notifications/resources/updated'
/** How long a listener waits for the upstream's acknowledgement. */
const ACKNOWLEDGED_MS = 2_000
const AGAIN_MS = 1_000
const AGAIN_MOST_MS = 60_000

export interface FeedOptions {
  peer: Peer
  era: Era
  capabilities: Record<string, unknown>
  /** Timeout of one request, in milliseconds. */
  timeout: number
  /** 2026 over HTTP: a subscription ends when its stream is closed. */
  cancelByClosing: boolean
  onListChanged(method: string): void
}

const isChange = ({ method }: RpcNotification): boolean => LIST_CHANGED.has(method) || method === UPDATED

/** The part of a filter that an upstream with these capabilities supports. */
export function grantable(filter: ListenFilter, capabilities: Record<string, unknown>): ListenFilter {
  const offers = (capability: string, member: string) => {
    const value = capabilities[capability]
    return isObject(value) && value[member] === true
  }
  return {
    ...(filter.toolsListChanged && offers('tools', 'listChanged') ? { toolsListChanged: true } : {}),
    ...(filter.promptsListChanged && offers('prompts', 'listChanged') ? { promptsListChanged: true } : {}),
    ...(filter.resourcesListChanged && offers('resources', 'listChanged') ? { resourcesListChanged: true } : {}),
    ...(filter.resourceSubscriptions && offers('resources', 'subscribe')
      ? { resourceSubscriptions: filter.resourceSubscriptions }
      : {}),
  }
}

const ALL: ListenFilter = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true }

export function openFeed({ peer, era, capabilities, timeout, cancelByClosing, onListChanged }: FeedOptions): Feed {
  const listeners = new Set<Listener>()
  /** How many listeners there are for each URI. */
  const wanted = new Map<string, number>()
  const upstream = era === '2026' ? modernFeed() : legacyFeed()

  function take(notification: RpcNotification): boolean {
    if (LIST_CHANGED.has(notification.method)) {
      onListChanged(notification.method)
      return true
    }
    if (notification.method !== UPDATED) return false
    const params = withoutSubscription(notification.params)
    const plain: RpcNotification = { jsonrpc: '2.0', method: notification.method, ...(params ? { params } : {}) }
    for (const { uris, deliver } of listeners) if (uris.some(own => covers(own, params?.uri))) deliver(plain)
    return true
  }

  /** 2025: one request per resource, when its first listener is added and when its last is removed. */
  function legacyFeed() {
    const ask = (method: string, uri: string) =>
      // If the upstream refuses a subscription, its listeners simply get no notifications.
      peer.call(method, { uri }, { timeout, maxTimeout: timeout }).then(
        () => {},
        () => {},
      )
    return {
      acknowledge() {},
      counts: () => true,
      changed: async (added: readonly string[], removed: readonly string[]) => {
        await Promise.all([
          ...added.map(uri => ask('resources/subscribe', uri)),
          ...removed.map(uri => ask('resources/unsubscribe', uri)),
        ])
      },
      close() {},
    }
  }

  /** 2026: one listen request for everything that is subscribed to; a new one replaces the one before. */
  function modernFeed() {
    let current: PeerCall | undefined
    let acknowledged = Promise.withResolvers<void>()
    let scheduled = false
    let closed = false
    let wait = AGAIN_MS
    let acknowledge = () => {}
    /** The request whose notifications count: during a replacement both deliver the same ones. */
    let active: PeerCall | undefined

    function open(): void {
      scheduled = false
      if (closed) return
      const before = current
      const resourceSubscriptions = [...wanted.keys()]
      const notifications = grantable(
        { ...ALL, ...(resourceSubscriptions.length > 0 ? { resourceSubscriptions } : {}) },
        capabilities,
      )
      current = undefined
      if (Object.keys(notifications).length === 0) {
        acknowledged.resolve()
        before?.cancel({ reason: 'cancelled', detail: 'no listeners' })
        return
      }
      const waiting = acknowledged
      let mine: PeerCall | undefined
      acknowledge = () => {
        wait = AGAIN_MS
        active = mine
        waiting.resolve()
        before?.cancel({ reason: 'cancelled', detail: 'replaced by another subscription' })
      }
      const done = () => {
        waiting.resolve()
        if (closed || current !== mine) return
        // The upstream ended it: subscribe again after a pause.
        setTimeout(open, wait)
        wait = Math.min(wait * 2, AGAIN_MOST_MS)
      }
      peer
        .call(
          'subscriptions/listen',
          { notifications, _meta: ourEnvelope() },
          {
            timeout: Number.POSITIVE_INFINITY,
            maxTimeout: Number.POSITIVE_INFINITY,
            cancelByClosing,
            onStart(call) {
              mine = call
              current = call
            },
            onNotification: notification => {
              if (notification.method === ACKNOWLEDGED) acknowledge()
              else if (mine === active) take(notification)
            },
          },
        )
        .then(done, done)
      setTimeout(() => waiting.resolve(), ACKNOWLEDGED_MS)
    }

    function schedule(): Promise<void> {
      if (!scheduled) {
        scheduled = true
        acknowledged = Promise.withResolvers<void>()
        queueMicrotask(open)
      }
      return acknowledged.promise
    }
    // Subscribe even without listeners, to keep our own lists current.
    void schedule()
    return {
      acknowledge: () => acknowledge(),
      counts: (tag: unknown) => tag === undefined || tag === active?.id,
      changed: (added: readonly string[], removed: readonly string[]) =>
        added.length + removed.length > 0 ? schedule() : acknowledged.promise,
      close() {
        closed = true
        current?.cancel({ reason: 'cancelled', detail: 'no listeners' })
      },
    }
  }

  function count(uris: readonly string[], step: 1 | -1): string[] {
    return [...new Set(uris)].filter(uri => {
      const before = wanted.get(uri) ?? 0
      const after = before + step
      if (after <= 0) wanted.delete(uri)
      else wanted.set(uri, after)
      return (before === 0) !== after <= 0
    })
  }

  return {
    async add(listener) {
      // A listener may already have been added while the connection was starting.
      if (listeners.has(listener)) return
      listeners.add(listener)
      await Promise.race([upstream.changed(count(listener.uris, 1), []), Bun.sleep(ACKNOWLEDGED_MS)])
    },
    remove(listener) {
      if (!listeners.delete(listener)) return
      void upstream.changed([], count(listener.uris, -1))
    },
    take(notification) {
      const tag = metaOf(notification.params)?.[SUBSCRIPTION_ID]
      if (notification.method !== ACKNOWLEDGED)
        return isChange(notification) && (!upstream.counts(tag) || take(notification))
      // Over stdio the acknowledgement arrives on the common pipe.
      upstream.acknowledge()
      return true
    },
    get needed() {
      return wanted.size > 0
    },
    close: () => upstream.close(),
  }
}

/** A subscription to a resource also covers its sub-resources (2025-11-25, "Resources"). */
function covers(subscribed: string, uri: unknown): boolean {
  return (
    typeof uri === 'string' &&
    (uri === subscribed || uri.startsWith(subscribed.endsWith('/') ? subscribed : `${subscribed}/`))
  )
}
