/** Change notifications for clients: our own for lists, the upstreams' for resources. */
import type { GatewayCaller, GatewayChange, ListenFilter, Listening } from './exchange.ts'
import { grantable } from './feed.ts'
import type { Hub } from './hub.ts'
import { uriInHub } from './hub-names.ts'
import { isObject, type RpcNotification } from './messages.ts'
import type { Upstream } from './upstream.ts'

/** @property first The list was not known before, so only the hub's clients, whose lists lacked it, are notified. */
export type Told = GatewayChange & { first: boolean }

export interface Listeners {
  tell(change: Told): void
  /** Sends a notification to a caller's session. @returns whether it listens here. */
  send(caller: GatewayCaller, notification: RpcNotification): boolean
  /** At `/mcp/{name}`. */
  at(upstream: Upstream, caller: GatewayCaller, filter: ListenFilter, deliver: Deliver): Promise<Listening>
  inHub(hub: Hub, caller: GatewayCaller, filter: ListenFilter, deliver: Deliver): Promise<Listening>
}

type Deliver = (notification: RpcNotification) => void

const FLAGS = { tools: 'toolsListChanged', prompts: 'promptsListChanged', resources: 'resourcesListChanged' } as const
/** Minimum time between two `list_changed` of one kind. */
const QUIET_MS = 1_000
/** Maximum number of URIs that one stream can subscribe to. */
const MOST_URIS = 1_000

export function openListeners(): Listeners {
  const everybody = new Map<(change: Told) => void, { caller: GatewayCaller; deliver: Deliver }>()

  /** @param endpoint Undefined: all of them, for the hub. */
  function follow(
    endpoint: string | undefined,
    caller: GatewayCaller,
    granted: ListenFilter,
    deliver: Deliver,
  ): () => void {
    const pending = new Map<string, boolean>()
    const send = (kind: keyof typeof FLAGS): void => {
      if (granted[FLAGS[kind]] !== true) return
      if (pending.has(kind)) return void pending.set(kind, true)
      pending.set(kind, false)
      deliver({ jsonrpc: '2.0', method: `notifications/${kind}/list_changed` })
      setTimeout(() => {
        const again = pending.get(kind)
        pending.delete(kind)
        if (again && everybody.has(hear)) send(kind)
      }, QUIET_MS)
    }
    const hear = ({ endpoint: changed, kind, principal, first }: Told): void => {
      if (principal !== undefined && principal !== caller.principal) return
      if (kind === 'endpoints') {
        if (endpoint === undefined) for (const each of ['tools', 'prompts', 'resources'] as const) send(each)
      } else if (endpoint === undefined || (changed === endpoint && !first)) send(kind)
    }
    everybody.set(hear, { caller, deliver })
    return () => everybody.delete(hear)
  }

  return {
    tell: change => {
      for (const hear of everybody.keys()) hear(change)
    },
    send({ principal, session }, notification) {
      if (session === undefined) return false
      const listening = [...everybody.values()].filter(
        ({ caller }) => caller.principal === principal && caller.session === session,
      )
      for (const { deliver } of listening) deliver(notification)
      return listening.length > 0
    },
    async at(upstream, caller, filter, deliver) {
      const uris = filter.resourceSubscriptions?.slice(0, MOST_URIS) ?? []
      // First, so that changes during the subscription are not missed.
      const stop = follow(upstream.config.name, caller, filter, deliver)
      const listening = await upstream.listen(caller, filter, { uris, deliver }, true)
      return {
        granted: listening.granted,
        close() {
          stop()
          listening.close()
        },
      }
    },
    async inHub(hub, caller, filter, deliver) {
      const byUpstream = new Map<Upstream, string[]>()
      for (const uri of filter.resourceSubscriptions?.slice(0, MOST_URIS) ?? []) {
        const found = hub.resource(uri, caller)
        if (found) byUpstream.set(found.upstream, [...(byUpstream.get(found.upstream) ?? []), found.uri])
      }
      const stop = follow(undefined, caller, filter, deliver)
      const listenings = await Promise.all(
        [...byUpstream].map(async ([upstream, uris]) => {
          const { name } = upstream.config
          const mapped: Deliver = ({ jsonrpc, method, params }) => {
            const uri = isObject(params) && typeof params.uri === 'string' ? { uri: uriInHub(name, params.uri) } : {}
            deliver({ jsonrpc, method, params: { ...params, ...uri } })
          }
          const listening = await upstream.listen(
            caller,
            { resourceSubscriptions: uris },
            { uris, deliver: mapped },
            true,
          )
          return { name, listening }
        }),
      )
      const resourceSubscriptions = listenings.flatMap(({ name, listening }) =>
        (listening.granted.resourceSubscriptions ?? []).map(uri => uriInHub(name, uri)),
      )
      // The hub announces changes of its lists whether or not the upstreams do.
      const lists = grantable(filter, {
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { listChanged: true },
      })
      return {
        granted: { ...lists, ...(resourceSubscriptions.length > 0 ? { resourceSubscriptions } : {}) },
        close() {
          stop()
          for (const { listening } of listenings) listening.close()
        },
      }
    },
  }
}
