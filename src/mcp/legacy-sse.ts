/**
 * HTTP+SSE, the transport of 2024-11-05: GET opens a stream whose first event names the address for messages; answers
 * come on the stream. The token is checked on every request, as anywhere else.
 */
import { randomUUID } from 'node:crypto'
import type { JSONRPCMessage, MessageExtraInfo, Transport } from '@modelcontextprotocol/server'
import type { Deps } from '../deps.ts'
import type { Principal } from '../oauth/tokens.ts'
import { jsonRpcError } from './legacy-http.ts'
import { authInfoOf, buildServer } from './server.ts'
import { openSessions, type Sessions } from './sessions.ts'

const KEEP_ALIVE_MS = 15_000

export interface LegacySse {
  readonly sessions: Sessions<SseTransport>
  /** Opens the stream. */
  open(principal: Principal): Promise<Response>
  /** Takes a message for the session that the address names. */
  receive(principal: Principal, sessionId: string, message: unknown): Response
}

interface SseTransport extends Transport {
  body: ReadableStream<Uint8Array>
}

export function openLegacySse(deps: Deps): LegacySse {
  const sessions: Sessions<SseTransport> = openSessions(deps)
  return {
    sessions,
    async open(principal) {
      const id = randomUUID()
      const transport = sseTransport(`/messages?sessionId=${id}`, () => sessions.remove(id))
      const server = buildServer(deps, principal)
      await server.connect(transport)
      sessions.add({ id, transport, server }, principal)
      return new Response(transport.body, {
        headers: {
          'Content-Type': 'text/event-stream',
          'Cache-Control': 'no-cache, no-transform',
          'X-Accel-Buffering': 'no',
        },
      })
    },
    receive(principal, sessionId, message) {
      const session = sessions.find(sessionId, principal)
      if (!session) return jsonRpcError(404, -32001, 'Session not found')
      const extra: MessageExtraInfo = { authInfo: authInfoOf(principal) }
      for (const item of Array.isArray(message) ? message : [message])
        session.transport.onmessage?.(item as JSONRPCMessage, extra)
      return new Response('Accepted', { status: 202 })
    },
  }
}

function sseTransport(endpoint: string, onEnd: () => void): SseTransport {
  const encoder = new TextEncoder()
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  let keepAlive: Timer | undefined
  const write = (text: string) => controller?.enqueue(encoder.encode(text))
  const end = () => {
    clearInterval(keepAlive)
    controller = undefined
  }
  const transport: SseTransport = {
    body: new ReadableStream<Uint8Array>({
      start(opened) {
        controller = opened
        write(`event: endpoint\ndata: ${endpoint}\n\n`)
        keepAlive = setInterval(() => write(': keepalive\n\n'), KEEP_ALIVE_MS)
      },
      cancel() {
        end()
        onEnd()
      },
    }),
    start: async () => {},
    async send(message) {
      write(`event: message\ndata: ${JSON.stringify(message)}\n\n`)
    },
    async close() {
      const closing = controller
      end()
      closing?.close()
      transport.onclose?.()
    },
  }
  return transport
}
