/**
 * HTTP+SSE, the transport of 2024-11-05: GET opens a stream whose first event names the address for messages; answers
 * come on the stream. The token is checked on every request, as anywhere else.
 */
import { randomUUID } from 'node:crypto'
import type { Transport } from '@modelcontextprotocol/server'
import type { OAuthDeps } from '../oauth/deps.ts'
import type { Caller } from './access.ts'
import type { Calls } from './calls.ts'
import { authInfoOf, buildServer } from './server.ts'
import { type EventStream, openEventStream } from './transport/event-stream.ts'
import { INVALID_REQUEST, jsonRpcError, parseMessages, SESSION_NOT_FOUND } from './transport/messages.ts'
import { openSessions, type Sessions } from './transport/sessions.ts'

export interface LegacySse {
  /** Opens the stream. */
  open(caller: Caller): Promise<Response>
  /** Takes a message for the session that the address names. */
  receive(caller: Caller, sessionId: string, message: object): Response
}

export function openLegacySse(deps: OAuthDeps, calls: Calls): LegacySse {
  const sessions: Sessions<Transport> = openSessions(deps)
  return {
    async open(caller) {
      const id = randomUUID()
      const events = openEventStream(() => sessions.remove(id))
      events.write(`event: endpoint\ndata: /messages?sessionId=${id}\n\n`)
      const transport = sseTransport(events)
      const server = buildServer(calls, caller)
      await server.connect(transport)
      sessions.add({ id, transport, server }, caller)
      return events.response
    },
    receive(caller, sessionId, message) {
      const session = sessions.find(sessionId, caller)
      if (!session) return jsonRpcError(404, SESSION_NOT_FOUND, 'Session not found')
      const messages = parseMessages(message)
      if (!messages) return jsonRpcError(400, INVALID_REQUEST, 'The body must be a JSON-RPC message')
      for (const item of messages) session.transport.onmessage?.(item, { authInfo: authInfoOf(caller) })
      return new Response('Accepted', { status: 202 })
    },
  }
}

function sseTransport(events: EventStream): Transport {
  const transport: Transport = {
    start: async () => {},
    async send(message) {
      events.write(`event: message\ndata: ${JSON.stringify(message)}\n\n`)
    },
    async close() {
      events.end()
      transport.onclose?.()
    },
  }
  return transport
}
