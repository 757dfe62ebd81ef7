/** A peer for MCP: the transport and sessions of the SDK's version 1 with one tool, without any authorization. Environment: PORT. */
import { randomUUID } from 'node:crypto'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import { z } from 'zod'

async function connected(transport: WebStandardStreamableHTTPServerTransport) {
  const server = new McpServer({ name: 'sdk', version: '1.0.0' })
  const user = { id: 'ada', email: 'ada@example.com', name: 'Ada' }
  server.registerTool(
    'whoami',
    {
      description: 'x'.repeat(200),
      inputSchema: {},
      outputSchema: { user: z.object({ id: z.string() }).loose() },
    },
    () => ({ content: [{ type: 'text', text: JSON.stringify({ user }) }], structuredContent: { user } }),
  )
  await server.connect(transport)
  return transport
}

const sessions = new Map<string, WebStandardStreamableHTTPServerTransport>()

Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  async fetch(request) {
    if (new URL(request.url).pathname === '/healthz') return new Response('ok')
    const session = sessions.get(request.headers.get('mcp-session-id') ?? '')
    if (session) return session.handleRequest(request)
    const transport = new WebStandardStreamableHTTPServerTransport({
      enableJsonResponse: true,
      ...(request.headers.has('x-open-session')
        ? { sessionIdGenerator: randomUUID, onsessioninitialized: id => void sessions.set(id, transport) }
        : {}),
    })
    return (await connected(transport)).handleRequest(request)
  },
})
