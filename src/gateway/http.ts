/**
 * A connection over Streamable HTTP: 2025 with a session and a server-to-client stream, 2026-07-28 stateless with headers
 * that repeat parts of the body. Each message shows which of the two it belongs to.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Connection, type ConnectionEvents, type Failure, fail, UpstreamFailure } from './connection.ts'
import type { Credential } from './credential.ts'
import { answers, failureOf, mediaTypeOf, parseMessages, readRefusal } from './http-answers.ts'
import { type Id, isRequest, isResponse, type Message, type RpcRequest } from './messages.ts'
import { type OutboundRequest, readBody, readChunks, sendWith } from './outbound.ts'
import { encodeHeaderValue } from './param-headers.ts'
import { metaOf, PROTOCOL_VERSION, targetOf } from './protocol.ts'
import { openEventReader } from './sse.ts'

export interface HttpSpec {
  url: string
  /** The configured headers, filled in for this principal. */
  headers: Record<string, string>
  /** Absent: what is in the headers. */
  credential?: Credential
  maxBytes: number
  /** Maximum number of items in a list. */
  maxItems: number
}

/** Pause before a stream is reopened. */
const RETRY_MS = 1_000
const RETRY_MOST_MS = 30_000
/** Attempts to resume an answer stream that broke. */
const RESUMPTIONS = 5
const FAREWELL_MS = 2_000

export function openHttp(spec: HttpSpec, events: ConnectionEvents): Connection {
  const closing = new AbortController()
  /** Requests without an answer. */
  const requests = new Map<Id, AbortController>()
  let sessionId: string | undefined
  /** 2025: the negotiated revision. */
  let revision: string | undefined
  let stale = false
  const send = (request: OutboundRequest) => sendWith(spec.credential, spec.url, request)

  function headersFor(message: Message | undefined, accept: string): Record<string, string> {
    const headers: Record<string, string> = { ...spec.headers, Accept: accept }
    if (message) headers['Content-Type'] = 'application/json'
    const modern = message && isRequest(message) ? metaOf(message.params)?.[PROTOCOL_VERSION] : undefined
    if (typeof modern === 'string') {
      const { method, params } = message as RpcRequest
      headers['MCP-Protocol-Version'] = modern
      headers['Mcp-Method'] = method
      const target = targetOf(method, params)
      if (target !== undefined) headers['Mcp-Name'] = encodeHeaderValue(target)
      return headers
    }
    if (sessionId !== undefined) headers['Mcp-Session-Id'] = sessionId
    if (revision !== undefined) headers['MCP-Protocol-Version'] = revision
    return headers
  }

  /** Reads the stream of one request or, without `about`, the server-to-client stream. @returns whether the answer arrived. */
  async function readStream(response: Response, resumed: { lastEventId?: string; retry?: number }, about?: RpcRequest) {
    let answered = false
    const reader = openEventReader(spec.maxBytes, ({ data, bytes }) => {
      if (data === '') return
      for (const message of parseMessages(data, about, spec.maxItems)) {
        if (about && answers(message, about.id)) {
          answered = true
          if (about.method === 'initialize') learn(response, message)
        }
        events.onMessage(message, bytes, about?.id)
      }
    })
    try {
      await readChunks(response, chunk => {
        reader.push(chunk)
        return answered
      })
    } finally {
      const id = reader.lastEventId()
      if (id !== undefined) resumed.lastEventId = id
      const retry = reader.retry()
      if (retry !== undefined) resumed.retry = retry
    }
    return answered
  }

  /** Learns session id and revision from the answer to `initialize`. */
  function learn(response: Response, message: Message): void {
    if (!isResponse(message) || !('result' in message)) return
    sessionId = response.headers.get('mcp-session-id') ?? undefined
    const { protocolVersion } = message.result
    if (typeof protocolVersion === 'string') revision = protocolVersion
  }

  function noticeStale(): void {
    if (stale || closing.signal.aborted) return
    stale = true
    events.onStale?.()
  }

  function post(message: Message, extra: Record<string, string> | undefined, signal: AbortSignal): Promise<Response> {
    const headers = Object.assign(headersFor(message, 'application/json, text/event-stream'), extra)
    return send({ method: 'POST', headers, body: JSON.stringify(message), signal })
  }

  async function request(message: RpcRequest, extra: Record<string, string> | undefined, signal: AbortSignal) {
    const hadSession = sessionId !== undefined
    const response = await post(message, extra, signal)
    if (!response.ok) {
      const refusal = await readRefusal(response, message.id, hadSession)
      if (refusal.stale) noticeStale()
      if (!refusal.answer) throw new UpstreamFailure(refusal.failure)
      return events.onMessage(refusal.answer, 0, message.id)
    }
    const type = mediaTypeOf(response)
    if (type === 'application/json') {
      const { text, bytes } = await readBody(response, spec.maxBytes)
      let answered = false
      for (const item of parseMessages(text, message, spec.maxItems)) {
        answered ||= answers(item, message.id)
        if (message.method === 'initialize') learn(response, item)
        events.onMessage(item, bytes, message.id)
      }
      if (!answered) throw fail('malformed', 'the body answers another request')
      return
    }
    if (type !== 'text/event-stream') {
      await response.body?.cancel()
      throw fail('malformed', `the answer has the content type ${type.slice(0, 50) || '(none)'}`)
    }
    const resumed: { lastEventId?: string; retry?: number } = {}
    if (await readToEnd(() => readStream(response, resumed, message), resumed)) return
    await resume(message, resumed, signal)
  }

  /** A broken stream is not a failure if the server sent an event id to resume from. */
  async function readToEnd(read: () => Promise<boolean>, resumed: { lastEventId?: string }): Promise<boolean> {
    try {
      return await read()
    } catch (error) {
      if (resumed.lastEventId !== undefined && failureOf(error).reason === 'unreachable') return false
      throw error
    }
  }

  /** 2025-11-25, "Resumability": a server may end a stream early and answer on a resumed one. */
  async function resume(about: RpcRequest, resumed: { lastEventId?: string; retry?: number }, signal: AbortSignal) {
    for (let attempt = 0; resumed.lastEventId !== undefined && attempt < RESUMPTIONS; attempt++) {
      await sleep(Math.min(resumed.retry ?? RETRY_MS, RETRY_MOST_MS), undefined, { signal })
      const headers = { ...headersFor(undefined, 'text/event-stream'), 'Last-Event-ID': resumed.lastEventId }
      const response = await send({ method: 'GET', headers, signal })
      if (!response.ok || mediaTypeOf(response) !== 'text/event-stream') {
        await response.body?.cancel()
        break
      }
      if (await readToEnd(() => readStream(response, resumed, about), resumed)) return
    }
    throw fail('unreachable', 'the answer stream ended without an answer')
  }

  /** 2025: follows the server-to-client stream, reopening it when it ends; not every server has one. */
  async function followServer(): Promise<void> {
    const { signal } = closing
    const resumed: { lastEventId?: string; retry?: number } = {}
    for (let wait = RETRY_MS; !signal.aborted && !stale; wait = Math.min(wait * 2, RETRY_MOST_MS)) {
      try {
        const headers = headersFor(undefined, 'text/event-stream')
        if (resumed.lastEventId !== undefined) headers['Last-Event-ID'] = resumed.lastEventId
        const response = await send({ method: 'GET', headers, signal })
        if (!response.ok || mediaTypeOf(response) !== 'text/event-stream') {
          await response.body?.cancel()
          if (response.status === 404 && sessionId !== undefined) noticeStale()
          if (response.status < 500) return
        } else {
          wait = RETRY_MS
          await readStream(response, resumed)
        }
      } catch (error) {
        if (!(error instanceof UpstreamFailure)) throw error
      }
      await sleep(resumed.retry ?? wait, undefined, { signal }).catch(() => {})
    }
  }

  async function answer(message: RpcRequest, extra: Record<string, string> | undefined): Promise<void> {
    const controller = new AbortController()
    requests.set(message.id, controller)
    try {
      await request(message, extra, controller.signal)
    } catch (error) {
      const failure = error instanceof UpstreamFailure ? error.failure : unexpected(error, controller.signal)
      // Whatever it still sends is not read.
      controller.abort()
      events.onFailure?.(message.id, failure)
    } finally {
      requests.delete(message.id)
    }
  }

  return {
    async send(message, extra) {
      if (closing.signal.aborted) throw fail('cancelled', 'the connection was closed')
      if (isRequest(message)) return void answer(message, extra)
      const hadSession = sessionId !== undefined
      const response = await post(message, extra, closing.signal)
      if (!response.ok) {
        const refusal = await readRefusal(response, undefined, hadSession)
        if (refusal.stale) noticeStale()
        throw new UpstreamFailure(refusal.failure)
      }
      await response.body?.cancel()
      if ('method' in message && message.method === 'notifications/initialized') void followServer()
    },
    abort: id => requests.get(id)?.abort(),
    async close() {
      if (closing.signal.aborted) return
      closing.abort()
      for (const controller of requests.values()) controller.abort()
      events.onClose({ reason: 'cancelled', detail: 'the connection was closed' })
      if (sessionId === undefined || stale) return
      const signal = AbortSignal.timeout(FAREWELL_MS)
      // If this fails, the upstream will expire the session by itself.
      const headers = headersFor(undefined, 'application/json')
      await send({ method: 'DELETE', headers, signal }).then(
        response => response.body?.cancel(),
        () => {},
      )
    },
  }
}

function unexpected(error: unknown, signal: AbortSignal): Failure {
  if (signal.aborted) return { reason: 'cancelled', detail: 'the request was aborted' }
  return { reason: 'malformed', detail: error instanceof Error ? error.message : 'unknown' }
}
