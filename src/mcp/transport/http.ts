/**
 * The server side of Streamable HTTP, revisions 2025-03-26 to 2025-11-25, for one session or for one request. A *stream*
 * is as those revisions define it: the answers to one POST, or the standalone stream of a GET. In a session it outlives
 * its connection: events are kept in the log for a client that resumes.
 */
import { type Id, INVALID_REQUEST, isRequest, isResponse, type Message } from '../../gateway/messages.ts'
import type { Caller } from '../caller.ts'
import type { Prepared } from '../core.ts'
import { type EventLog, type LoggedEvent, parseEventId } from './event-log.ts'
import { openEventStream } from './event-stream.ts'
import { jsonRpcError, TRANSPORT_ERROR } from './messages.ts'
import { openTimeouts } from './timeouts.ts'

/** The number of the standalone stream. */
const STANDALONE = 0
/** When a disconnected client should reconnect; long enough for another process to have taken over. */
const RETRY_MS = 2_000
/** How long to wait for the answer before opening a stream for it. */
const SOON_MS = 20
const soon = openTimeouts(SOON_MS)

interface Stream {
  number: number
  /** The events for a client that resumes; absent if it cannot. */
  log?: EventLog | undefined
  /** The requests that are still to be answered. */
  owed: Set<Id>
  /** Absent while the client is disconnected. */
  connection?: Connection | undefined
}

interface Connection {
  deliver(message: Message, event: LoggedEvent | undefined): void
  end(): void
}

export interface HttpTransport {
  /**
   * Receives the messages of one POST.
   *
   * @param as How to answer its requests: as an event stream, which may be resumed, or in JSON.
   * @param isBatch Whether they were sent as a batch, even of one.
   */
  receive(
    items: readonly Prepared[],
    caller: Caller,
    as: 'stream' | 'json',
    isBatch?: boolean,
  ): Response | Promise<Response>
  /** For a cancellation that came through another replica. */
  noteCancelled(message: Message): void
  /** Connects a client to the standalone stream, or to the stream that it resumes. */
  listen(lastEventId: string | null): Response
  /** @param about The request that a message answers or belongs to, if any. */
  send(message: Message, about?: Id): void
  /** Answers all unanswered requests with an error, and ends the streams. */
  close(): void
}

/** All headers of responses that are complete, but for the session's. */
export interface PreparedHeaders {
  events: Headers
  json: Headers
}

export interface HttpTransportOptions {
  prepared: PreparedHeaders
  /** Absent for a single request, which is answered in JSON. */
  session?: { id: string; log: EventLog }
  /** Whether streams begin with an event without data, to make them resumable (2025-11-25). */
  primed?: boolean
  /** @param canAsk Whether the client can receive questions before its answer. */
  deliver(item: Prepared, caller: Caller, canAsk: boolean): void
}

export function openHttpTransport({ prepared, session, primed = false, deliver }: HttpTransportOptions): HttpTransport {
  const log = session?.log
  const headers: Record<string, string> = session ? { 'Mcp-Session-Id': session.id } : {}
  const standalone: Stream = { number: STANDALONE, log, owed: new Set() }
  /** The stream of each unanswered request. */
  const askedOn = new Map<Id, Stream>()
  let lastStream = STANDALONE

  function open(requests: Id[], log?: EventLog): Stream {
    const stream: Stream = { number: ++lastStream, log, owed: new Set(requests) }
    for (const id of requests) askedOn.set(id, stream)
    return stream
  }

  function say(stream: Stream, message: Message): void {
    const event = stream.log?.append(stream.number, JSON.stringify(message)) // even while no client is connected
    stream.connection?.deliver(message, event)
  }

  /** Removes a request that was answered or cancelled. */
  function settle(id: Id): void {
    const stream = askedOn.get(id)
    askedOn.delete(id)
    stream?.owed.delete(id)
    if (stream?.owed.size === 0) stream.connection?.end()
  }

  /** Finds a stream that has not ended and can be resumed. */
  function findStream(number: number): Stream | undefined {
    if (number === STANDALONE) return standalone
    return askedOn.values().find(stream => stream.number === number && stream.log)
  }

  /** The first event of a stream that can be resumed. */
  function primer({ number, log }: Stream): string {
    return primed && log ? `id: ${log.append(number, '').id}\nretry: ${RETRY_MS}\ndata: \n\n` : ''
  }

  function connectEvents(stream: Stream, begun: string): Response {
    stream.connection?.end() // the client has replaced it with this one
    const events = openEventStream(() => {
      if (stream.connection === connection) stream.connection = undefined
    }, headers)
    const connection: Connection = { deliver: (_, event) => event && events.write(textOf(event)), end: events.end }
    stream.connection = connection
    if (begun !== '') events.write(begun)
    return events.response
  }

  /** @param missed The events that a resuming client has not seen. */
  function resumeEvents(stream: Stream, missed: LoggedEvent[] = []): Response {
    const told = missed.filter(({ data }) => data !== '').map(textOf)
    // Also on resumption: a client that is cut off again before its first event would lose its position.
    return connectEvents(stream, told.join('') + primer(stream))
  }

  /** The same events in one piece if all answers come soon: a stream costs far more. */
  function connectSoon(stream: Stream): Promise<Response> {
    const { promise, resolve } = Promise.withResolvers<Response>()
    let text = primer(stream)
    const open = () => {
      stopWaiting()
      stream.connection = undefined
      resolve(connectEvents(stream, text))
    }
    const stopWaiting = soon.start(open)
    stream.connection = {
      deliver(message, event) {
        if (event) text += textOf(event)
        if (!isResponse(message)) open()
      },
      end() {
        stopWaiting()
        resolve(answerWith(text, prepared.events))
      },
    }
    return promise
  }

  function connectJson(stream: Stream, isBatch: boolean): Promise<Response> {
    const { promise, resolve } = Promise.withResolvers<Response>()
    const answers: Message[] = []
    stream.connection = {
      deliver(message) {
        if (isResponse(message)) answers.push(message) // JSON has room for answers only
      },
      end() {
        if (answers.length === 0) resolve(new Response(null, { status: 202, headers }))
        else resolve(answerWith(JSON.stringify(isBatch ? answers : answers[0]), prepared.json))
      },
    }
    return promise
  }

  function answerWith(text: string, prepared: Headers): Response {
    const response = new Response(text, { headers: prepared })
    if (session) response.headers.set('Mcp-Session-Id', session.id)
    return response
  }

  /** A cancelled request is never answered, so its stream must not wait for it. */
  function noteCancelled(message: Message): void {
    const cancelled = cancelledRequest(message)
    if (cancelled !== undefined && askedOn.has(cancelled)) settle(cancelled)
  }

  return {
    noteCancelled,
    receive(items, caller, as, isBatch = false) {
      const messages = items.map(({ message }) => message)
      const requests = messages.filter(isRequest).map(({ id }) => id)
      if (new Set(requests).size < requests.length || requests.some(id => askedOn.has(id)))
        return jsonRpcError(400, INVALID_REQUEST, 'Another request with this id has not been answered yet')
      let response: Response | Promise<Response> = new Response(null, { status: 202 })
      if (requests.length > 0) {
        response = as === 'stream' ? connectSoon(open(requests, log)) : connectJson(open(requests), isBatch)
      }
      const toCome = new Set(requests)
      for (const item of items) {
        const { message } = item
        if (isRequest(message)) toCome.delete(message.id)
        const cancelled = cancelledRequest(message)
        if (cancelled !== undefined && toCome.has(cancelled)) continue // the request comes later in this batch
        deliver(item, caller, as === 'stream' && session !== undefined)
        noteCancelled(message)
      }
      return response
    },
    listen(lastEventId) {
      if (lastEventId === null) return resumeEvents(standalone)
      const seen = parseEventId(lastEventId)
      if (seen && log && seen.log !== log.name) return listenElsewhere(seen.stream)
      const stream = seen && findStream(seen.stream)
      const missed = seen && log?.after(seen)
      if ((!stream && !missed) || seen!.number > log!.last)
        return jsonRpcError(400, TRANSPORT_ERROR, 'Unknown event id; later events are no longer available')
      if (stream) return resumeEvents(stream, missed)
      // Nothing is missing. A stream that ends at once would make clients reconnect again and again.
      if (missed!.every(({ data }) => data === '')) return nothingMore()
      const ended: Stream = { number: seen!.stream, owed: new Set() }
      const response = resumeEvents(ended, missed)
      ended.connection?.end()
      return response
    },
    send(message, about) {
      const answered = isResponse(message) ? message.id : undefined
      const request = answered ?? about
      const stream = request === undefined ? standalone : askedOn.get(request)
      if (!stream) return // cancelled
      say(stream, message)
      if (answered !== undefined) settle(answered)
    },
    close() {
      for (const [id, stream] of askedOn) {
        say(stream, { jsonrpc: '2.0', id, error: { code: TRANSPORT_ERROR, message: 'The session has ended' } })
        settle(id)
      }
      standalone.connection?.end()
      log?.clear()
    },
  }

  /** The events are, or were, in another process: the standalone stream starts over, an answer is lost. */
  function listenElsewhere(stream: number): Response {
    return stream === STANDALONE ? resumeEvents(standalone) : nothingMore()
  }
}

const textOf = ({ id, data }: LoggedEvent) => `event: message\nid: ${id}\ndata: ${data}\n\n`

function nothingMore(): Response {
  return jsonRpcError(405, TRANSPORT_ERROR, 'This stream has no more events', { Allow: 'POST, DELETE' })
}

function cancelledRequest(message: Message): Id | undefined {
  if (!('method' in message) || message.method !== 'notifications/cancelled') return undefined
  return (message.params as { requestId?: Id } | undefined)?.requestId
}
