/** JSON-RPC 2.0 messages as parsed JSON, forwarded without decoding each field. */

export type Id = string | number

export interface RpcRequest {
  jsonrpc: '2.0'
  id: Id
  method: string
  params?: Record<string, unknown>
}

export interface RpcNotification {
  jsonrpc: '2.0'
  method: string
  params?: Record<string, unknown>
}

export interface RpcErrorBody {
  code: number
  message: string
  data?: unknown
}

export type RpcResponse =
  | { jsonrpc: '2.0'; id: Id; result: Record<string, unknown> }
  | { jsonrpc: '2.0'; id: Id; error: RpcErrorBody }

export type Message = RpcRequest | RpcNotification | RpcResponse

/**
 * Becomes a JSON-RPC error for the client. Message and `data` are our own, or those of an upstream's protocol error that
 * may be passed on.
 */
export class RpcError extends Error {
  constructor(
    readonly rpcCode: number,
    message: string,
    readonly data?: unknown,
    readonly httpStatus = 200,
  ) {
    super(message)
    this.name = 'RpcError'
  }
}

export const PARSE_ERROR = -32700
export const INVALID_REQUEST = -32600
export const METHOD_NOT_FOUND = -32601
export const INVALID_PARAMS = -32602
export const INTERNAL_ERROR = -32603
/** 2025: no such resource. In 2026 it is {@link INVALID_PARAMS}. */
export const RESOURCE_NOT_FOUND = -32002
/** 2025: the client must open URLs first, then retry. */
export const URL_ELICITATION_REQUIRED = -32042
/** 2026: `Mcp-*` headers and body differ. */
export const HEADER_MISMATCH = -32020
/** 2026: the request needs a capability that the client did not declare. */
export const MISSING_CLIENT_CAPABILITY = -32021
/** 2026: the server does not speak this revision. */
export const UNSUPPORTED_VERSION = -32022

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const isId = (value: unknown): value is Id => typeof value === 'string' || typeof value === 'number'

/** Whether parsed JSON is a message. Checks only the envelope, and that a result is an object. */
export function isMessage(value: unknown): value is Message {
  if (!isObject(value) || value.jsonrpc !== '2.0') return false
  if (typeof value.method === 'string')
    return (value.id === undefined || isId(value.id)) && (value.params === undefined || isObject(value.params))
  if (!isId(value.id)) return false
  if (value.error === undefined) return isObject(value.result)
  return isObject(value.error) && typeof value.error.code === 'number' && typeof value.error.message === 'string'
}

export function isRequest(message: Message): message is RpcRequest {
  return 'method' in message && 'id' in message && message.id !== undefined
}

export function isResponse(message: Message): message is RpcResponse {
  return !('method' in message)
}
