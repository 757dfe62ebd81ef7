/**
 * The server side of Streamable HTTP, revisions 2025-03-26 to 2025-11-25, for one session or for one request. A *stream*
 * is as those revisions define it: the answers to one POST, or the standalone stream of a GET. In a session it outlives
 * its connection: events are kept in the log for a client that resumes.
 */
import { type Id, INVALID_REQUEST, isRequest, isResponse, type Message } from '../../gateway/messages.ts'
import { openOutcome } from '../../lib/after.ts'
import type { Caller } from '../caller.ts'
import type { Prepared } from '../core.ts'
import { type EventLog, type EventLogs, eventsAfter, idOf, type LoggedEvent, parseEventId } from './event-log.ts'
import { openEventStream } from './event-stream.ts'
import { jsonRpcError, TRANSPORT_ERROR } from './messages.ts'
import { openTimeouts } from './timeouts.ts'

/** The number of the standalone stream. */
const STANDALONE = 0
/** When a disconnected client should reconnect; long enough for another process to have taken over. */
const RETRY_MS = 2_000
/** How long to wait for the answer before opening a stream for it. */
const SOON_MS = 20
/** Maximum length of an answer in JSON where it can be a stream, too: no more than arrives at once, or not at all. */
const MAX_JSON = 8 * 1024
const soon = openTimeouts(SOON_MS)

interface Stream {
  number: number
  /** The events for a client that resumes; absent if it cannot, and while nothing has been sent to it. */
  log?: EventLog | undefined
  /** How many requests are still to be answered. */
  owed: number
  /** Absent while the client is disconnected. */
  connection?: Connection | undefined
}

interface Connection {
  /** @param data The JSON of a message. @param event Absent while the stream has no log. */
  deliver(data: string, isAnswer: boolean, event: LoggedEvent | undefined): void
  end(): void
}

/** All headers of responses that are complete, but for the session's. */
export interface PreparedHeaders {
  events: Headers
  json: Headers
}

/**
 * One session or one request. It is data without methods, and what is not needed yet is absent, because there are
 * thousands of idle sessions.
 */
export interface HttpTransport {
  readonly prepared: PreparedHeaders
  readonly logs: EventLogs
  /** Absent for a single request, which is answered in JSON. */
  readonly session?: { id: string; log: EventLog }
  /** Whether streams begin with an event without data, to make them resumable (2025-11-25). */
  readonly primed: boolean
  /** @param canAsk Whether the client can receive questions before its answer. */
  deliver(item: Prepared, caller: Caller, canAsk: boolean): void
  standalone?: Stream
  /** The stream of each unanswered request. */
  askedOn?: Map<Id, Stream> | undefined
  lastStream: number
}

export function openHttpTransport(given: Omit<HttpTransport, 'standalone' | 'askedOn' | 'lastStream'>): HttpTransport {
  return { ...given, lastStream: STANDALONE }
}

/**
 * Receives the messages of one POST.
 *
 * @param as How to answer its requests: as an event stream, which may be resumed, or in JSON.
 * @param isBatch Whether they were sent as a batch, even of one.
 */
export function receivePost(
  transport: HttpTransport,
  items: readonly Prepared[],
  caller: Caller,
  as: 'stream' | 'json',
  isBatch = false,
): Response | Promise<Response> {
  const { session, askedOn } = transport
  const requests: Id[] = []
  for (const { message } of items) {
    if (!isRequest(message)) continue
    if (requests.includes(message.id) || askedOn?.has(message.id))
      return jsonRpcError(400, INVALID_REQUEST, 'Another request with this id has not been answered yet')
    requests.push(message.id)
  }
  const deliver = () => {
    items.forEach((item, at) => {
      const cancelled = cancelledRequest(item.message)
      if (cancelled !== undefined && hasRequest(items.slice(at), cancelled)) return // it comes later in this batch
      transport.deliver(item, caller, as === 'stream' && session !== undefined)
      noteCancelled(transport, item.message)
    })
  }
  if (requests.length === 0) {
    deliver()
    return new Response(null, { status: 202 })
  }
  return connectSoon(transport, open(transport, requests), deliver, as, isBatch)
}

const hasRequest = (items: readonly Prepared[], id: Id) =>
  items.some(({ message }) => isRequest(message) && message.id === id)

/** Connects a client to the standalone stream, or to the stream that it resumes. */
export function listen(transport: HttpTransport, lastEventId: string | null): Response {
  const log = transport.session?.log
  if (lastEventId === null) return resumeEvents(transport, standaloneOf(transport))
  const seen = parseEventId(lastEventId)
  if (seen && log && seen.log !== log.name) return listenElsewhere(transport, seen.stream)
  const stream = seen && findStream(transport, seen.stream)
  const missed = seen && log && eventsAfter(log, seen)
  if ((!stream && !missed) || seen!.number > log!.last)
    return jsonRpcError(400, TRANSPORT_ERROR, 'Unknown event id; later events are no longer available')
  if (stream) return resumeEvents(transport, stream, missed)
  // Nothing is missing. A stream that ends at once would make clients reconnect again and again.
  if (missed!.every(({ data }) => data === '')) return nothingMore()
  const ended: Stream = { number: seen!.stream, owed: 0 }
  const response = resumeEvents(transport, ended, missed)
  ended.connection?.end()
  return response
}

/** @param about The request that a message answers or belongs to, if any. */
export function sendMessage(transport: HttpTransport, message: Message, about?: Id): void {
  const answered = isResponse(message) ? message.id : undefined
  const request = answered ?? about
  const stream = request === undefined ? standaloneOf(transport) : transport.askedOn?.get(request)
  if (!stream) return // cancelled
  say(transport, stream, message)
  if (answered !== undefined) settle(transport, answered)
}

/** Removes a request that was cancelled: it is never answered, so its stream must not wait for it. */
export function noteCancelled(transport: HttpTransport, message: Message): void {
  const cancelled = cancelledRequest(message)
  if (cancelled !== undefined) settle(transport, cancelled)
}

/** Answers all unanswered requests with an error, and ends the streams. */
export function closeTransport(transport: HttpTransport): void {
  const { askedOn, logs, session } = transport
  for (const [id, stream] of askedOn ?? []) {
    const error = { code: TRANSPORT_ERROR, message: 'The session has ended' }
    say(transport, stream, { jsonrpc: '2.0', id, error })
    settle(transport, id)
  }
  transport.standalone?.connection?.end()
  if (session) logs.clear(session.log)
}

function open(transport: HttpTransport, requests: Id[]): Stream {
  const stream: Stream = { number: ++transport.lastStream, owed: requests.length }
  transport.askedOn ??= new Map()
  for (const id of requests) transport.askedOn.set(id, stream)
  return stream
}

function standaloneOf(transport: HttpTransport): Stream {
  transport.standalone ??= { number: STANDALONE, log: transport.session?.log, owed: 0 }
  return transport.standalone
}

function say({ logs }: HttpTransport, stream: Stream, message: Message): void {
  const data = JSON.stringify(message)
  // even while no client is connected
  const event = stream.log && logs.append(stream.log, stream.number, data)
  stream.connection?.deliver(data, isResponse(message), event)
}

/** Removes a request that was answered or cancelled. */
function settle(transport: HttpTransport, id: Id): void {
  const { askedOn } = transport
  const stream = askedOn?.get(id)
  if (!stream) return
  askedOn!.delete(id)
  if (askedOn!.size === 0) transport.askedOn = undefined
  stream.owed -= 1
  if (stream.owed === 0) stream.connection?.end()
}

/** Finds a stream that has not ended and can be resumed. */
function findStream(transport: HttpTransport, number: number): Stream | undefined {
  if (number === STANDALONE) return standaloneOf(transport)
  return transport.askedOn?.values().find(stream => stream.number === number && stream.log)
}

/** The first event of a stream that can be resumed. */
function primer({ primed, logs }: HttpTransport, { number, log }: Stream): string {
  return primed && log ? `id: ${idOf(log, logs.append(log, number, ''))}\nretry: ${RETRY_MS}\ndata: \n\n` : ''
}

const headersOf = ({ session }: HttpTransport): Record<string, string> =>
  session ? { 'Mcp-Session-Id': session.id } : {}

function connectEvents(transport: HttpTransport, stream: Stream, begun: string): Response {
  stream.connection?.end() // the client has replaced it with this one
  const events = openEventStream(() => {
    if (stream.connection === connection) stream.connection = undefined
  }, headersOf(transport))
  const connection: Connection = {
    deliver: (_data, _isAnswer, event) => event && events.write(textOf(transport, event)),
    end: events.end,
  }
  stream.connection = connection
  if (begun !== '') events.write(begun)
  return events.response
}

/** @param missed The events that a resuming client has not seen. */
function resumeEvents(transport: HttpTransport, stream: Stream, missed: LoggedEvent[] = []): Response {
  const told = missed.filter(({ data }) => data !== '').map(event => textOf(transport, event))
  // Also on resumption: a client that is cut off again before its first event would lose its position.
  return connectEvents(transport, stream, told.join('') + primer(transport, stream))
}

/**
 * Answers in JSON if all answers come soon: a stream costs far more, and the client cannot resume what it has not seen
 * begin. Otherwise, or if other messages come first, it begins a stream.
 *
 * @param deliver Delivers the requests.
 */
function connectSoon(
  transport: HttpTransport,
  stream: Stream,
  deliver: () => void,
  as: 'stream' | 'json',
  isBatch: boolean,
): Response | Promise<Response> {
  const outcome = openOutcome<Response>()
  const said: string[] = []
  let stopWaiting = () => {}
  const begin = () => {
    stopWaiting()
    stream.connection = undefined
    outcome.settle(connectEvents(transport, stream, beginEvents(transport, stream, said)))
  }
  stream.connection = {
    deliver(data, isAnswer) {
      if (isAnswer || as === 'stream') said.push(data) // JSON has room for answers only
      if (!isAnswer && as === 'stream') begin()
    },
    end() {
      stopWaiting()
      const { events, json } = transport.prepared
      const text = isBatch ? `[${said.join()}]` : (said[0] ?? '')
      if (as === 'stream' && (said.length === 0 || text.length > MAX_JSON))
        outcome.settle(answerWith(transport, beginEvents(transport, stream, said), events))
      else if (said.length > 0) outcome.settle(answerWith(transport, text, json))
      else outcome.settle(new Response(null, { status: 202, headers: headersOf(transport) }))
    },
  }
  deliver()
  const response = outcome.take()
  if (as === 'stream' && response instanceof Promise) stopWaiting = soon.start(begin)
  return response
}

/** From now on events are kept for the client. @returns the first ones, with what was said so far. */
function beginEvents(transport: HttpTransport, stream: Stream, said: readonly string[]): string {
  const { logs, session } = transport
  stream.log = session?.log
  let text = primer(transport, stream)
  for (const data of said) if (stream.log) text += textOf(transport, logs.append(stream.log, stream.number, data))
  return text
}

function answerWith({ session }: HttpTransport, text: string, prepared: Headers): Response {
  const response = new Response(text, { headers: prepared })
  if (session) response.headers.set('Mcp-Session-Id', session.id)
  return response
}

/** The events are, or were, in another process: the standalone stream starts over, an answer is lost. */
function listenElsewhere(transport: HttpTransport, stream: number): Response {
  return stream === STANDALONE ? resumeEvents(transport, standaloneOf(transport)) : nothingMore()
}

const textOf = ({ session }: HttpTransport, event: LoggedEvent) =>
  `event: message\nid: ${idOf(session!.log, event)}\ndata: ${event.data}\n\n`

function nothingMore(): Response {
  return jsonRpcError(405, TRANSPORT_ERROR, 'This stream has no more events', { Allow: 'POST, DELETE' })
}

function cancelledRequest(message: Message): Id | undefined {
  if (!('method' in message) || message.method !== 'notifications/cancelled') return undefined
  return (message.params as { requestId?: Id } | undefined)?.requestId
}
