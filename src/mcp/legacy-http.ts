/**
 * Serves clients of revisions up to 2025-11-25 over Streamable HTTP. A client that accepts event streams gets a session
 * on `initialize`; any other client, or a request without a session, is served statelessly in JSON.
 */
import { insertRevocation } from '../../sql/revocations.ts'
import { INVALID_REQUEST, type Message } from '../gateway/messages.ts'
import { LEGACY_REVISIONS } from '../gateway/protocol.ts'
import { JSON_TYPE } from '../http/json.ts'
import { completeHeaders } from '../http/response-headers.ts'
import { after } from '../lib/after.ts'
import { isWithinLimit } from '../limits.ts'
import { isRevoked, remember, rememberUntil } from '../oauth/memory.ts'
import { type Caller, ownerOf, personOf } from './caller.ts'
import type { Catalogue } from './catalogue.ts'
import {
  type Conversation,
  endConversation,
  follow,
  type Hello,
  helloOf,
  OLDEST,
  openConversation,
  receive,
  withoutCancelled,
} from './conversation.ts'
import type { Prepared } from './core.ts'
import type { Handover } from './handover.ts'
import { UNKNOWN_CLIENT } from './identity.ts'
import { seeSameTools } from './own-tools.ts'
import { openSession, type SessionId, sealSession } from './session-ids.ts'
import type { ToolDeps } from './tools/tool.ts'
import { openEventLogs } from './transport/event-log.ts'
import { EVENT_STREAM_HEADERS } from './transport/event-stream.ts'
import {
  closeTransport,
  type HttpTransport,
  listen,
  openHttpTransport,
  receivePost,
  sendMessage,
} from './transport/http.ts'
import { type Accepts, headerOf, jsonRpcError, SESSION_NOT_FOUND, TRANSPORT_ERROR } from './transport/messages.ts'
import { openSessions, type Session, subjectOf } from './transport/sessions.ts'

/** Since this revision, a stream begins with an event without data. */
const PRIMED_SINCE = '2025-11-25'
/**
 * Ended sessions that one connection may store in the database, where each is a row. Beyond that a session ends only on
 * this replica; on others it remains usable, but only with its owner's token.
 */
const ENDS = { name: 'session end', hits: 100, seconds: 3600 }

interface HttpSession extends Session {
  transport: HttpTransport
  conversation: Conversation
}

export interface LegacyRequest {
  caller: Caller
  /** Undefined: the hub. */
  endpoint: string | undefined
  request: Request
  accepts: Accepts
  /** The messages of a POST; an item that is not a message is undefined. */
  items: readonly (Prepared | undefined)[] | undefined
  /** Whether they came as a batch. */
  isBatch: boolean
  /** When they arrived, by `performance.now()`, if their targets had to be looked up since. */
  askedAt?: number | undefined
}

export interface LegacyHttp {
  /** @returns a promise only if the answer has to wait. */
  serve(asked: LegacyRequest): Response | Promise<Response>
}

export function openLegacyHttp(deps: ToolDeps, catalogue: Catalogue, handover: Handover): LegacyHttp {
  const sessions = openSessions<HttpSession>(deps, 'sessions', 'Streamable HTTP', session => {
    handover.leave(session.key, session)
    endConversation(session.conversation)
    closeTransport(session.transport)
  })
  const logs = openEventLogs()
  const prepared = {
    events: completeHeaders(deps.config, 'known', EVENT_STREAM_HEADERS),
    json: completeHeaders(deps.config, 'known', { 'Content-Type': JSON_TYPE }),
  }

  function open(caller: Caller, endpoint: string | undefined, id: string, { key, hello }: SessionId): HttpSession {
    const transport = openHttpTransport({
      prepared,
      logs,
      session: { id, log: logs.open(personOf(caller)) },
      primed: hello.revision >= PRIMED_SINCE,
      deliver: (item, sender, canAsk) => receive(conversation, item, sender, canAsk),
    })
    const conversation = openConversation(deps, catalogue, {
      endpoint,
      hello,
      session: key,
      elsewhere: (message, sender) => handover.pass(key, sender, message),
      send: (message, about) => sendMessage(transport, message, about),
    })
    const session = { id, key, transport, conversation }
    handover.join(key, session)
    return session
  }

  /** Finds a session in memory, or restores it from its sealed id. */
  function find(
    id: string,
    caller: Caller,
    endpoint: string | undefined,
  ): HttpSession | Promise<HttpSession | undefined> {
    const known = sessions.find(id, caller.principal)
    if (!known) return restore(id, caller, endpoint)
    const { session, before } = known
    if (!seeSameTools(before, caller))
      sendMessage(session.transport, { jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
    return session
  }

  async function restore(id: string, caller: Caller, endpoint: string | undefined): Promise<HttpSession | undefined> {
    const sealed = openSession(deps.secrets.sessions, id, caller, endpoint)
    if (!sealed || (await isRevoked(deps, [subjectOf(sealed)]))) return undefined
    const meanwhile = sessions.find(id, caller.principal)
    if (meanwhile) return meanwhile.session
    const session = open(caller, endpoint, id, sealed)
    sessions.add(session, caller.principal) // evicted sessions are not ended: they can be restored the same way
    return session
  }

  /** Ends a session on every replica, in the same way as a revocation. */
  async function end(session: HttpSession, caller: Caller): Promise<void> {
    sessions.remove(session.id)
    if (!isWithinLimit(deps.limits, deps.now(), ENDS, ownerOf(caller))) return
    const subject = subjectOf(session)
    await insertRevocation(deps.sql, { subject, now: deps.now(), expiresAt: rememberUntil(deps) })
    remember(deps, subject)
  }

  /** Serves a request in a session. */
  function serveSession(id: string, asked: LegacyRequest): Response | Promise<Response> {
    return after(find(id, asked.caller, asked.endpoint), session => serveIn(session, asked))
  }

  function serveIn(session: HttpSession | undefined, asked: LegacyRequest): Response | Promise<Response> {
    const { caller, request, accepts, items, isBatch, askedAt } = asked
    if (!session) return jsonRpcError(404, SESSION_NOT_FOUND, 'Session not found')
    const refusal = refuseVersion(request)
    if (refusal) return refusal
    if (request.method === 'DELETE') return end(session, caller).then(() => new Response(null, { status: 200 }))
    if (request.method === 'GET') {
      if (!accepts.stream) return jsonRpcError(406, TRANSPORT_ERROR, 'The client must accept text/event-stream')
      follow(session.conversation, caller)
      return listen(session.transport, request.headers.get('last-event-id'))
    }
    if (!areMessages(items) || items.some(isInitialize)) return refuseMessages(items)
    const left = withoutCancelled(session.conversation, items, askedAt)
    return receivePost(session.transport, left, caller, accepts.stream ? 'stream' : 'json', isBatch)
  }

  async function beginSession({ caller, endpoint }: LegacyRequest, item: Prepared, hello: Hello): Promise<Response> {
    const sealed = sealSession(deps.secrets.sessions, caller, endpoint, hello)
    const session = open(caller, endpoint, sealed.id, sealed)
    const gone = sessions.add(session, caller.principal)
    if (gone) await end(gone, caller)
    return receivePost(session.transport, [item], caller, 'stream')
  }

  /** Serves one request or batch without a session. */
  function serveOnce(asked: LegacyRequest, items: readonly Prepared[]): Response | Promise<Response> {
    const { caller, endpoint, request, isBatch } = asked
    const refusal = refuseVersion(request)
    if (refusal) return refusal
    const revision = headerOf(request.headers, 'mcp-protocol-version') ?? OLDEST
    const transport = openHttpTransport({
      prepared,
      logs,
      primed: false,
      deliver: (item, sender) => receive(conversation, item, sender, false),
    })
    const hello = { revision, clientInfo: UNKNOWN_CLIENT, capabilities: {} }
    const conversation = openConversation(deps, catalogue, {
      endpoint,
      hello,
      send: (message, about) => sendMessage(transport, message, about),
    })
    const answered = receivePost(transport, items, caller, 'json', isBatch)
    if (!(answered instanceof Promise)) return answered
    const close = () => {
      endConversation(conversation)
      closeTransport(transport)
    }
    // Without a session the client cannot reconnect for the answer.
    request.signal.addEventListener('abort', close, { once: true })
    return answered.finally(() => {
      request.signal.removeEventListener('abort', close)
      close()
    })
  }

  return {
    serve(asked) {
      const { request, items, accepts } = asked
      const id = headerOf(request.headers, 'mcp-session-id')
      if (id !== null) return serveSession(id, asked)
      if (!items) {
        // Without a session there is no stream to open and nothing to delete; clients accept 405 and continue.
        return jsonRpcError(405, TRANSPORT_ERROR, 'Method not allowed without a session', { Allow: 'POST' })
      }
      if (!areMessages(items) || (items.length > 1 && items.some(isInitialize))) return refuseMessages(items)
      const [first] = items
      const hello = first && 'id' in first.message && isInitialize(first) ? helloOf(paramsOf(first.message)) : undefined
      return hello && accepts.stream ? beginSession(asked, first!, hello) : serveOnce(asked, items)
    },
  }
}

function areMessages(items: readonly (Prepared | undefined)[] | undefined): items is readonly Prepared[] {
  return items !== undefined && items.length > 0 && items.every(Boolean)
}

const isInitialize = (item: Prepared | undefined) =>
  item !== undefined && 'method' in item.message && item.message.method === 'initialize'

const paramsOf = (message: Message) => ('params' in message ? message.params : undefined)

function refuseMessages(items: readonly (Prepared | undefined)[] | undefined): Response {
  return jsonRpcError(
    400,
    INVALID_REQUEST,
    areMessages(items)
      ? 'initialize must be sent alone, and only once in a session'
      : 'The body must be a JSON-RPC message',
  )
}

function refuseVersion(request: Request): Response | undefined {
  const version = headerOf(request.headers, 'mcp-protocol-version')
  if (version === null || LEGACY_REVISIONS.has(version)) return undefined
  const supported = [...LEGACY_REVISIONS].join(', ')
  return jsonRpcError(400, TRANSPORT_ERROR, `Unsupported protocol version; supported with initialize: ${supported}`)
}
