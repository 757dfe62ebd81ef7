/** Sessions of Streamable HTTP before 2026-07-28, for the transports of both SDKs. */
import { randomUUID } from 'node:crypto'

interface Transport {
  handleRequest(request: Request, options?: { parsedBody?: unknown }): Promise<Response>
}

/** What a transport must report, so that it can be found again. */
export interface SessionOptions {
  sessionIdGenerator: () => string
  onsessioninitialized(id: string): void
  onsessionclosed(id: string): void
}

/** @param begin Creates a transport with its own server behind it. */
export function openSessions(begin: (options: SessionOptions) => Promise<Transport>) {
  const sessions = new Map<string, Transport>()
  return async (request: Request): Promise<Response> => {
    const id = request.headers.get('mcp-session-id')
    if (id !== null) return sessions.get(id)?.handleRequest(request) ?? refuse(404, -32001, 'Session not found')
    const parsedBody = request.method === 'POST' ? ((await request.json()) as { method?: unknown }) : undefined
    if (parsedBody?.method !== 'initialize') return refuse(400, -32000, 'A session is needed')
    const transport = await begin({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: id => void sessions.set(id, transport),
      onsessionclosed: id => void sessions.delete(id),
    })
    return transport.handleRequest(request, { parsedBody })
  }
}

function refuse(status: number, code: number, message: string): Response {
  return Response.json({ jsonrpc: '2.0', id: null, error: { code, message } }, { status })
}
