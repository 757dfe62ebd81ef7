/**
 * The MCP server that serves one request or one session: the tools its principal may use, and nothing else. It is built
 * anew for each, so it is cheap to build: the catalogue and its JSON schemas are made once, when this module loads.
 */
import {
  type AuthInfo,
  type CallToolResult,
  ProtocolError,
  ResourceNotFoundError,
  Server,
  type ServerCapabilities,
  type ServerContext,
  type Tool as ToolDescription,
} from '@modelcontextprotocol/server'
import { z } from 'zod'
import packageJson from '../../package.json' with { type: 'json' }
import { record } from '../audit.ts'
import type { Deps } from '../deps.ts'
import { AppError } from '../lib/errors.ts'
import { allows } from '../oauth/model.ts'
import type { Principal } from '../oauth/tokens.ts'
import { mayUse } from './access.ts'
import { type CallContext, findTool, TOOLS, type Tool } from './tools.ts'

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

/** What a server says it can do for a principal. */
function capabilitiesFor(principal: Principal): ServerCapabilities {
  return {
    tools: { listChanged: true },
    logging: {},
    // There are no resources and prompts of our own. Clients list what a server says it has, so it says so only to those
    // whose token opens the list; to others that would be a 403, and a question to the user for nothing.
    ...(allows(principal.scope, 'mcp:resources:read') ? { resources: {} } : {}),
    ...(allows(principal.scope, 'mcp:prompts:read') ? { prompts: {} } : {}),
  }
}

/** @param principal Who the server is for; in a session, later requests may carry another token of the same grant. */
export function buildServer(deps: Deps, principal: Principal): Server {
  const capabilities = capabilitiesFor(principal)
  const server = new Server(SERVER_INFO, { instructions: INSTRUCTIONS, capabilities, cacheHints: CACHE_HINTS })
  const callerOf = (context: ServerContext) => principalOf(context.http?.authInfo) ?? principal

  server.setRequestHandler('tools/list', ({ params }, context) => {
    refuseCursor(params?.cursor)
    return { tools: listTools(callerOf(context)) }
  })
  server.setRequestHandler('tools/call', ({ params }, context) =>
    callTool(deps, callerOf(context), params.name, params.arguments, {
      signal: context.mcpReq.signal,
      report: reporter(context),
    }),
  )
  if (capabilities.resources) {
    server.setRequestHandler('resources/list', ({ params }) => {
      refuseCursor(params?.cursor)
      return { resources: [] }
    })
    server.setRequestHandler('resources/templates/list', ({ params }) => {
      refuseCursor(params?.cursor)
      return { resourceTemplates: [] }
    })
    server.setRequestHandler('resources/read', ({ params }) => {
      throw new ResourceNotFoundError(params.uri, 'There is no such resource')
    })
  }
  if (capabilities.prompts) {
    server.setRequestHandler('prompts/list', ({ params }) => {
      refuseCursor(params?.cursor)
      return { prompts: [] }
    })
    server.setRequestHandler('prompts/get', () => {
      throw new ProtocolError(INVALID_PARAMS, 'There is no such prompt')
    })
  }
  return server
}

/** Every list is one page, so no cursor is one of ours (2026-07-28, "Pagination"). */
function refuseCursor(cursor: string | undefined): void {
  if (cursor !== undefined) throw new ProtocolError(INVALID_PARAMS, 'There is no page with this cursor')
}

/** Tells the caller of a request about progress, if it gave a token to be told by. */
function reporter({ mcpReq }: ServerContext): CallContext['report'] {
  const progressToken = mcpReq._meta?.progressToken
  if (progressToken === undefined) return undefined
  return (progress, message) => {
    if (mcpReq.signal.aborted) return // nobody is there to be told
    void mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, message } })
  }
}

function listTools(principal: Principal): ToolDescription[] {
  return CATALOGUE.filter(({ tool }) => mayUse(principal, tool)).map(({ description }) => description)
}

/**
 * Calls a tool and records it, however it ends. Only our own words reach the agent.
 *
 * @throws ProtocolError if there is no such tool for this principal; wrong arguments and failures are results, so that
 *   the agent can read them and try again.
 */
export async function callTool(
  deps: Deps,
  principal: Principal,
  name: string,
  args: Record<string, unknown> | undefined,
  context: CallContext,
): Promise<CallToolResult> {
  const tool = findTool(name)
  if (!tool || !mayUse(principal, tool))
    throw new ProtocolError(INVALID_PARAMS, 'There is no such tool for this connection')
  const input = tool.input.safeParse(args ?? {})
  if (!input.success) return failure(`The arguments are not valid: ${z.prettifyError(input.error)}`)
  let failed = true
  try {
    const structuredContent = await tool.call(deps, principal, input.data, context)
    failed = false
    return { content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent }
  } catch (error) {
    if (error instanceof AppError) return failure(`${error.title}. ${error.advice}`)
    if (context.signal?.aborted) return failure('The call was cancelled.')
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
