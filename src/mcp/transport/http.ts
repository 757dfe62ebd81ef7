/**
 * The server's end of Streamable HTTP, revisions 2025-03-26 to 2025-11-25, for one session or for one request. A *stream*
 * is what those revisions mean by it: the answers to one POST, or what the server says by itself (GET). In a session it
 * outlives its connection: what is said meanwhile waits in the log for a client that resumes.
 */
import type { AuthInfo, JSONRPCMessage, JSONRPCRequest, Transport } from '@modelcontextprotocol/server'
import { type EventLog, type LoggedEvent, parseEventId } from './event-log.ts'
import { openEventStream } from './event-stream.ts'
import { INVALID_REQUEST, jsonRpcError, TRANSPORT_ERROR } from './messages.ts'

type RequestId = string | number

/** The stream that no request began. */
const STANDALONE = 0
/** When a client that lost its connection should come back; long enough for another process to have taken over. */
const RETRY_MS = 2_000

interface Stream {
  number: number
  /** Where a client that was cut off finds what it missed; absent if it cannot resume. */
  log?: EventLog | undefined
  /** The requests that it still has to answer. */
  owed: Set<RequestId>
  /** Absent while the client is disconnected. */
  connection?: Connection | undefined
}

interface Connection {
  deliver(message: JSONRPCMessage, event: LoggedEvent | undefined): void
  end(): void
}

export interface HttpTransport extends Transport {
  /**
   * Takes the messages of one POST.
   *
   * @param as How its requests are answered: as an event stream, which may be resumed, or in JSON.
   * @param isBatch Whether they came as a batch, though it may be of one.
   */
  receive(
    messages: JSONRPCMessage[],
    authInfo: AuthInfo,
    as: 'stream' | 'json',
    isBatch?: boolean,
  ): Response | Promise<Response>
  /** Connects a client to the stream that no request began, or to the one it was cut off from. */
  listen(lastEventId: string | null): Response
}

export interface HttpTransportOptions {
  /** Absent for a single request, which is answered in JSON. */
  session?: { id: string; log: EventLog }
  /** Whether the client takes events without data, which begin a stream so that it can be resumed (2025-11-25). */
  primed?: boolean
}

export function openHttpTransport({ session, primed = false }: HttpTransportOptions = {}): HttpTransport {
  const log = session?.log
  const headers: Record<string, string> = session ? { 'Mcp-Session-Id': session.id } : {}
  const standalone: Stream = { number: STANDALONE, log, owed: new Set() }
  /** Which stream a request without an answer is to be answered on. */
  const askedOn = new Map<RequestId, Stream>()
  let lastStream = STANDALONE

  function open(requests: RequestId[], log?: EventLog): Stream {
    const stream: Stream = { number: ++lastStream, log, owed: new Set(requests) }
    for (const id of requests) askedOn.set(id, stream)
    return stream
  }

  function say(stream: Stream, message: JSONRPCMessage): void {
    const event = stream.log?.append(stream.number, JSON.stringify(message)) // also while nobody is connected
    stream.connection?.deliver(message, event)
  }

  /** A request needs no answer any more, because it has one or because it was cancelled. */
  function settle(id: RequestId): void {
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
    const answers: JSONRPCMessage[] = []
    stream.connection = {
      deliver(message) {
        if (isAnswer(message)) answers.push(message) // there is no room for anything else
      },
      end() {
        if (answers.length === 0) resolve(new Response(null, { status: 202, headers }))
        else resolve(Response.json(isBatch ? answers : answers[0], { headers }))
      },
    }
    return promise
  }

  const transport: HttpTransport = {
    ...(session ? { sessionId: session.id } : {}),
    start: async () => {},
    receive(messages, authInfo, as, isBatch = false) {
      const requests = messages.filter(isRequest).map(({ id }) => id)
      if (new Set(requests).size < requests.length || requests.some(id => askedOn.has(id)))
        return jsonRpcError(400, INVALID_REQUEST, 'The id of a request must not be that of one without an answer')
      let response: Response | Promise<Response> = new Response(null, { status: 202 })
      if (requests.length > 0) {
        response = as === 'stream' ? connectEvents(open(requests, log)) : connectJson(open(requests), isBatch)
      }
      const toCome = new Set(requests)
      for (const message of messages) {
        if (isRequest(message)) toCome.delete(message.id)
        const cancelled = cancelledRequest(message)
        if (cancelled !== undefined && toCome.has(cancelled)) continue // there is no such request yet
        transport.onmessage?.(message, { authInfo })
        // What is cancelled is never answered, and nothing may wait for that.
        if (cancelled !== undefined && askedOn.has(cancelled)) settle(cancelled)
      }
      return response
    },
    listen(lastEventId) {
      if (lastEventId === null) return connectEvents(standalone)
      const seen = parseEventId(lastEventId)
      const stream = seen && findStream(seen.stream)
      const missed = seen && log?.after(seen)
      if ((!stream && !missed) || seen!.number > log!.last)
        return jsonRpcError(400, TRANSPORT_ERROR, 'No event with this id is known; what came after it is lost')
      if (stream) return connectEvents(stream, missed)
      // All was said. To say so with a stream that ends at once would make clients come back, over and over.
      if (missed!.every(({ data }) => data === ''))
        return jsonRpcError(405, TRANSPORT_ERROR, 'Nothing more comes on this stream', { Allow: 'POST, DELETE' })
      const ended: Stream = { number: seen!.stream, owed: new Set() }
      const response = connectEvents(ended, missed)
      ended.connection?.end()
      return response
    },
    async send(message, options) {
      const answered = isAnswer(message) ? message.id : undefined
      const request = answered ?? options?.relatedRequestId
      const stream = request === undefined ? standalone : askedOn.get(request)
      if (!stream) return // cancelled meanwhile
      say(stream, message)
      if (answered !== undefined) settle(answered)
    },
    async close() {
      for (const [id, stream] of askedOn) {
        say(stream, { jsonrpc: '2.0', id, error: { code: TRANSPORT_ERROR, message: 'The session has ended' } })
        settle(id)
      }
      standalone.connection?.end()
      log?.clear()
      transport.onclose?.()
    },
  }
  return transport
}

function isRequest(message: JSONRPCMessage): message is JSONRPCRequest {
  return 'id' in message && 'method' in message
}

function isAnswer(message: JSONRPCMessage): message is JSONRPCMessage & { id: RequestId } {
  return 'id' in message && !('method' in message)
}

function cancelledRequest(message: JSONRPCMessage): RequestId | undefined {
  if (!('method' in message) || message.method !== 'notifications/cancelled') return undefined
  return (message.params as { requestId?: RequestId } | undefined)?.requestId
}
