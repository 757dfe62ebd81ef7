/** The MCP server that serves one request: the tools its principal may use, and nothing else. */
import { type AuthInfo, McpServer } from '@modelcontextprotocol/server'
import packageJson from '../../package.json' with { type: 'json' }
import { record } from '../audit.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../lib/errors.ts'
import { allows } from '../oauth/model.ts'
import type { Principal } from '../oauth/tokens.ts'
import { TOOLS, type Tool } from './tools.ts'

export const SERVER_INFO = { name: packageJson.name, version: packageJson.version, title: 'MCP OAuth server' }

/** What a caller may keep for how long (2026-07-28, "Caching"); never shared, as it depends on who asks. */
const CACHE_HINTS = {
  'server/discover': { ttlMs: 300_000, cacheScope: 'private' },
  'tools/list': { ttlMs: 60_000, cacheScope: 'private' },
  'resources/list': { ttlMs: 60_000, cacheScope: 'private' },
  'resources/templates/list': { ttlMs: 60_000, cacheScope: 'private' },
  'prompts/list': { ttlMs: 60_000, cacheScope: 'private' },
} as const

/**
 * There are no resources and prompts of our own. Clients list what a server says it has, so it says so only to those
 * whose token opens the list; to others that would be a 403, and a question to the user for nothing.
 */
function offerEmptyLists({ server }: McpServer, principal: Principal): void {
  if (allows(principal.scope, 'mcp:resources:read')) {
    server.registerCapabilities({ resources: {} })
    server.setRequestHandler('resources/list', () => ({ resources: [] }))
    server.setRequestHandler('resources/templates/list', () => ({ resourceTemplates: [] }))
  }
  if (allows(principal.scope, 'mcp:prompts:read')) {
    server.registerCapabilities({ prompts: {} })
    server.setRequestHandler('prompts/list', () => ({ prompts: [] }))
  }
}

/** How a principal travels through the SDK; the token itself stays outside. */
export function authInfoOf(principal: Principal): AuthInfo {
  return { token: '', clientId: principal.clientId, scopes: [...principal.scope], extra: { principal } }
}

export function principalOf(authInfo: AuthInfo | undefined): Principal {
  return authInfo?.extra?.principal as Principal
}

/** @param principal Who the server is for; in a session, later requests may carry another token of the same grant. */
export function buildServer(deps: Deps, principal: Principal): McpServer {
  const server = new McpServer(SERVER_INFO, {
    instructions:
      'Tools about the connection itself: who is connected, which other apps are, and how to disconnect one.',
    capabilities: { logging: {} },
    cacheHints: CACHE_HINTS,
  })
  offerEmptyLists(server, principal)
  for (const tool of TOOLS) {
    if (!tool.allowed(principal)) continue
    const { name, title, description, annotations } = tool
    const config = { title, description, annotations, inputSchema: tool.input, outputSchema: tool.output }
    server.registerTool(name, config, (input, context) =>
      callTool(deps, principalOf(context.http?.authInfo) ?? principal, tool, input),
    )
  }
  return server
}

/** Calls a tool and records it, however it ends. Only our own words reach the agent. */
async function callTool(deps: Deps, principal: Principal, tool: Tool, input: Record<string, unknown>) {
  let failed = true
  try {
    if (!tool.allowed(principal)) throw new AppError('This tool is not allowed', 'Connect again with more access.')
    const structuredContent = await tool.call(deps, principal, input)
    failed = false
    return { content: [{ type: 'text' as const, text: JSON.stringify(structuredContent) }], structuredContent }
  } catch (error) {
    const text =
      error instanceof AppError ? `${error.title}. ${error.advice}` : 'The tool failed on the server; try again later.'
    if (!(error instanceof AppError))
      deps.log.error({ tool: tool.name, err: { message: (error as Error).message } }, 'a tool failed')
    return { content: [{ type: 'text' as const, text }], isError: true }
  } finally {
    record(deps, 'tool.called', { ...who(principal), detail: { tool: tool.name, failed } })
  }
}

function who({ clientId, userId, grantId }: Principal) {
  return { clientId, userId, grantId }
}
