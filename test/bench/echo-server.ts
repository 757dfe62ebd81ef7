/**
 * The upstream of the benchmark: the least that an MCP server of both eras can be, so that what is measured is the way
 * to it. `--stdio`, or `--http PORT` on loopback at /mcp.
 */
import { randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import type { RpcRequest } from '../../src/gateway/messages.ts'

const capabilities = { tools: {} }
const serverInfo = { name: 'echo', version: '1.0.0' }
const echo = {
  name: 'echo',
  description: 'Says what it is told',
  inputSchema: { type: 'object', properties: { text: { type: 'string' } }, required: ['text'] },
}

/** @returns nothing for a notification. */
function answer({ id, method, params = {} }: RpcRequest): string | undefined {
  if (id === undefined) return undefined
  const isModern = (params._meta as Record<string, unknown> | undefined)?.['io.modelcontextprotocol/protocolVersion']
  const complete = isModern === undefined ? {} : { resultType: 'complete' }
  const reply = (result: object) => JSON.stringify({ jsonrpc: '2.0', id, result: { ...result, ...complete } })
  if (method === 'tools/call') {
    const { text } = params.arguments as { text: string }
    return reply({ content: [{ type: 'text', text }] })
  }
  if (method === 'tools/list') return reply({ tools: [echo], ...(isModern ? { ttlMs: 0, cacheScope: 'private' } : {}) })
  if (method === 'initialize') return reply({ protocolVersion: '2025-11-25', capabilities, serverInfo })
  if (method === 'server/discover')
    return reply({ supportedVersions: ['2026-07-28'], capabilities, ttlMs: 0, cacheScope: 'private' })
  return JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } })
}

async function overHttp(request: Request): Promise<Response> {
  if (request.method !== 'POST') return new Response(null, { status: request.method === 'DELETE' ? 200 : 405 })
  const message = (await request.json()) as RpcRequest
  const body = answer(message)
  if (body === undefined) return new Response(null, { status: 202 })
  const session = message.method === 'initialize' ? { 'Mcp-Session-Id': randomUUID() } : {}
  return new Response(body, { headers: { 'Content-Type': 'application/json', ...session } })
}

const { values } = parseArgs({ options: { stdio: { type: 'boolean' }, http: { type: 'string' } } })
if (values.http !== undefined) {
  const server = Bun.serve({ hostname: '127.0.0.1', port: Number(values.http), idleTimeout: 0, fetch: overHttp })
  console.log(`listening on http://127.0.0.1:${server.port}/mcp`)
} else {
  for await (const line of createInterface({ input: process.stdin })) {
    const reply = answer(JSON.parse(line))
    if (reply !== undefined) process.stdout.write(`${reply}\n`)
  }
}
