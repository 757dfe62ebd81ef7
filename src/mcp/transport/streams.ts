/**
 * Guards open event streams: limits their number and unread bytes (a stalled reader's buffer would grow forever), keeps
 * them alive, and ends them when their token expires or is revoked.
 */

import type { OAuthDeps } from '../../oauth/deps.ts'
import { type Principal, revocableSubjects } from '../../oauth/principal.ts'
import { ownerOf, personOf } from '../access.ts'
import { openCounts } from '../counts.ts'
import { isEventStream } from './event-stream.ts'
import { jsonRpcError, TRANSPORT_ERROR } from './messages.ts'

/** Answers to parallel calls in sessions are streams, too. */
const PER_CONNECTION = 64
const PER_PERSON = 256
const OVERALL = 10_000
/** Maximum number of unread bytes, not counting the last chunk. */
const MAX_UNREAD = 1024 * 1024
/** An SSE comment sent at once, since Bun sends the headers only with the first bytes. */
const OPENING = new TextEncoder().encode(':\n\n')
const KEEP_ALIVE = new TextEncoder().encode(': keep-alive\n\n')
/** Shorter than the idle timeouts of proxies, clients and this server; ours closes the socket of a stalled reader. */
const KEEP_ALIVE_MS = 15_000
/** A timer for longer than 2^31 ms would run at once. */
const LONGEST_MS = 2 ** 31 - 1

interface OpenStream {
  /** Whether it ends by itself, once a call is answered. */
  isAnswer: boolean
  subjects: readonly string[]
  /** Sends a comment, so that proxies do not time out. */
  keepAlive(): void
  /** Sends the farewell, if there is one, and ends the stream. */
  end(): void
}

export interface Streams {
  /** Whether a principal may have another stream. */
  hasRoom(principal: Principal): boolean
  /**
   * Guards a response if it is an event stream, and returns any other one unchanged.
   *
   * @param farewell Sent before the server ends a stream that does not end by itself.
   */
  guard(principal: Principal, request: Request, response: Response, farewell?: string): Response
}

export function tooManyStreams(): Response {
  return jsonRpcError(429, TRANSPORT_ERROR, 'Too many open streams; close one first', { 'Retry-After': '5' })
}

export function openStreams(deps: OAuthDeps): Streams {
  const open = new Set<OpenStream>()
  deps.metrics.gauge('streams', 'Open event streams', () => open.size)
  /** Number of streams by owner and by person. */
  const counts = openCounts()

  function hasRoom(principal: Principal): boolean {
    const isFull = counts.of(ownerOf(principal)) >= PER_CONNECTION || counts.of(personOf(principal)) >= PER_PERSON
    return !isFull && open.size < OVERALL
  }

  deps.memory.onRevoked.add(subject => {
    for (const stream of open) if (stream.subjects.includes(subject)) stream.end()
  })
  const keepAlive = setInterval(() => {
    for (const stream of open) stream.keepAlive()
  }, KEEP_ALIVE_MS)
  // The server cannot stop while a stream is open.
  deps.stopping.signal.addEventListener('abort', () => {
    clearInterval(keepAlive)
    for (const stream of open) if (!stream.isAnswer) stream.end()
  })

  function guard(principal: Principal, request: Request, response: Response, farewell = ''): Response {
    if (!isEventStream(response) || !response.body) return response
    const owner = ownerOf(principal)
    const person = personOf(principal)
    const source = response.body.getReader()
    // The answer to a call is neither refused nor cut off at shutdown, since the call has been made.
    const isAnswer = request.method === 'POST' && farewell === ''
    if (!isAnswer && !hasRoom(principal)) {
      void source.cancel()
      return tooManyStreams()
    }
    let expiry: Timer | undefined
    let controller: ReadableStreamDefaultController<Uint8Array>
    const leave = () => {
      clearTimeout(expiry)
      if (!open.delete(stream)) return false
      counts.remove(owner)
      counts.remove(person)
      return true
    }
    /** @returns false if the reader is too far behind. */
    const write = (chunk: Uint8Array) => {
      if ((controller.desiredSize ?? 0) <= 0) return false
      controller.enqueue(chunk)
      return true
    }
    const cut = () => {
      if (!leave()) return
      void source.cancel()
      controller.close()
    }
    const stream: OpenStream = {
      isAnswer,
      subjects: revocableSubjects(principal),
      keepAlive: () => void (write(KEEP_ALIVE) || cut()),
      end() {
        if (open.has(stream) && farewell !== '') write(new TextEncoder().encode(farewell))
        cut()
      },
    }
    const pump = async () => {
      for (;;) {
        const { done, value } = await source.read()
        if (!open.has(stream)) return
        if (done) {
          leave()
          controller.close()
          return
        }
        if (!write(value)) return cut()
      }
    }
    const body = new ReadableStream<Uint8Array>(
      {
        start(opened) {
          controller = opened
          open.add(stream)
          counts.add(owner)
          counts.add(person)
          const left = principal.expiresAt * 1000 - deps.now().getTime()
          expiry = setTimeout(stream.end, Math.min(Math.max(0, left), LONGEST_MS))
          write(OPENING)
          pump().catch(error => {
            leave()
            controller.error(error)
          })
          // The token may have been revoked while the request was being processed.
          if (stream.subjects.some(subject => deps.memory.revoked.has(subject))) stream.end()
        },
        cancel() {
          leave()
          return source.cancel()
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: MAX_UNREAD }),
    )
    return new Response(body, { status: response.status, headers: response.headers })
  }

  return { hasRoom, guard }
}
