/**
 * The tool of `echo-server.ts` as most people would write it: a server on the MCP SDK, of both eras, over stdio and over
 * Streamable HTTP with sessions for the clients before 2026-07-28. `--stdio`, or `--http PORT` on loopback at /mcp.
 */
import { randomUUID } from 'node:crypto'
import { parseArgs } from 'node:util'
import {
  createMcpHandler,
  isLegacyRequest,
  McpServer,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { z } from 'zod'

function buildServer(): McpServer {
  const server = new McpServer({ name: 'echo', version: '1.0.0' })
  const inputSchema = z.object({ text: z.string() })
  server.registerTool('echo', { description: 'Says what it is told', inputSchema }, ({ text }) => ({
    content: [{ type: 'text', text }],
  }))
  return server
}

const handler = createMcpHandler(buildServer)
const sessions = new Map<string, WebStandardStreamableHTTPServerTransport>()

async function overHttp(request: Request): Promise<Response> {
  const session = sessions.get(request.headers.get('mcp-session-id') ?? '')
  if (session) return session.handleRequest(request)
  if (!(await isLegacyRequest(request))) return handler.fetch(request)
  const transport = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: id => void sessions.set(id, transport),
  })
  await buildServer().connect(transport)
  return transport.handleRequest(request)
}

const { values } = parseArgs({ options: { stdio: { type: 'boolean' }, http: { type: 'string' } } })
if (values.http === undefined) serveStdio(buildServer)
else {
  const server = Bun.serve({ hostname: '127.0.0.1', port: Number(values.http), idleTimeout: 0, fetch: overHttp })
  console.log(`listening on http://127.0.0.1:${server.port}/mcp`)
}
