/**
 * Translates requests, results and errors between the eras. Within one era only ids, progress tokens and the envelope
 * change. The upstream's objects are modified in place, not copied.
 */
import type { Era } from './era-detection.ts'
import { kindOfMethod } from './lists.ts'
import {
  INTERNAL_ERROR,
  INVALID_PARAMS,
  isObject,
  METHOD_NOT_FOUND,
  MISSING_CLIENT_CAPABILITY,
  RESOURCE_NOT_FOUND,
  RpcError,
  type RpcErrorBody,
} from './messages.ts'
import {
  CLIENT_CAPABILITIES,
  CLIENT_INFO,
  LOG_LEVEL,
  MODERN,
  metaOf,
  PROTOCOL_VERSION,
  SERVER_INFO,
  SUBSCRIPTION_ID,
  TASKS_EXTENSION,
} from './protocol.ts'

/** Requests whose answer may be `input_required` (2026-07-28, "Multi Round-Trip Requests"). */
export const MAY_ASK: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read'])

const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'] as const
export type LogLevel = (typeof LEVELS)[number]

export function logLevelOf(value: unknown): LogLevel | undefined {
  return LEVELS.find(level => level === value)
}

/** Whether a log message of this level should be delivered to a client that asked for level `asked`. */
export function isAtLeast(level: unknown, asked: LogLevel): boolean {
  const rank = LEVELS.indexOf(level as LogLevel)
  return rank < 0 || rank >= LEVELS.indexOf(asked)
}

/** The envelope is our own, and peer.ts sets its own token. */
const NOT_PASSED: ReadonlySet<string> = new Set([
  ...[PROTOCOL_VERSION, CLIENT_INFO, CLIENT_CAPABILITIES, LOG_LEVEL],
  ...['progressToken', '__proto__'],
])

export interface Asking {
  era: Era
  params: Record<string, unknown>
  clientInfo: Record<string, unknown>
  /** The client's capabilities that the gateway passes on. */
  capabilities: Record<string, unknown>
  logLevel: LogLevel | undefined
}

/** Converts the params of a client's request for the upstream. */
export function paramsFor(upstream: Era, { era, params, clientInfo, capabilities, logLevel }: Asking) {
  const { _meta, task: _task, ...rest } = params
  const meta: Record<string, unknown> = {}
  if (isObject(_meta)) for (const key of Object.keys(_meta)) if (!NOT_PASSED.has(key)) meta[key] = _meta[key]
  if (upstream === '2026') {
    meta[PROTOCOL_VERSION] = MODERN
    meta[CLIENT_INFO] = clientInfo
    meta[CLIENT_CAPABILITIES] = capabilities
    if (logLevel) meta[LOG_LEVEL] = logLevel
  } else if (era === '2026') {
    delete rest.inputResponses
    delete rest.requestState
  }
  return { ...rest, _meta: meta }
}

/** Copies W3C trace context from `_meta` into headers. */
export function traceHeaders(params: Record<string, unknown>): Record<string, string> | undefined {
  const meta = metaOf(params)
  if (!meta) return undefined
  let headers: Record<string, string> | undefined
  for (const name of ['traceparent', 'tracestate', 'baggage']) {
    const value = meta[name]
    if (typeof value === 'string' && value.length <= 8_192 && /^[\x20-\x7e]+$/.test(value))
      headers = { ...headers, [name]: value }
  }
  return headers
}

export interface CacheRule {
  /** Whether results may be public if the upstream says so: nothing depends on who asks. */
  sharable: boolean
  /** Cache lifetime of a 2025 upstream's list in milliseconds: 0 if it does not announce changes. */
  ttlMs: number
}

/** Converts an upstream's result for the client's era. */
export function resultFor(
  client: Era,
  upstream: Era,
  method: string,
  result: Record<string, unknown>,
  cache: CacheRule,
  serverInfo: Record<string, unknown> | undefined,
): Record<string, unknown> {
  if (client === '2025') {
    delete result.resultType
    delete result.ttlMs
    delete result.cacheScope
    return result
  }
  const cacheable = kindOfMethod(method) !== undefined || method === 'resources/read' || method === 'server/discover'
  if (upstream === '2026') {
    result.resultType ??= 'complete'
    if (cacheable && result.resultType === 'complete') {
      const { ttlMs } = result
      result.ttlMs = typeof ttlMs === 'number' && Number.isSafeInteger(ttlMs) && ttlMs >= 0 ? ttlMs : 0
      result.cacheScope = cache.sharable && result.cacheScope === 'public' ? 'public' : 'private'
    }
    return result
  }
  if (method === 'tools/list' && Array.isArray(result.tools))
    for (const tool of result.tools) if (isObject(tool)) delete tool.execution
  result.resultType = 'complete'
  if (cacheable) {
    result.ttlMs = method === 'resources/read' ? 0 : cache.ttlMs
    result.cacheScope = 'private'
  }
  if (serverInfo) result._meta = { ...(isObject(result._meta) ? result._meta : {}), [SERVER_INFO]: serverInfo }
  return result
}

/** A notification's params without the upstream's subscription id. */
export function withoutSubscription(params: Record<string, unknown> | undefined): Record<string, unknown> | undefined {
  const meta = metaOf(params)
  if (!meta || !(SUBSCRIPTION_ID in meta)) return params
  const { [SUBSCRIPTION_ID]: _, ...rest } = meta
  const { _meta, ...others } = params!
  return Object.keys(rest).length > 0 ? { ...others, _meta: rest } : others
}

const LONGEST_MESSAGE = 4_096

/** Converts an upstream's protocol error for the client. Its text is data and is passed on as is. */
export function errorFor(client: Era, method: string, error: RpcErrorBody, uri: string | undefined): RpcError {
  const message = error.message.slice(0, LONGEST_MESSAGE)
  if (client === '2026' && error.code === RESOURCE_NOT_FOUND && method === 'resources/read')
    return new RpcError(INVALID_PARAMS, message, { uri })
  const status = client === '2026' ? (STATUS.get(error.code) ?? 200) : 200
  // Transport errors between us and the upstream do not concern our client.
  if (OURS.has(error.code)) return new RpcError(INTERNAL_ERROR, 'The upstream did not accept our request')
  return new RpcError(error.code, message, error.data, status)
}

const STATUS: ReadonlyMap<number, number> = new Map([
  [METHOD_NOT_FOUND, 404],
  [MISSING_CLIENT_CAPABILITY, 400],
])
/** HeaderMismatch and UnsupportedProtocolVersion. */
const OURS: ReadonlySet<number> = new Set([-32020, -32022])

/** A request from an upstream to a client: elicitation, sampling or roots. */
export interface Question {
  method: string
  params?: Record<string, unknown>
}

/** The capabilities that a question requires of the client. @returns undefined if it is not a known question. */
export function neededFor({ method, params }: Question): Record<string, unknown> | undefined {
  if (method === 'elicitation/create') return { elicitation: params?.mode === 'url' ? { url: {} } : { form: {} } }
  if (method === 'roots/list') return { roots: {} }
  if (method !== 'sampling/createMessage') return undefined
  return { sampling: params?.tools !== undefined || params?.toolChoice !== undefined ? { tools: {} } : {} }
}

/** Whether a client declared everything needed. `elicitation: {}` means forms, as before modes were introduced. */
export function declares(capabilities: Record<string, unknown>, needed: Record<string, unknown>): boolean {
  return Object.entries(needed).every(([capability, members]) => {
    const declared = capabilities[capability]
    if (!isObject(declared)) return false
    return Object.keys(members as object).every(
      member =>
        isObject(declared[member]) || (capability === 'elicitation' && member === 'form' && declared.url === undefined),
    )
  })
}

/** All capabilities that we can pass on, for 2025 upstreams, to which they are declared once for all clients. */
export const carried = (roots: boolean): Record<string, unknown> => ({
  elicitation: { form: {}, url: {} },
  sampling: { tools: {}, context: {} },
  ...(roots ? { roots: {} } : {}),
})

/** A client's capabilities that we pass on to an upstream. A 2025 client could not receive a task. */
export function carriedOf(era: Era, capabilities: Record<string, unknown>, roots: boolean): Record<string, unknown> {
  const { tasks: _tasks, roots: declared, ...rest } = era === '2025' ? withoutTasks(capabilities) : capabilities
  return roots && declared !== undefined ? { ...rest, roots: declared } : rest
}

/** Capabilities without the tasks of 2026. */
export function withoutTasks(capabilities: Record<string, unknown>): Record<string, unknown> {
  const { extensions, ...rest } = capabilities
  if (!isObject(extensions) || !(TASKS_EXTENSION in extensions)) return capabilities
  const { [TASKS_EXTENSION]: _, ...others } = extensions
  return Object.keys(others).length > 0 ? { ...rest, extensions: others } : rest
}

/** The upstream's capabilities that we pass on to a client. */
export function offeredOf(capabilities: Record<string, unknown>): Record<string, unknown> {
  const { tasks: _tasks, ...rest } = capabilities
  return rest
}
