/** The peer for MCP: the SDK's own HTTP handler and sessions with one tool, without any authorization. Environment: PORT. */
import { randomUUID } from 'node:crypto'
import {
  createMcpHandler,
  isLegacyRequest,
  McpServer,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server'
import { z } from 'zod'

function buildServer(): McpServer {
  const server = new McpServer({ name: 'sdk', version: '1.0.0' })
  const user = { id: 'ada', email: 'ada@example.com', name: 'Ada' }
  server.registerTool(
    'whoami',
    {
      description: 'x'.repeat(200),
      inputSchema: z.object({}),
      outputSchema: z.object({ user: z.object({ id: z.string() }).loose() }),
    },
    () => ({ content: [{ type: 'text', text: JSON.stringify({ user }) }], structuredContent: { user } }),
  )
  return server
}

const handler = createMcpHandler(buildServer)
const sessions = new Map<string, WebStandardStreamableHTTPServerTransport>()

async function openSession(request: Request): Promise<Response> {
  const transport = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: id => void sessions.set(id, transport),
  })
  await buildServer().connect(transport)
  return transport.handleRequest(request)
}

Bun.serve({
  hostname: '127.0.0.1',
  port: Number(process.env.PORT),
  async fetch(request) {
    if (new URL(request.url).pathname === '/healthz') return new Response('ok')
    const session = sessions.get(request.headers.get('mcp-session-id') ?? '')
    if (session) return session.handleRequest(request)
    const opens = (await isLegacyRequest(request)) && request.headers.has('x-open-session')
    return opens ? openSession(request) : handler.fetch(request)
  },
})
