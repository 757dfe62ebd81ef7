/**
 * Open event streams: bounded in number and in unread bytes, kept alive, and ended when the token they were opened with
 * expires or is revoked. A push stream to a reader that stalls would otherwise grow without bound.
 */
import type { Server } from 'bun'
import type { Deps } from '../deps.ts'
import { type Principal, revocableSubjects } from '../oauth/tokens.ts'

const PER_PRINCIPAL = 32
const OVERALL = 10_000
/** Bytes that a reader may be behind. */
const MAX_UNREAD = 1024 * 1024
/** Bun holds a stream's headers back until its first bytes, so there are some at once: an SSE comment. */
const OPENING = new TextEncoder().encode(':\n\n')

interface OpenStream {
  owner: string
  subjects: readonly string[]
  /** Ends it when its token expires. */
  expiry?: Timer
  end(): void
}

export interface Streams {
  /** Watches over a response if it is an event stream; passes any other one on. */
  guard(principal: Principal, request: Request, server: Server<unknown> | null, response: Response): Response
}

/** Who a session or stream belongs to: a user, a client and what the one allowed the other. A refreshed token keeps it. */
export function ownerOf({ userId, clientId, grantId }: Principal): string {
  return JSON.stringify([userId, clientId, grantId])
}

export function openStreams(deps: Deps): Streams {
  const open = new Set<OpenStream>()
  const perOwner = new Map<string, number>()
  deps.replica.onRevoked.add(subject => {
    for (const stream of open) if (stream.subjects.includes(subject)) stream.end()
  })

  function leave(stream: OpenStream): void {
    clearTimeout(stream.expiry)
    if (!open.delete(stream)) return
    const left = perOwner.get(stream.owner)! - 1
    if (left === 0) perOwner.delete(stream.owner)
    else perOwner.set(stream.owner, left)
  }

  function guard(principal: Principal, request: Request, server: Server<unknown> | null, response: Response): Response {
    if (!response.body || !response.headers.get('content-type')?.startsWith('text/event-stream')) return response
    const owner = ownerOf(principal)
    const count = perOwner.get(owner) ?? 0
    const source = response.body.getReader()
    if (count >= PER_PRINCIPAL || open.size >= OVERALL) {
      void source.cancel()
      const error = { code: -32000, message: 'Too many open streams; close one first' }
      return Response.json({ jsonrpc: '2.0', error, id: null }, { status: 429, headers: { 'Retry-After': '5' } })
    }
    server?.timeout(request, 0) // it may be quiet for longer than a request may idle
    const stream: OpenStream = { owner, subjects: revocableSubjects(principal), end: () => {} }
    const body = new ReadableStream<Uint8Array>(
      {
        start(controller) {
          const lives = Math.max(0, principal.expiresAt * 1000 - deps.now().getTime())
          stream.expiry = setTimeout(() => stream.end(), lives)
          const finish = () => leave(stream)
          stream.end = () => {
            if (!open.has(stream)) return
            finish()
            void source.cancel()
            controller.close()
          }
          const pump = async () => {
            for (;;) {
              const { done, value } = await source.read()
              if (!open.has(stream)) return
              if (done) {
                finish()
                controller.close()
                return
              }
              controller.enqueue(value)
              if ((controller.desiredSize ?? 0) <= 0) return stream.end()
            }
          }
          open.add(stream)
          perOwner.set(owner, count + 1)
          controller.enqueue(OPENING)
          pump().catch(error => {
            finish()
            controller.error(error)
          })
        },
        cancel() {
          stream.end = () => {}
          leave(stream)
          return source.cancel()
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: MAX_UNREAD }),
    )
    return new Response(body, { status: response.status, headers: response.headers })
  }

  // A server does not stop while a stream is open.
  deps.stopping.signal.addEventListener('abort', () => {
    for (const stream of open) stream.end()
  })

  return { guard }
}
