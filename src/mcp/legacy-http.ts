/**
 * Clients of the revisions up to 2025-11-25 over Streamable HTTP. One that can read event streams gets a session when it
 * initializes; one that cannot, or that comes without a session, is served request by request, in JSON.
 */
import { randomUUID } from 'node:crypto'
import { isInitializeRequest, WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server'
import type { Deps } from '../deps.ts'
import type { Principal } from '../oauth/tokens.ts'
import { boundedEventStore } from './event-store.ts'
import { authInfoOf, buildServer } from './server.ts'
import { openSessions, type Sessions } from './sessions.ts'

type HttpSessions = Sessions<WebStandardStreamableHTTPServerTransport>

export interface LegacyHttp {
  readonly sessions: HttpSessions
  /** @param message The parsed body of a POST. */
  serve(principal: Principal, request: Request, message: unknown): Promise<Response>
}

export function openLegacyHttp(deps: Deps): LegacyHttp {
  const sessions: HttpSessions = openSessions(deps)
  return {
    sessions,
    async serve(principal, request, message) {
      const id = request.headers.get('mcp-session-id')
      const options = { authInfo: authInfoOf(principal), ...(message === undefined ? {} : { parsedBody: message }) }
      if (id !== null) {
        const session = sessions.find(id, principal)
        if (!session) return jsonRpcError(404, -32001, 'Session not found')
        // The client knows best which of its streams lives: a new one takes the place of the old.
        if (request.method === 'GET') session.transport.closeStandaloneSSEStream()
        return session.transport.handleRequest(withAccept(request), options)
      }
      if (request.method !== 'POST') {
        // No session, so no stream of its own and nothing to delete: clients take 405 for that and go on.
        return jsonRpcError(405, -32000, 'Method not allowed without a session', { Allow: 'POST' })
      }
      const complete = completeInitialize(message)
      return isInitializeRequest(complete) && readsStreams(request)
        ? beginSession(deps, sessions, principal, request, complete)
        : serveOnce(deps, principal, request, complete)
    },
  }
}

async function beginSession(
  deps: Deps,
  sessions: HttpSessions,
  principal: Principal,
  request: Request,
  message: unknown,
): Promise<Response> {
  const server = buildServer(deps, principal)
  const transport: WebStandardStreamableHTTPServerTransport = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: id => sessions.add({ id, transport, server }, principal),
    onsessionclosed: id => sessions.remove(id),
    eventStore: boundedEventStore(),
  })
  await server.connect(transport)
  return transport.handleRequest(withAccept(request), { authInfo: authInfoOf(principal), parsedBody: message })
}

/** A server for one request. */
async function serveOnce(deps: Deps, principal: Principal, request: Request, message: unknown): Promise<Response> {
  const server = buildServer(deps, principal)
  const transport = new WebStandardStreamableHTTPServerTransport({ enableJsonResponse: true })
  await server.connect(transport)
  const parsedBody = withoutCancellations(message)
  try {
    return await transport.handleRequest(withAccept(request), { authInfo: authInfoOf(principal), parsedBody })
  } finally {
    await server.close()
  }
}

/** A cancelled request is never answered, so a batch that cancels its own would wait for ever; nothing else runs here. */
function withoutCancellations(message: unknown): unknown {
  if (!Array.isArray(message)) return message
  const rest = message.filter(item => item?.method !== 'notifications/cancelled')
  return rest.length > 0 ? rest : message
}

function readsStreams(request: Request): boolean {
  return (request.headers.get('accept') ?? '').includes('text/event-stream')
}

/** A client that takes anything, or JSON alone, gets JSON; the SDK insists on both types by name. */
function withAccept(request: Request): Request {
  if (request.method !== 'POST') return request
  const headers = new Headers(request.headers)
  headers.set('accept', 'application/json, text/event-stream')
  // The transport reads headers only, and what some put into Host makes no URL.
  return new Request('http://localhost', { method: 'POST', headers })
}

/** Simple clients send `initialize` without parameters: they are served as the oldest revision. */
function completeInitialize(message: unknown): unknown {
  if (typeof message !== 'object' || message === null || !('method' in message)) return message
  if (message.method !== 'initialize' || ('params' in message && message.params)) return message
  return {
    ...message,
    params: { protocolVersion: '2024-11-05', capabilities: {}, clientInfo: { name: 'unknown', version: '0' } },
  }
}

export function jsonRpcError(
  status: number,
  code: number,
  message: string,
  headers: Record<string, string> = {},
): Response {
  return Response.json({ jsonrpc: '2.0', error: { code, message }, id: null }, { status, headers })
}
