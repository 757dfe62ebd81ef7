/** Reads JSON-RPC messages from HTTP requests, and answers invalid ones. */
import { INVALID_REQUEST, isMessage, isObject, type Message, PARSE_ERROR } from '../../gateway/messages.ts'
import { readText } from '../../http/body.ts'
import { OAuthError } from '../../lib/errors.ts'
import { JsonError, parseJson } from '../../lib/json.ts'

const BODY_LIMIT = 4 * 1024 * 1024
/** Limit for everything except tool calls, since other messages may be kept for the lifetime of a session. */
export const SMALL_BODY = 64 * 1024
/** More than any tool needs; the cost of validating a message grows with its values and depth, not with its bytes. */
const MAX_DEPTH = 64
const MAX_VALUES = 10_000
/** Each message of a batch costs as much as a request. */
const MAX_BATCH = 100
const MAX_ID = 256

/** Transport errors. Codes of this range are implementation-defined; clients know these two. */
export const TRANSPORT_ERROR = -32000
export const SESSION_NOT_FOUND = -32001

/** Reads the body of a POST. @returns the parsed JSON, or the error response for an invalid body. */
export function readMessage(request: Request): Response | Promise<object | Response> {
  const type = request.headers.get('content-type') ?? ''
  if (type !== 'application/json' && type.split(';')[0]!.trim().toLowerCase() !== 'application/json')
    return jsonRpcError(415, TRANSPORT_ERROR, 'The content type must be application/json')
  return readText(request, BODY_LIMIT).then(parseMessage, refuseBody)
}

function refuseBody(error: unknown): Response {
  if (!(error instanceof OAuthError)) throw error
  return jsonRpcError(error.status, error.status === 413 ? INVALID_REQUEST : PARSE_ERROR, error.description)
}

function parseMessage(text: string): object | Response {
  if (text === '') return jsonRpcError(400, PARSE_ERROR, 'The body is empty; it must be JSON')
  let message: unknown
  try {
    message = parseJson(text)
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    return jsonRpcError(400, PARSE_ERROR, `The body ${error.message}`)
  }
  if (typeof message !== 'object' || message === null)
    return jsonRpcError(400, INVALID_REQUEST, 'The body must be a JSON-RPC message')
  const messages: { id?: unknown; method?: unknown }[] = Array.isArray(message) ? message : [message]
  if (messages.length > MAX_BATCH)
    return jsonRpcError(400, INVALID_REQUEST, `A batch must have at most ${MAX_BATCH} messages`)
  if (text.length > SMALL_BODY && !messages.every(item => item?.method === 'tools/call'))
    return jsonRpcError(413, INVALID_REQUEST, `Only a tools/call may have a body of more than ${SMALL_BODY} bytes`)
  if (isTooComplex(message))
    return jsonRpcError(
      400,
      INVALID_REQUEST,
      `The body must have at most ${MAX_VALUES} values, and not be nested deeper than ${MAX_DEPTH}`,
    )
  if (messages.some(item => typeof item?.id === 'string' && item.id.length > MAX_ID))
    return jsonRpcError(400, INVALID_REQUEST, `A request id must have at most ${MAX_ID} characters`)
  return message
}

function isTooComplex(message: object): boolean {
  let left = MAX_VALUES
  const walk = (value: object, depth: number): boolean => {
    for (const key in value) {
      if (--left < 0) return true
      const item = (value as Record<string, unknown>)[key]
      if (typeof item === 'object' && item !== null && (depth === 0 || walk(item, depth - 1))) return true
    }
    return false
  }
  return walk(message, MAX_DEPTH - 1)
}

/**
 * Normalizes a message: null members count as absent in the message, its params and their `_meta`. Deeper values, such as
 * the arguments of a tool, are left as sent.
 *
 * @returns undefined if it is not a JSON-RPC message.
 */
export function toMessage(item: unknown): Message | undefined {
  if (!isObject(item)) return undefined
  const message = withoutNulls(item)
  if (isObject(message.params)) message.params = withoutNulls(message.params)
  const { params, id } = message
  if (isObject(params) && isObject(params._meta)) params._meta = withoutNulls(params._meta)
  const hasGoodId = id === undefined || typeof id === 'string' || Number.isSafeInteger(id)
  return hasGoodId && isMessage(message) ? message : undefined
}

/** @returns the same object if it has no null members. */
function withoutNulls(object: Record<string, unknown>): Record<string, unknown> {
  for (const key in object)
    if (object[key] === null) return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== null))
  return object
}

/** An error response with a null id, for errors that belong to no request. */
export function jsonRpcError(
  status: number,
  code: number,
  message: string,
  headers: Record<string, string> = {},
): Response {
  return Response.json({ jsonrpc: '2.0', error: { code, message }, id: null }, { status, headers })
}

/**
 * Reads a header. Repeated equal values, as some proxies send them, count once, and an empty value counts as absent.
 * Different values are joined, so that the result equals none of them.
 */
export function headerOf(headers: Headers, name: string): string | null {
  const sent = headers.get(name)
  if (!sent?.includes(',')) return sent || null
  const values = sent.split(',').map(value => value.trim())
  return [...new Set(values)].filter(Boolean).join(', ') || null
}

/** Which kinds of answer a client accepts. */
export interface Accepts {
  json: boolean
  stream: boolean
}

/**
 * Parses the Accept header. Clients must name both types; those that accept anything, or only JSON, are answered in JSON.
 */
export function acceptedBy(request: Request): Accepts {
  const accept = request.headers.get('accept')
  if (accept === null) return { json: true, stream: false }
  if (accept === 'application/json, text/event-stream') return { json: true, stream: true } // as the SDKs send it
  const types = accept.split(',').map(item => item.split(';')[0]!.trim().toLowerCase())
  return {
    json: types.some(type => type === 'application/json' || type === 'application/*' || type === '*/*'),
    stream: types.includes('text/event-stream'),
  }
}
