/**
 * Everything that a caller can use at an endpoint: built-in tools and what upstream servers offer. Both eras and all
 * transports go through it. Each request is looked up once, together with the scopes that it needs.
 */
import type { Description, Exchange, Gateway, ListenFilter, Listening } from '../gateway/exchange.ts'
import {
  INTERNAL_ERROR,
  INVALID_PARAMS,
  isObject,
  METHOD_NOT_FOUND,
  RpcError,
  type RpcNotification,
} from '../gateway/messages.ts'
import { metaOf, SERVER_INFO as SERVER_INFO_KEY, TASK_METHODS } from '../gateway/protocol.ts'
import { after } from '../lib/after.ts'
import type { Principal } from '../oauth/principal.ts'
import { allows } from '../oauth/scopes.ts'
import { type Caller, gatewayCaller } from './caller.ts'
import { INSTRUCTIONS, SERVER_INFO } from './identity.ts'
import { METHODS, scopeOf } from './methods.ts'
import { type OwnTools, openOwnTools } from './own-tools.ts'
import type { Tool, ToolDeps } from './tools/tool.ts'

type Json = Record<string, unknown>

/** One client request. */
export interface Call extends Omit<Exchange, 'caller'> {
  caller: Caller
  /** The client's session, for upstream servers with one process per session. */
  session?: string | undefined
}

/** What a request addresses: its scopes, and how to answer it. */
export interface Target {
  /** All the scopes that the request needs. */
  scopes: readonly string[]
  /** Whether an upstream server answers it, which may take long. */
  isRemote: boolean
  /** The JSON of the result for a 2026 client, if it is already known. */
  ready?: string
  /** @returns a result in the client's era: a promise only if it has to wait. @throws RpcError */
  answer(call: Call): Json | Promise<Json>
}

export interface Catalogue {
  /** Capabilities, instructions and server info: only what exists and the caller's scope allows. @throws RpcError */
  describe(endpoint: string | undefined, caller: Caller): Promise<Required<Description>>
  /**
   * Looks up the target of a request.
   *
   * @param endpoint Undefined: the hub.
   * @returns a promise only if an upstream server has to be asked.
   * @throws RpcError if it does not exist.
   */
  find(endpoint: string | undefined, caller: Caller, method: string, params: Json): Target | Promise<Target>
  /** Subscribes to changes; lists and resources that the caller may not read are left out. */
  listen(
    endpoint: string | undefined,
    caller: Caller,
    filter: ListenFilter,
    deliver: (notification: RpcNotification) => void,
    session?: string,
  ): Promise<Listening>
}

export const methodMissing = () => new RpcError(METHOD_NOT_FOUND, 'Method not found', undefined, 404)

/** How long a 2026 client may cache a list; private, since it depends on the caller ("Caching"). */
const LIST_HINTS = { ttlMs: 60_000, cacheScope: 'private' } as const
const SUBSCRIBES: ReadonlySet<string> = new Set(['resources/subscribe', 'resources/unsubscribe'])
/** Vendor methods and tasks can do anything that a tool can. */
const UNKNOWN_METHOD_SCOPE = 'mcp:tools:call'

export function openCatalogue(deps: ToolDeps): Catalogue {
  const { gateway } = deps
  const own = openOwnTools(deps)
  /** JSON of our own tools, by the principal who sees them, so that callers never see each other's list. */
  const lists = new WeakMap<Principal, string>()
  const ownTargets = new Map<Tool, Target>()

  /** `tools/list` of the hub without upstream servers. */
  function listJson({ principal }: Caller): string {
    let json = lists.get(principal)
    if (json === undefined) {
      json = JSON.stringify(ofOurs({ era: '2026' }, { tools: sortByName(own.list(principal)) }, LIST_HINTS))
      lists.set(principal, json)
    }
    return json
  }

  /** For `tools/call`, the only way to call one. */
  function targetOf(tool: Tool, scopes: readonly string[]): Target {
    const target = ownTargets.get(tool) ?? ownTarget(own, tool, scopes)
    ownTargets.set(tool, target)
    return target
  }

  async function describe(endpoint: string | undefined, caller: Caller): Promise<Required<Description>> {
    const offered = await gateway?.describe(endpoint, gatewayCaller(caller))
    const { completions, ...capabilities } = {
      ...offered?.capabilities,
      // Built-in tools do not change, but a different token may see a different list.
      ...(endpoint === undefined ? { tools: { listChanged: true }, logging: {} } : {}),
    } as Json
    // Clients list whatever is announced, so do not announce what the token cannot read.
    for (const capability of ['prompts', 'resources'])
      if (!allows(caller.scope, `mcp:${capability}:read`)) delete capabilities[capability]
    const completes = completions !== undefined && (capabilities.prompts || capabilities.resources)
    const instructions = [endpoint === undefined ? INSTRUCTIONS : '', offered?.instructions ?? '']
    return {
      capabilities: completes ? { ...capabilities, completions } : capabilities,
      instructions: instructions.filter(Boolean).join('\n\n'),
      serverInfo: offered?.serverInfo ?? SERVER_INFO,
    }
  }

  /** @throws RpcError if the capability was not announced to this caller. */
  async function requireOffered(endpoint: string | undefined, caller: Caller, capability: string): Promise<void> {
    if (!gateway || !isObject((await describe(endpoint, caller)).capabilities[capability])) throw methodMissing()
  }

  function find(endpoint: string | undefined, caller: Caller, method: string, params: Json): Target | Promise<Target> {
    const known = METHODS.get(method)
    if (!known && (!gateway || (endpoint === undefined && !TASK_METHODS.has(method)))) throw methodMissing()
    if (known && !isAlwaysOffered(endpoint, known.capability))
      return requireOffered(endpoint, caller, known.capability).then(() =>
        findOffered(endpoint, caller, method, params),
      )
    return findOffered(endpoint, caller, method, params)
  }

  function findOffered(
    endpoint: string | undefined,
    caller: Caller,
    method: string,
    params: Json,
  ): Target | Promise<Target> {
    const known = METHODS.get(method)
    if (known && !known.isValid(params)) throw new RpcError(INVALID_PARAMS, `Invalid params for ${method}`)
    const scope = known ? scopeOf(method, params) : UNKNOWN_METHOD_SCOPE
    const scopes = scope === undefined ? [] : [scope]
    if (endpoint === undefined && method === 'tools/list') {
      const isOursAlone = !gateway && params.cursor === undefined
      return { ...listTarget(own, gateway, scopes), ...(isOursAlone ? { ready: listJson(caller) } : {}) }
    }
    const tool = endpoint === undefined && method === 'tools/call' ? own.find(params.name) : undefined
    if (tool) return targetOf(tool, scopes)
    if (!gateway) return ownTarget(own, undefined, scopes)
    if (method === 'logging/setLevel') return remoteTarget(gateway, endpoint, scopes)
    return findUpstream(gateway, endpoint, caller, method, params, scopes)
  }

  function findUpstream(
    gateway: Gateway,
    endpoint: string | undefined,
    caller: Caller,
    method: string,
    params: Json,
    scopes: readonly string[],
  ): Target | Promise<Target> {
    // Subscribing needs the same scopes as reading.
    const asked = SUBSCRIBES.has(method) ? 'resources/read' : method
    const accept = (more: readonly string[]) =>
      remoteTarget(gateway, endpoint, more.length > 0 ? [...new Set([...scopes, ...more])] : scopes)
    const needed = gateway.scopesFor(endpoint, asked, params, gatewayCaller(caller))
    if (!(needed instanceof Promise)) return accept(needed)
    return needed.then(accept, (error: unknown) => {
      const isUnknown = error instanceof RpcError && error.rpcCode === INVALID_PARAMS && method === 'tools/call'
      if (isUnknown) return ownTarget(own, undefined, scopes)
      throw error
    })
  }

  return {
    describe,
    find,
    async listen(endpoint, caller, filter, deliver, session) {
      const { capabilities } = await describe(endpoint, caller)
      const asked = await readable(gateway, endpoint, caller, filter, capabilities)
      const listening = await gateway?.listen(endpoint, gatewayCaller(caller, [], session), asked, deliver)
      const tools = endpoint === undefined && asked.toolsListChanged ? { toolsListChanged: true } : {}
      return { granted: { ...listening?.granted, ...tools }, close: () => listening?.close() }
    },
  }
}

const isAlwaysOffered = (endpoint: string | undefined, capability: string): boolean =>
  capability === 'tools' || (capability === 'logging' && endpoint === undefined)

/** The part of a filter that was announced to the caller and that its scope allows. */
async function readable(
  gateway: Gateway | undefined,
  endpoint: string | undefined,
  caller: Caller,
  filter: ListenFilter,
  { tools, prompts, resources }: Json,
): Promise<ListenFilter> {
  const { toolsListChanged, promptsListChanged, resourcesListChanged, resourceSubscriptions = [] } = filter
  const uris: string[] = []
  for (const uri of resources && gateway ? resourceSubscriptions : []) {
    try {
      const needed = await gateway!.scopesFor(endpoint, 'resources/read', { uri }, gatewayCaller(caller))
      if (needed.every(scope => allows(caller.scope, scope))) uris.push(uri)
    } catch (error) {
      if (!(error instanceof RpcError)) throw error // otherwise there is no such resource
    }
  }
  return {
    ...(toolsListChanged === true && tools ? { toolsListChanged } : {}),
    ...(promptsListChanged === true && prompts ? { promptsListChanged } : {}),
    ...(resourcesListChanged === true && resources ? { resourcesListChanged } : {}),
    ...(uris.length > 0 ? { resourceSubscriptions: uris } : {}),
  }
}

/** `tools/list` of the hub: one page, sorted. */
function listTarget(own: OwnTools, gateway: Gateway | undefined, scopes: readonly string[]): Target {
  return {
    scopes,
    isRemote: gateway !== undefined,
    async answer(call) {
      if (call.params.cursor !== undefined) throw new RpcError(INVALID_PARAMS, 'There is no page with this cursor')
      const more = await gateway?.request(undefined, exchangeOf(call, scopes))
      const theirs = Array.isArray(more?.tools) ? (more.tools as Json[]) : []
      return ofOurs(call, { tools: sortByName([...own.list(call.caller), ...theirs]) }, LIST_HINTS)
    },
  }
}

const sortByName = (tools: Json[]) => tools.toSorted((a, b) => (String(a.name) < String(b.name) ? -1 : 1))

/** @param tool Undefined: there is no such tool, which {@link OwnTools.call} records. */
function ownTarget(own: OwnTools, tool: Tool | undefined, scopes: readonly string[]): Target {
  return {
    scopes: tool ? [...scopes, ...tool.scopes] : scopes,
    isRemote: false,
    answer(call) {
      const { caller, params } = call
      const args = isObject(params.arguments) ? params.arguments : {}
      const context = {
        get signal() {
          return call.signal
        },
        report: reporterOf(call),
      }
      return after(own.call(caller, tool, args, context), result => ofOurs(call, result))
    },
  }
}

function remoteTarget(gateway: Gateway, endpoint: string | undefined, scopes: readonly string[]): Target {
  return {
    scopes,
    isRemote: true,
    answer: call => gateway.request(endpoint, exchangeOf(call, scopes)),
  }
}

function exchangeOf(call: Call, scopes: readonly string[]): Exchange {
  return { ...call, caller: gatewayCaller(call.caller, scopes, call.session) }
}

/** Sends progress to the caller, if it sent a progress token. */
function reporterOf(call: Call) {
  const progressToken = metaOf(call.params)?.progressToken
  if (typeof progressToken !== 'string' && typeof progressToken !== 'number') return undefined
  return (progress: number, message: string) => {
    if (call.signal.aborted) return // the caller is gone
    call.notify({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken, progress, message } })
  }
}

/** Converts our own result for the client's era. */
export function ofOurs({ era }: Pick<Call, 'era'>, result: Json, hints?: Json): Json {
  if (era === '2025') return result
  return { ...result, resultType: 'complete', ...hints, _meta: { [SERVER_INFO_KEY]: SERVER_INFO } }
}

/** Converts an error for the wire. Anything but an RpcError is logged, and reported as an internal error. */
export function errorBody(
  log: ToolDeps['log'],
  method: string,
  error: unknown,
): { code: number; message: string; data?: unknown } {
  if (error instanceof RpcError) {
    const { rpcCode: code, message, data } = error
    return data === undefined ? { code, message } : { code, message, data }
  }
  log.error({ method, err: { message: (error as Error).message } }, 'an mcp request failed')
  return { code: INTERNAL_ERROR, message: 'Internal error' }
}
