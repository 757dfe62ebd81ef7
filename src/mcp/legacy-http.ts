/**
 * Clients of the revisions up to 2025-11-25 over Streamable HTTP. One that can read event streams gets a session when it
 * initializes; one that cannot, or that comes without a session, is served request by request, in JSON.
 */
import { randomUUID } from 'node:crypto'
import {
  type InitializeRequest,
  isInitializeRequest,
  type JSONRPCMessage,
  SUPPORTED_PROTOCOL_VERSIONS,
} from '@modelcontextprotocol/server'
import type { OAuthDeps } from '../oauth/deps.ts'
import { type Caller, personOf } from './access.ts'
import type { Calls } from './calls.ts'
import { authInfoOf, buildServer } from './server.ts'
import { openEventLogs } from './transport/event-log.ts'
import { type HttpTransport, openHttpTransport } from './transport/http.ts'
import {
  type Accepts,
  INVALID_REQUEST,
  jsonRpcError,
  parseMessages,
  SESSION_NOT_FOUND,
  TRANSPORT_ERROR,
} from './transport/messages.ts'
import { openSessions, type Sessions } from './transport/sessions.ts'

/** From this revision on, a stream begins with an event without data. */
const PRIMED_SINCE = '2025-11-25'
/** What a client that does not say is taken to speak. */
const OLDEST = '2024-11-05'

type HttpSessions = Sessions<HttpTransport>
type Answer = Response | Promise<Response>

export interface LegacyHttp {
  /** @param body The parsed body of a POST. */
  serve(caller: Caller, request: Request, accepts: Accepts, body: object | undefined): Answer
}

export function openLegacyHttp(deps: OAuthDeps, calls: Calls): LegacyHttp {
  const sessions: HttpSessions = openSessions(deps)
  const openLog = openEventLogs()

  /** A request in a session. */
  function serveSession(id: string, caller: Caller, request: Request, accepts: Accepts, body?: object): Answer {
    const session = sessions.find(id, caller)
    if (!session) return jsonRpcError(404, SESSION_NOT_FOUND, 'Session not found')
    const refusal = refuseVersion(request)
    if (refusal) return refusal
    if (request.method === 'DELETE') {
      sessions.remove(id)
      return new Response(null, { status: 200 })
    }
    if (request.method === 'GET') {
      if (!accepts.stream) return jsonRpcError(406, TRANSPORT_ERROR, 'The client must accept text/event-stream')
      return session.transport.listen(request.headers.get('last-event-id'))
    }
    const messages = parseMessages(body!)
    if (!messages || messages.some(isInitializeRequest)) return refuseMessages(messages)
    const as = accepts.stream ? 'stream' : 'json'
    return session.transport.receive(messages, authInfoOf(caller), as, Array.isArray(body))
  }

  async function beginSession(caller: Caller, message: InitializeRequest & JSONRPCMessage): Promise<Response> {
    const server = buildServer(calls, caller)
    const session = { id: randomUUID(), log: openLog(personOf(caller)) }
    const primed = message.params.protocolVersion >= PRIMED_SINCE
    const transport = openHttpTransport({ session, primed })
    await server.connect(transport)
    sessions.add({ id: session.id, transport, server }, caller)
    return transport.receive([message], authInfoOf(caller), 'stream')
  }

  /** A server for one request, or for one batch. */
  async function serveOnce(
    caller: Caller,
    request: Request,
    messages: JSONRPCMessage[],
    isBatch: boolean,
  ): Promise<Response> {
    const refusal = refuseVersion(request)
    if (refusal) return refusal
    const server = buildServer(calls, caller)
    const transport = openHttpTransport()
    await server.connect(transport)
    // Without a session nobody can come back for the answer.
    request.signal.addEventListener('abort', () => void server.close(), { once: true })
    try {
      return await transport.receive(messages, authInfoOf(caller), 'json', isBatch)
    } finally {
      await server.close()
    }
  }

  return {
    serve(caller, request, accepts, body) {
      const id = request.headers.get('mcp-session-id')
      if (id !== null) return serveSession(id, caller, request, accepts, body)
      if (request.method !== 'POST') {
        // No session, so no stream of its own and nothing to delete: clients take 405 for that and go on.
        return jsonRpcError(405, TRANSPORT_ERROR, 'Method not allowed without a session', { Allow: 'POST' })
      }
      const messages = parseMessages(completeInitialize(body!))
      const [first] = messages ?? []
      if (!messages || (messages.length > 1 && messages.some(isInitializeRequest))) return refuseMessages(messages)
      return isInitializeRequest(first) && 'id' in first && accepts.stream
        ? beginSession(caller, first)
        : serveOnce(caller, request, messages, Array.isArray(body))
    },
  }
}

function refuseMessages(messages: JSONRPCMessage[] | undefined): Response {
  return jsonRpcError(
    400,
    INVALID_REQUEST,
    messages ? 'initialize must come alone, and once in a session' : 'The body must be a JSON-RPC message',
  )
}

function refuseVersion(request: Request): Response | undefined {
  const version = request.headers.get('mcp-protocol-version')
  if (version === null || SUPPORTED_PROTOCOL_VERSIONS.includes(version)) return undefined
  const supported = SUPPORTED_PROTOCOL_VERSIONS.join(', ')
  return jsonRpcError(400, TRANSPORT_ERROR, `Unsupported protocol version; with initialize these are: ${supported}`)
}

/** Simple clients send `initialize` without parameters: they are served as the oldest revision. */
function completeInitialize(body: object): object {
  if (!('method' in body) || body.method !== 'initialize' || ('params' in body && body.params)) return body
  return {
    ...body,
    params: { protocolVersion: OLDEST, capabilities: {}, clientInfo: { name: 'unknown', version: '0' } },
  }
}
