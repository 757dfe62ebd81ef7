/** Guards open event streams: limits their number, keeps them alive, and ends them when their token expires or is revoked. */

import type { OAuthDeps } from '../../oauth/deps.ts'
import { type Principal, revocableSubjects } from '../../oauth/principal.ts'
import { ownerOf, personOf } from '../caller.ts'
import { openCounts } from '../counts.ts'
import { guardedOf } from './event-stream.ts'
import { openGroups } from './groups.ts'
import { jsonRpcError, TRANSPORT_ERROR } from './messages.ts'

/** Answers to parallel calls in sessions are streams, too. */
const PER_CONNECTION = 64
const PER_PERSON = 256
const OVERALL = 10_000
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
   * Guards a response if it is an event stream.
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
  /** By what revokes them. */
  const lasting = openGroups<OpenStream>()
  /** One for each call, and few at a time. */
  const answers = new Set<OpenStream>()
  /** Number of streams by owner and by person. */
  const counts = openCounts()

  function hasRoom(principal: Principal): boolean {
    if (open.size < PER_CONNECTION) return true
    const isFull = counts.of(ownerOf(principal)) >= PER_CONNECTION || counts.of(personOf(principal)) >= PER_PERSON
    return !isFull && open.size < OVERALL
  }

  deps.memory.onRevoked.add(subject => {
    for (const stream of [...answers, ...lasting.of(subject).toReversed()])
      if (stream.subjects.includes(subject)) stream.end()
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
    const events = guardedOf(response)
    if (!events) return response
    // The answer to a call is neither refused nor cut off at shutdown, since the call has been made.
    const isAnswer = request.method === 'POST' && farewell === ''
    if (!isAnswer && !hasRoom(principal)) {
      events.cut()
      return tooManyStreams()
    }
    const [owner, person] = [ownerOf(principal), personOf(principal)]
    const stream: OpenStream = {
      isAnswer,
      subjects: revocableSubjects(principal),
      keepAlive: () => events.write(KEEP_ALIVE),
      end() {
        if (farewell !== '') events.write(new TextEncoder().encode(farewell))
        events.cut()
      },
    }
    const left = principal.expiresAt * 1000 - deps.now().getTime()
    const expiry = setTimeout(stream.end, Math.min(Math.max(0, left), LONGEST_MS))
    open.add(stream)
    if (isAnswer) answers.add(stream)
    else lasting.join(stream.subjects, stream)
    counts.add(owner)
    counts.add(person)
    events.onOver = () => {
      clearTimeout(expiry)
      open.delete(stream)
      if (isAnswer) answers.delete(stream)
      else lasting.leave(stream.subjects, stream)
      counts.remove(owner)
      counts.remove(person)
    }
    // The token may have been revoked while the request was being processed.
    if (stream.subjects.some(subject => deps.memory.revoked.has(subject))) stream.end()
    return response
  }

  return { hasRoom, guard }
}
