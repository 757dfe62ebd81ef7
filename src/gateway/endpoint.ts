/** Requests at `/mcp/{name}`: one upstream, with its own names, URIs and pagination. */

import type { CallsDeps } from './call-state.ts'
import { performCall } from './calls.ts'
import { resultFor } from './eras.ts'
import type { Exchange } from './exchange.ts'
import { isConnect } from './linkable.ts'
import { admit, type Item, type Kind, kindOfMethod, LISTS } from './lists.ts'
import { INVALID_PARAMS, isObject, METHOD_NOT_FOUND, RpcError } from './messages.ts'
import { isAllowed } from './policy.ts'
import { TASK_METHODS } from './protocol.ts'
import type { Upstream } from './upstream.ts'

/** Methods that name one tool, prompt or resource. */
const ABOUT_ONE: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read', 'completion/complete'])
/** Vendor methods, with a reverse-domain prefix. */
const OF_VENDOR = /^[a-z0-9-]+(\.[a-z0-9-]+)+\/[^\s]{1,128}$/i

export const methodNotFound = ({ method, era }: Exchange): RpcError =>
  new RpcError(METHOD_NOT_FOUND, `${method.slice(0, 100)} is not offered here`, undefined, era === '2026' ? 404 : 200)

/** @throws RpcError */
export function requestAt(deps: CallsDeps, upstream: Upstream, exchange: Exchange): Promise<Record<string, unknown>> {
  const { method, params } = exchange
  const kind = kindOfMethod(method)
  if (kind) return listAt(deps, upstream, exchange, kind)
  if (ABOUT_ONE.has(method)) {
    refuseHidden(upstream, method, params)
    return performCall(deps, upstream, exchange, params)
  }
  if (OF_VENDOR.test(method) || (TASK_METHODS.has(method) && exchange.era === '2026'))
    return performCall(deps, upstream, exchange, params)
  throw methodNotFound(exchange)
}

/** Treats what policy hides as nonexistent. @throws RpcError */
export function refuseHidden(upstream: Upstream, method: string, params: Record<string, unknown>): void {
  const { config } = upstream
  const { name, uri, ref } = params
  if (method === 'tools/call' && isConnect(upstream, name)) return
  if (method === 'tools/call' && !allowed(config.tools, name))
    throw new RpcError(INVALID_PARAMS, 'There is no such tool')
  if (method === 'prompts/get' && !allowed(config.prompts, name))
    throw new RpcError(INVALID_PARAMS, 'There is no such prompt')
  if (method === 'resources/read' && !allowed(config.resources, uri))
    throw new RpcError(INVALID_PARAMS, 'There is no such resource', { uri })
  if (method !== 'completion/complete') return
  const reference = isObject(ref) ? ref : {}
  const shown =
    reference.type === 'ref/prompt' ? allowed(config.prompts, reference.name) : allowed(config.resources, reference.uri)
  if (!shown) throw new RpcError(INVALID_PARAMS, 'There is no prompt or resource of that name to complete')
}

const allowed = (filter: Upstream['config']['tools'], key: unknown): boolean =>
  typeof key === 'string' && isAllowed(filter, key)

async function listAt(deps: CallsDeps, upstream: Upstream, exchange: Exchange, kind: Kind) {
  const { caller, params } = exchange
  const { account, pool } = upstream
  // A connection may outlive its account for a moment.
  const isUsable = pool.live(caller) && (!account || (await account.isLinked(caller)))
  if (params.cursor === undefined && !isUsable) {
    // Answer from the stored list rather than start the upstream.
    const known = await upstream.list(kind, caller, 0)
    if (known)
      return pageOf(
        exchange,
        kind,
        [...known.values()].map(({ item }) => ({ ...item })),
      )
  }
  const result = await performCall(deps, upstream, exchange, params)
  const items = Array.isArray(result[kind]) ? (result[kind] as unknown[]) : []
  // A changed tool that has not been accepted yet is hidden on every page.
  const judged =
    kind === 'tools' && upstream.config.onChange === 'block' ? await upstream.list(kind, caller) : undefined
  const filter = upstream.config[kind === 'resourceTemplates' ? 'resources' : kind]
  result[kind] = admit(kind, items, () => {})
    .filter(({ key }) => isAllowed(filter, key) && (!judged || judged.has(key)))
    .map(({ item }) => item)
  return result
}

/** One of our own lists, on a single page. */
export function pageOf({ era, method }: Exchange, kind: Kind, items: Item[]): Record<string, unknown> {
  return resultFor(era, '2025', method, { [kind]: items }, { sharable: false, ttlMs: LIST_TTL_MS }, undefined)
}

/** Clients may cache our lists, since we announce changes. */
const LIST_TTL_MS = 60_000

/** What a request names, to find its scopes: a name or a URI, as at the upstream. */
export function namedBy(method: string, params: Record<string, unknown>): string | undefined {
  const key = method === 'resources/read' || method.startsWith('resources/') ? params.uri : params.name
  if (method !== 'completion/complete') return typeof key === 'string' ? key : undefined
  const ref = isObject(params.ref) ? params.ref : {}
  const named = ref.type === 'ref/prompt' ? ref.name : ref.uri
  return typeof named === 'string' ? named : undefined
}

export const listKey = (kind: Kind): 'uri' | 'uriTemplate' | undefined => {
  const { key } = LISTS[kind]
  return key === 'name' ? undefined : key
}
