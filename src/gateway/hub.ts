/**
 * Requests at the hub: names and URIs prefixed with their upstream, and the lists of all upstreams on one page. An
 * upstream that is unavailable is missing from lists but never fails the others.
 */

import { makeRoom } from '../lib/bounded.ts'
import { type CallsDeps, plainly } from './call-state.ts'
import { performCall } from './calls.ts'
import { listKey, methodNotFound, pageOf, refuseHidden } from './endpoint.ts'
import type { Exchange, GatewayCaller } from './exchange.ts'
import {
  mapItem,
  mapResultUris,
  type Named,
  nameInHub,
  schemeOf,
  taskFromHub,
  taskInHub,
  uriFromHub,
  uriInHub,
} from './hub-names.ts'
import { connectNameOf } from './linkable.ts'
import { type Item, type Kind, kindOfMethod } from './lists.ts'
import { INVALID_PARAMS, isObject, RpcError } from './messages.ts'
import { TASK_METHODS } from './protocol.ts'
import type { Upstream } from './upstream.ts'

export interface Hub {
  /** @param check Checks scopes once the upstream is known. @throws RpcError */
  request(exchange: Exchange, check: Check): Promise<Record<string, unknown>>
  /** Finds the upstream of a request, and translates its params. @returns undefined if the request names none. @throws RpcError */
  route(
    method: string,
    params: Record<string, unknown>,
    caller: GatewayCaller,
  ): Promise<{ upstream: Upstream; params: Record<string, unknown> } | undefined>
  /** The upstream of a hub URI, and its own URI. */
  resource(uri: string, caller: GatewayCaller): { upstream: Upstream; uri: string } | undefined
  /** Clears the name indexes, when lists or the configuration changed. */
  forget(): void
}

/** How long lists wait for an upstream whose lists are not stored. */
export const PATIENCE_MS = 2_000
/** Principals whose name indexes are kept. */
const MOST_INDEXES = 1_000

type Check = (exchange: Exchange, upstream: Upstream, params: Record<string, unknown>) => void

type Index = Record<'tools' | 'prompts', ReadonlyMap<string, Named>>

/** @param visible The upstreams that a caller may use, sorted by name. */
export function openHub(deps: CallsDeps, visible: (caller: GatewayCaller) => readonly Upstream[]): Hub {
  const indexes = new Map<string, Index>()

  function indexOf(caller: GatewayCaller): Index {
    const key = `${caller.principal} ${caller.user?.email ?? ''}`
    let index = indexes.get(key)
    if (!index) {
      const named = (kind: Kind) =>
        visible(caller).flatMap(({ config: { name }, listNow }) => namedOf(name, listNow(kind, caller)))
      index = { tools: nameInHub(named('tools')), prompts: nameInHub(named('prompts')) }
      makeRoom(indexes, MOST_INDEXES).set(key, index)
    }
    return index
  }

  /** Finds a name; if lists that may contain it are not in memory, fetches them first. */
  async function find(kind: 'tools' | 'prompts', name: unknown, caller: GatewayCaller): Promise<Named> {
    if (typeof name !== 'string') throw new RpcError(INVALID_PARAMS, 'name must be a string')
    const found = indexOf(caller)[kind].get(name)
    if (found) return found
    // Lists may have been loaded since without a change notification.
    indexes.clear()
    const newer = indexOf(caller)[kind].get(name)
    if (newer) return newer
    const fetchFor = (upstream: Upstream, patience: number | undefined) =>
      upstream.list(kind, caller, patience).catch(error => {
        throw plainly(deps, upstream, error)
      })
    const unknown = visible(caller).filter(
      ({ config, listNow }) => mayHold(config.name, name) && listNow(kind, caller) === undefined,
    )
    if (unknown.length > 0) {
      // A call, unlike a list, waits until the upstream has started, and fails if it does not.
      await Promise.all(unknown.map(upstream => fetchFor(upstream, unknown.length === 1 ? undefined : PATIENCE_MS)))
      indexes.clear()
      const late = indexOf(caller)[kind].get(name)
      if (late) return late
    }
    // Whoever has just linked an account may still ask how.
    const linkable = visible(caller).find(({ account, config }) => account && connectNameOf(config.name) === name)
    if (kind === 'tools' && linkable) return { upstream: linkable.config.name, name }
    throw new RpcError(INVALID_PARAMS, `There is no such ${kind === 'tools' ? 'tool' : 'prompt'}`)
  }

  function resource(uri: string, caller: GatewayCaller) {
    const upstreams = visible(caller)
    const named = uriFromHub(uri, new Map(upstreams.map(({ config: { name } }) => [schemeOf(name), name])))
    const upstream = named && upstreams.find(({ config }) => config.name === named.upstream)
    return upstream && { upstream, uri: named.name }
  }

  function known(uri: unknown, caller: GatewayCaller): { upstream: Upstream; uri: string } {
    const found = typeof uri === 'string' ? resource(uri, caller) : undefined
    if (!found)
      throw new RpcError(INVALID_PARAMS, 'There is no such resource', typeof uri === 'string' ? { uri } : undefined)
    return found
  }

  async function route(method: string, params: Record<string, unknown>, caller: GatewayCaller) {
    const ofName = async (kind: 'tools' | 'prompts', name: unknown) => {
      const named = await find(kind, name, caller)
      const upstream = visible(caller).find(({ config }) => config.name === named.upstream)
      if (!upstream) throw new RpcError(INVALID_PARAMS, 'There is no such server')
      return { upstream, name: named.name }
    }
    if (method === 'tools/call' || method === 'prompts/get') {
      const { upstream, name } = await ofName(method === 'tools/call' ? 'tools' : 'prompts', params.name)
      return { upstream, params: { ...params, name } }
    }
    if (method === 'resources/read') {
      const { upstream, uri } = known(params.uri, caller)
      return { upstream, params: { ...params, uri } }
    }
    if (TASK_METHODS.has(method)) {
      const task = typeof params.taskId === 'string' ? taskFromHub(params.taskId) : undefined
      const upstream = visible(caller).find(({ config }) => config.name === task?.upstream)
      if (!upstream) throw new RpcError(INVALID_PARAMS, 'There is no such task')
      return { upstream, params: { ...params, taskId: task!.name } }
    }
    if (method !== 'completion/complete') return undefined
    const ref = isObject(params.ref) ? params.ref : {}
    if (ref.type === 'ref/prompt') {
      const { upstream, name } = await ofName('prompts', ref.name)
      return { upstream, params: { ...params, ref: { ...ref, name } } }
    }
    const { upstream, uri } = known(ref.uri, caller)
    return { upstream, params: { ...params, ref: { ...ref, uri } } }
  }

  async function list(exchange: Exchange, kind: Kind): Promise<Record<string, unknown>> {
    const { caller, params } = exchange
    if (params.cursor !== undefined) throw new RpcError(INVALID_PARAMS, 'There is no page with this cursor')
    const upstreams = visible(caller)
    const lists = await Promise.all(upstreams.map(upstream => upstream.list(kind, caller, PATIENCE_MS)))
    const items: Item[] = []
    if (kind === 'tools' || kind === 'prompts') {
      const names = nameInHub(upstreams.flatMap(({ config: { name } }, at) => namedOf(name, lists[at])))
      const byUpstream = new Map(upstreams.map(({ config: { name } }, at) => [name, lists[at]]))
      for (const [name, named] of [...names].sort(([a], [b]) => (a < b ? -1 : 1))) {
        const entry = byUpstream.get(named.upstream)?.get(named.name)
        if (entry) items.push(inHub(named.upstream, { ...entry.item, name }, kind))
      }
    } else {
      for (const [at, { config }] of upstreams.entries())
        for (const { item } of lists[at]?.values() ?? []) items.push(inHub(config.name, { ...item }, kind))
    }
    return pageOf(exchange, kind, items)
  }

  return {
    route,
    resource,
    forget: () => indexes.clear(),
    async request(exchange, check) {
      const kind = kindOfMethod(exchange.method)
      if (kind) return list(exchange, kind)
      const target = await route(exchange.method, exchange.params, exchange.caller)
      if (!target) throw methodNotFound(exchange)
      const { upstream, params } = target
      check(exchange, upstream, params)
      refuseHidden(upstream, exchange.method, params)
      const rename = (uri: string) => uriInHub(upstream.config.name, uri)
      try {
        const result = await performCall(deps, upstream, exchange, params)
        mapResultUris(result, rename)
        if (result.resultType === 'task' || TASK_METHODS.has(exchange.method)) mapTask(upstream, result, rename)
        return result
      } catch (error) {
        throw error instanceof RpcError ? withHubUri(error, rename) : error
      }
    },
  }
}

/** A task has the result of its call once it is completed. */
function mapTask({ config }: Upstream, task: Record<string, unknown>, rename: (uri: string) => string): void {
  if (typeof task.taskId === 'string') task.taskId = taskInHub(config.name, task.taskId)
  if (isObject(task.result)) mapResultUris(task.result, rename)
}

const namedOf = (upstream: string, list: ReadonlyMap<string, unknown> | undefined): Named[] =>
  [...(list?.keys() ?? [])].map(name => ({ upstream, name }))

/** Whether a hub name may belong to this upstream; shortened names keep their prefix. */
function mayHold(upstream: string, name: string): boolean {
  const prefix = `${upstream}__`.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 57)
  return name.startsWith(prefix)
}

/** Renames an item for the hub. `_meta` is cloned first, so that the stored list stays as the upstream sent it. */
function inHub(upstream: string, item: Item, kind: Kind): Item {
  if (isObject(item._meta)) item._meta = structuredClone(item._meta)
  mapItem(item, listKey(kind), uri => uriInHub(upstream, uri))
  return item
}

function withHubUri(error: RpcError, rename: (uri: string) => string): RpcError {
  if (!isObject(error.data) || typeof error.data.uri !== 'string') return error
  const { rpcCode, message, data, httpStatus } = error
  return new RpcError(rpcCode, message, { ...error.data, uri: rename((data as { uri: string }).uri) }, httpStatus)
}
