/** An HTTP upstream of 2025-11-25 whose sessions can be dropped. */
export interface SessionUpstream extends Disposable {
  url: string
  /** Names of the tools that were called, and in how many different sessions. */
  calls: string[]
  sessions: Set<string>
  /** Requests by method, and DELETE. */
  seen: string[]
  /** @param how The response to a request in a dropped session. */
  forget(how?: 404 | 400): void
}

export function startSessionUpstream(): SessionUpstream {
  const living = new Set<string>()
  let answer: 404 | 400 = 404
  const upstream = { calls: [] as string[], sessions: new Set<string>(), seen: [] as string[] }
  const json = (body: unknown, init?: ResponseInit) => Response.json(body, init)
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const session = request.headers.get('mcp-session-id')
      if (request.method === 'GET') return new Response(null, { status: 405 })
      if (request.method === 'DELETE') {
        upstream.seen.push('DELETE')
        living.delete(session ?? '')
        return new Response()
      }
      const { id, method, params } = (await request.json()) as {
        id?: number
        method: string
        params: Record<string, unknown>
      }
      upstream.seen.push(method)
      if (method === 'server/discover')
        return json(
          { jsonrpc: '2.0', id: null, error: { code: -32000, message: 'Bad Request: no session' } },
          { status: 400 },
        )
      if (method === 'initialize') {
        const made = crypto.randomUUID()
        living.add(made)
        upstream.sessions.add(made)
        const result = {
          protocolVersion: '2025-11-25',
          capabilities: { tools: {} },
          serverInfo: { name: 'sessions', version: '1' },
        }
        return json({ jsonrpc: '2.0', id, result }, { headers: { 'Mcp-Session-Id': made } })
      }
      if (!session || !living.has(session))
        return json(
          { jsonrpc: '2.0', id: null, error: { code: -32001, message: 'Session not found' } },
          { status: answer },
        )
      if (id === undefined) return new Response(null, { status: 202 })
      if (method === 'tools/list')
        return json({ jsonrpc: '2.0', id, result: { tools: [{ name: 'count', inputSchema: { type: 'object' } }] } })
      upstream.calls.push(String(params.name))
      return json({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: String(upstream.calls.length) }] } })
    },
  })
  return {
    ...upstream,
    url: `http://127.0.0.1:${server.port}/mcp`,
    forget(how = 404) {
      answer = how
      living.clear()
    },
    [Symbol.dispose]: () => void server.stop(true),
  }
}
