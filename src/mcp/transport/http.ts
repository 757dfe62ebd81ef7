/**
 * The server's end of Streamable HTTP, revisions 2025-03-26 to 2025-11-25, for one session or for one request. A *stream*
 * is what those revisions mean by it: the answers to one POST, or what the server says by itself (GET). In a session it
 * outlives its connection: what is said meanwhile waits in the log for a client that resumes.
 */
import { type Id, INVALID_REQUEST, isRequest, isResponse, type Message } from '../../gateway/messages.ts'
import type { Caller } from '../access.ts'
import type { Prepared } from '../core.ts'
import { type EventLog, type LoggedEvent, parseEventId } from './event-log.ts'
import { openEventStream } from './event-stream.ts'
import { jsonRpcError, TRANSPORT_ERROR } from './messages.ts'

/** The stream that no request began. */
const STANDALONE = 0
/** When a client that lost its connection should come back; long enough for another process to have taken over. */
const RETRY_MS = 2_000

interface Stream {
  number: number
  /** Where a client that was cut off finds what it missed; absent if it cannot resume. */
  log?: EventLog | undefined
  /** The requests that it still has to answer. */
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
   * Takes the messages of one POST.
   *
   * @param as How its requests are answered: as an event stream, which may be resumed, or in JSON.
   * @param isBatch Whether they came as a batch, though it may be of one.
   */
  receive(
    items: readonly Prepared[],
    caller: Caller,
    as: 'stream' | 'json',
    isBatch?: boolean,
  ): Response | Promise<Response>
  /** Connects a client to the stream that no request began, or to the one it was cut off from. */
  listen(lastEventId: string | null): Response
  /** @param about The request that a message answers or belongs to; absent: none. */
  send(message: Message, about?: Id): void
  /** Tells whoever still waits for an answer that there will be none. */
  close(): void
}

export interface HttpTransportOptions {
  /** Absent for a single request, which is answered in JSON. */
  session?: { id: string; log: EventLog }
  /** Whether the client takes events without data, which begin a stream so that it can be resumed (2025-11-25). */
  primed?: boolean
  /** @param canAsk Whether the client can be asked something before it gets its answer. */
  deliver(item: Prepared, caller: Caller, canAsk: boolean): void
}

export function openHttpTransport({ session, primed = false, deliver }: HttpTransportOptions): HttpTransport {
  const log = session?.log
  const headers: Record<string, string> = session ? { 'Mcp-Session-Id': session.id } : {}
  const standalone: Stream = { number: STANDALONE, log, owed: new Set() }
  /** Which stream a request without an answer is to be answered on. */
  const askedOn = new Map<Id, Stream>()
  let lastStream = STANDALONE

  function open(requests: Id[], log?: EventLog): Stream {
    const stream: Stream = { number: ++lastStream, log, owed: new Set(requests) }
    for (const id of requests) askedOn.set(id, stream)
    return stream
  }

  function say(stream: Stream, message: Message): void {
    const event = stream.log?.append(stream.number, JSON.stringify(message)) // also while nobody is connected
    stream.connection?.deliver(message, event)
  }

  /** A request needs no answer any more, because it has one or because it was cancelled. */
  function settle(id: Id): void {
    const stream = askedOn.get(id)
    askedOn.delete(id)
    stream?.owed.delete(id)
    if (stream?.owed.size === 0) stream.connection?.end()
  }

  /** A stream that has not ended and can be resumed. */
  function findStream(number: number): Stream | undefined {
    if (number === STANDALONE) return standalone
    return askedOn.values().find(stream => stream.number === number && stream.log)
  }

  /** @param missed What the client has not seen of the stream, if it resumes. */
  function connectEvents(stream: Stream, missed: LoggedEvent[] = []): Response {
    stream.connection?.end() // the client knows best which of its connections lives
    const events = openEventStream(() => {
      if (stream.connection === connection) stream.connection = undefined
    }, headers)
    const write = (event: LoggedEvent) => events.write(`event: message\nid: ${event.id}\ndata: ${event.data}\n\n`)
    const connection: Connection = { deliver: (_, event) => event && write(event), end: events.end }
    stream.connection = connection
    for (const event of missed.filter(({ data }) => data !== '')) write(event)
    // Also when it resumes: a client forgets where it was when it is cut off before it was told anything.
    if (primed && stream.log)
      events.write(`id: ${stream.log.append(stream.number, '').id}\nretry: ${RETRY_MS}\ndata: \n\n`)
    return events.response
  }

  function connectJson(stream: Stream, isBatch: boolean): Promise<Response> {
    const { promise, resolve } = Promise.withResolvers<Response>()
    const answers: Message[] = []
    stream.connection = {
      deliver(message) {
        if (isResponse(message)) answers.push(message) // there is no room for anything else
      },
      end() {
        if (answers.length === 0) resolve(new Response(null, { status: 202, headers }))
        else resolve(Response.json(isBatch ? answers : answers[0], { headers }))
      },
    }
    return promise
  }

  return {
    receive(items, caller, as, isBatch = false) {
      const messages = items.map(({ message }) => message)
      const requests = messages.filter(isRequest).map(({ id }) => id)
      if (new Set(requests).size < requests.length || requests.some(id => askedOn.has(id)))
        return jsonRpcError(400, INVALID_REQUEST, 'The id of a request must not be that of one without an answer')
      let response: Response | Promise<Response> = new Response(null, { status: 202 })
      if (requests.length > 0) {
        response = as === 'stream' ? connectEvents(open(requests, log)) : connectJson(open(requests), isBatch)
      }
      const toCome = new Set(requests)
      for (const item of items) {
        const { message } = item
        if (isRequest(message)) toCome.delete(message.id)
        const cancelled = cancelledRequest(message)
        if (cancelled !== undefined && toCome.has(cancelled)) continue // there is no such request yet
        deliver(item, caller, as === 'stream' && session !== undefined)
        // What is cancelled is never answered, and nothing may wait for that.
        if (cancelled !== undefined && askedOn.has(cancelled)) settle(cancelled)
      }
      return response
    },
    listen(lastEventId) {
      if (lastEventId === null) return connectEvents(standalone)
      const seen = parseEventId(lastEventId)
      if (seen && log && seen.log !== log.name) return listenElsewhere(seen.stream)
      const stream = seen && findStream(seen.stream)
      const missed = seen && log?.after(seen)
      if ((!stream && !missed) || seen!.number > log!.last)
        return jsonRpcError(400, TRANSPORT_ERROR, 'No event with this id is known; what came after it is lost')
      if (stream) return connectEvents(stream, missed)
      // All was said. To say so with a stream that ends at once would make clients come back, over and over.
      if (missed!.every(({ data }) => data === '')) return nothingMore()
      const ended: Stream = { number: seen!.stream, owed: new Set() }
      const response = connectEvents(ended, missed)
      ended.connection?.end()
      return response
    },
    send(message, about) {
      const answered = isResponse(message) ? message.id : undefined
      const request = answered ?? about
      const stream = request === undefined ? standalone : askedOn.get(request)
      if (!stream) return // cancelled meanwhile
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

  /** Another process has the events, or had them: what the server says by itself begins afresh, an answer is lost. */
  function listenElsewhere(stream: number): Response {
    return stream === STANDALONE ? connectEvents(standalone) : nothingMore()
  }
}

function nothingMore(): Response {
  return jsonRpcError(405, TRANSPORT_ERROR, 'Nothing more comes on this stream', { Allow: 'POST, DELETE' })
}

function cancelledRequest(message: Message): Id | undefined {
  if (!('method' in message) || message.method !== 'notifications/cancelled') return undefined
  return (message.params as { requestId?: Id } | undefined)?.requestId
}
