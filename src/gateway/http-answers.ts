/** Parses HTTP responses of upstreams: bodies into messages, statuses into failures. */
import { type Failure, fail, UpstreamFailure } from './connection.ts'
import { parseAnswer } from './long-lists.ts'
import {
  type Id,
  isMessage,
  isObject,
  isResponse,
  type Message,
  type RpcRequest,
  type RpcResponse,
} from './messages.ts'
import { readBody } from './outbound.ts'

/** Bytes to read of an error's body. */
const ERROR_BODY = 64 * 1024

/**
 * Parses a body or an event: one message, or a batch (2025-03-26).
 *
 * @param about The request that it may answer. @param most Maximum number of items in a list.
 * @throws UpstreamFailure for anything else.
 */
export function parseMessages(text: string, about: RpcRequest | undefined, most: number): Message[] {
  let value: unknown
  try {
    value = parseAnswer(text, id => (id === about?.id ? about.method : undefined), most)
  } catch {
    throw fail('malformed', 'the answer is not JSON')
  }
  const messages = Array.isArray(value) ? value : [value]
  if (messages.length === 0 || !messages.every(isMessage)) throw fail('malformed', 'the answer is not JSON-RPC')
  return messages
}

export const mediaTypeOf = (response: Response): string =>
  (response.headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase()

export interface Refusal {
  failure: Failure
  /** The upstream no longer knows the session of the request. */
  stale: boolean
  /** A JSON-RPC error in the body that answers the request. */
  answer?: RpcResponse
}

/**
 * Interprets an error response. The detail is for the operator's log.
 *
 * @param about The request; absent for notifications and streams.
 */
export async function readRefusal(response: Response, about: Id | undefined, hadSession: boolean): Promise<Refusal> {
  const { status } = response
  const failure = (reason: Failure['reason'], detail: string): Failure => ({ reason, detail, status })
  if (status >= 300 && status < 400) {
    await response.body?.cancel()
    return { failure: failure('unreachable', `HTTP ${status}: redirects are not followed`), stale: false }
  }
  const text = await readBody(response, ERROR_BODY).then(
    body => body.text,
    () => '',
  )
  if (status === 401 || status === 403) return { failure: failure('refused', `HTTP ${status}`), stale: false }
  if (status >= 500) return { failure: failure('unreachable', `HTTP ${status}`), stale: false }
  const error = rpcErrorOf(text)
  const words = error ? `${error.error.code} ${error.error.message}`.slice(0, 300) : text.slice(0, 100)
  if (hadSession && (status === 404 || (status === 400 && /session/i.test(text) && error?.id !== about)))
    return { failure: failure('session_lost', `HTTP ${status}: the session is gone`), stale: true }
  const refusal: Refusal = { failure: failure('unreachable', `HTTP ${status}: ${words}`), stale: false }
  // A null id is the answer to a request that the server could not parse.
  if (error && about !== undefined && (error.id === about || error.id === null))
    refusal.answer = { jsonrpc: '2.0', id: about, error: error.error }
  return refusal
}

function rpcErrorOf(text: string): { id: unknown; error: { code: number; message: string } } | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (!isObject(value) || !isObject(value.error) || typeof value.error.code !== 'number') return undefined
    const { code, message, data } = value.error
    const words = typeof message === 'string' ? message : ''
    return { id: value.id ?? null, error: { code, message: words, ...(data === undefined ? {} : { data }) } }
  } catch {
    return undefined // not JSON-RPC: only the status counts
  }
}

/** Whether a message answers the request. */
export const answers = (message: Message, id: Id): boolean => isResponse(message) && message.id === id

export function failureOf(error: unknown): Failure {
  if (error instanceof UpstreamFailure) return error.failure
  throw error
}
