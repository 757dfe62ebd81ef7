/**
 * HTTP+SSE, the transport of 2024-11-05: GET opens a stream whose first event names the address for messages; answers
 * arrive on the stream. The token is checked on every request. The stream is the session, so it lives on one replica.
 */
import { randomUUID } from 'node:crypto'
import { INVALID_REQUEST } from '../gateway/messages.ts'
import type { Caller } from './caller.ts'
import type { Catalogue } from './catalogue.ts'
import {
  type Conversation,
  endConversation,
  follow,
  openConversation,
  receive,
  withoutCancelled,
} from './conversation.ts'
import type { Prepared } from './core.ts'
import { seeSameTools } from './own-tools.ts'
import type { ToolDeps } from './tools/tool.ts'
import { type EventStream, openEventStream } from './transport/event-stream.ts'
import { jsonRpcError, SESSION_NOT_FOUND } from './transport/messages.ts'
import { openSessions, type Session } from './transport/sessions.ts'

interface SseSession extends Session {
  conversation: Conversation
  events: EventStream
}

export interface LegacySse {
  /** Opens the stream. */
  open(caller: Caller): Response
  /**
   * Receives messages for a session; an item that is not a message is undefined.
   *
   * @param askedAt When they arrived, by `performance.now()`.
   */
  receive(caller: Caller, sessionId: string, items: readonly (Prepared | undefined)[], askedAt: number): Response
}

export function openLegacySse(deps: ToolDeps, catalogue: Catalogue): LegacySse {
  const sessions = openSessions<SseSession>(deps, 'sse_sessions', 'HTTP+SSE', ({ conversation, events }) => {
    endConversation(conversation)
    events.end()
  })
  return {
    open(caller) {
      const id = randomUUID()
      const events = openEventStream(() => sessions.remove(id))
      events.write(`event: endpoint\ndata: /messages?sessionId=${id}\n\n`)
      const send = (message: object) => events.write(`event: message\ndata: ${JSON.stringify(message)}\n\n`)
      const conversation = openConversation(deps, catalogue, { endpoint: undefined, session: id, send })
      sessions.add({ id, key: id, conversation, events }, caller.principal)
      follow(conversation, caller)
      return events.response
    },
    receive(caller, sessionId, items, askedAt) {
      const found = sessions.find(sessionId, caller.principal)
      if (!found) return jsonRpcError(404, SESSION_NOT_FOUND, 'Session not found')
      if (items.length === 0 || !items.every(item => item !== undefined))
        return jsonRpcError(400, INVALID_REQUEST, 'The body must be a JSON-RPC message')
      const { session, before } = found
      if (!seeSameTools(before, caller))
        session.conversation.send({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
      for (const item of withoutCancelled(session.conversation, items, askedAt))
        receive(session.conversation, item, caller, true)
      return new Response('Accepted', { status: 202 })
    },
  }
}
