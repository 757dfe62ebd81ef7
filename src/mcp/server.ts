/**
 * The MCP server that serves one request or one session: the tools its principal may use, and nothing else. It is built
 * anew for each, so it is cheap to build: the catalogue and its JSON schemas are made once, when this module loads.
 */
import {
  type AuthInfo,
  type CallToolResult,
  ProtocolError,
  Server,
  type Tool as ToolDescription,
} from '@modelcontextprotocol/server'
import { z } from 'zod'
import packageJson from '../../package.json' with { type: 'json' }
import { record } from '../audit.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../lib/errors.ts'
import { allows } from '../oauth/model.ts'
import type { Principal } from '../oauth/tokens.ts'
import { TOOLS, type Tool } from './tools.ts'

export const SERVER_INFO = { name: packageJson.name, version: packageJson.version, title: 'MCP OAuth server' }

const INSTRUCTIONS =
  'Tools about the connection itself: who is connected, which other apps are, and how to disconnect one.'
const INVALID_PARAMS = -32602

/** What a caller may keep for how long (2026-07-28, "Caching"); never shared, as it depends on who asks. */
const CACHE_HINTS = {
  'server/discover': { ttlMs: 300_000, cacheScope: 'private' },
  'tools/list': { ttlMs: 60_000, cacheScope: 'private' },
  'resources/list': { ttlMs: 60_000, cacheScope: 'private' },
  'resources/templates/list': { ttlMs: 60_000, cacheScope: 'private' },
  'prompts/list': { ttlMs: 60_000, cacheScope: 'private' },
} as const

const CATALOGUE: readonly { tool: Tool; description: ToolDescription }[] = TOOLS.map(tool => ({
  tool,
  description: {
    name: tool.name,
    title: tool.title,
    description: tool.description,
    inputSchema: jsonSchema(tool.input, 'input'),
    outputSchema: jsonSchema(tool.output, 'output'),
    annotations: { title: tool.title, ...tool.annotations },
  },
}))

function jsonSchema(schema: z.ZodObject, io: 'input' | 'output'): ToolDescription['inputSchema'] {
  return z.toJSONSchema(schema, { io }) as ToolDescription['inputSchema']
}

/** How a principal travels through the SDK; the token itself stays outside. */
export function authInfoOf(principal: Principal): AuthInfo {
  return { token: '', clientId: principal.clientId, scopes: [...principal.scope], extra: { principal } }
}

export function principalOf(authInfo: AuthInfo | undefined): Principal {
  return authInfo?.extra?.principal as Principal
}

/** @param principal Who the server is for; in a session, later requests may carry another token of the same grant. */
export function buildServer(deps: Deps, principal: Principal): Server {
  const server = new Server(SERVER_INFO, {
    instructions: INSTRUCTIONS,
    capabilities: { tools: { listChanged: true }, logging: {} },
    cacheHints: CACHE_HINTS,
  })
  server.setRequestHandler('tools/list', (_, context) => {
    const caller = principalOf(context.http?.authInfo) ?? principal
    return { tools: CATALOGUE.filter(({ tool }) => tool.allowed(caller)).map(({ description }) => description) }
  })
  server.setRequestHandler('tools/call', (request, context) =>
    callTool(
      deps,
      principalOf(context.http?.authInfo) ?? principal,
      request.params.name,
      request.params.arguments ?? {},
    ),
  )
  offerEmptyLists(server, principal)
  return server
}

/**
 * There are no resources and prompts of our own. Clients list what a server says it has, so it says so only to those
 * whose token opens the list; to others that would be a 403, and a question to the user for nothing.
 */
function offerEmptyLists(server: Server, principal: Principal): void {
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

/**
 * Calls a tool and records it, however it ends. Only our own words reach the agent.
 *
 * @throws ProtocolError if there is no such tool for this principal; wrong arguments and failures are results, so that
 *   the agent can read them and try again.
 */
async function callTool(
  deps: Deps,
  principal: Principal,
  name: string,
  args: Record<string, unknown>,
): Promise<CallToolResult> {
  const tool = TOOLS.find(candidate => candidate.name === name && candidate.allowed(principal))
  if (!tool) throw new ProtocolError(INVALID_PARAMS, 'There is no such tool for this connection')
  const input = tool.input.safeParse(args)
  if (!input.success) return failure(`The arguments are not valid: ${z.prettifyError(input.error)}`)
  let failed = true
  try {
    const structuredContent = await tool.call(deps, principal, input.data)
    failed = false
    return { content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent }
  } catch (error) {
    if (error instanceof AppError) return failure(`${error.title}. ${error.advice}`)
    deps.log.error({ tool: tool.name, err: { message: (error as Error).message } }, 'a tool failed')
    return failure('The tool failed on the server; try again later.')
  } finally {
    const { clientId, userId, grantId } = principal
    record(deps, 'tool.called', { clientId, userId, grantId, detail: { tool: tool.name, failed } })
  }
}

function failure(text: string): CallToolResult {
  return { content: [{ type: 'text', text }], isError: true }
}
