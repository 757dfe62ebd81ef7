/** Clients of the revisions up to 2025-11-25 over Streamable HTTP, without a session: one server a request. */
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/server'
import type { Deps } from '../deps.ts'
import type { Principal } from '../oauth/tokens.ts'
import { buildServer } from './server.ts'

export async function serveLegacy(
  deps: Deps,
  principal: Principal,
  request: Request,
  message: unknown,
): Promise<Response> {
  if (request.method !== 'POST') {
    // No stream of its own and no session to delete: clients take 405 for that and go on.
    return Response.json(
      {
        jsonrpc: '2.0',
        error: { code: -32000, message: 'Method not allowed: this endpoint has no sessions' },
        id: null,
      },
      { status: 405, headers: { Allow: 'POST' } },
    )
  }
  const server = buildServer(deps, principal)
  const transport = new WebStandardStreamableHTTPServerTransport({ enableJsonResponse: true })
  await server.connect(transport)
  try {
    return await transport.handleRequest(acceptingBoth(request), { parsedBody: completeInitialize(message) })
  } finally {
    await server.close()
  }
}

/** A client that takes anything, or JSON alone, gets JSON; the SDK insists on both types by name. */
function acceptingBoth(request: Request): Request {
  const headers = new Headers(request.headers)
  headers.set('accept', 'application/json, text/event-stream')
  return new Request(request.url, { method: 'POST', headers })
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
