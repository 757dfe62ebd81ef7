/**
 * The MCP server that serves one request or one session: the tools its caller may use, and nothing else. It is built
 * anew for each, so it is cheap to build: what its tools are and do stands in `calls`, once for all.
 */
import {
  type AuthInfo,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  ProtocolError,
  ResourceNotFoundError,
  Server,
  type ServerCapabilities,
  type ServerContext,
} from '@modelcontextprotocol/server'
import packageJson from '../../package.json' with { type: 'json' }
import type { Log } from '../lib/log.ts'
import { allows } from '../oauth/scopes.ts'
import type { Caller } from './access.ts'
import type { Calls } from './calls.ts'
import type { CallContext } from './tools/index.ts'

export const SERVER_INFO = { name: packageJson.name, version: packageJson.version, title: 'MCP OAuth server' }

const INSTRUCTIONS =
  'Tools about the connection itself: who is connected, which other apps are, and how to disconnect one.'

/** What a caller may keep for how long (2026-07-28, "Caching"); never shared, as it depends on who asks. */
const CACHE_HINTS = {
  'server/discover': { ttlMs: 300_000, cacheScope: 'private' },
  'tools/list': { ttlMs: 60_000, cacheScope: 'private' },
  'resources/list': { ttlMs: 60_000, cacheScope: 'private' },
  'resources/templates/list': { ttlMs: 60_000, cacheScope: 'private' },
  'prompts/list': { ttlMs: 60_000, cacheScope: 'private' },
} as const

/** How a caller travels through the SDK; the token itself stays outside. */
export function authInfoOf(caller: Caller): AuthInfo {
  return { token: '', clientId: caller.clientId, scopes: [...caller.scope], extra: { caller } }
}

export function callerOf(authInfo: AuthInfo | undefined): Caller {
  return authInfo?.extra?.caller as Caller
}

/** What a server says it can do for a caller. */
function capabilitiesFor(caller: Caller): ServerCapabilities {
  return {
    tools: { listChanged: true },
    logging: {},
    // There are no resources and prompts of our own. Clients list what a server says it has, so it says so only to those
    // whose token opens the list; to others that would be a 403, and a question to the user for nothing.
    ...(allows(caller.scope, 'mcp:resources:read') ? { resources: {} } : {}),
    ...(allows(caller.scope, 'mcp:prompts:read') ? { prompts: {} } : {}),
  }
}

/**
 * The SDK's server, but for the words of its errors. It says what is wrong with params in a dump of its schemas, and for
 * most methods as an internal error.
 */
class PlainSpokenServer extends Server {
  log: Log | undefined

  protected override _wrapHandler(...[method, handler]: Parameters<Server['_wrapHandler']>) {
    const answer = super._wrapHandler(method, handler)
    return async (...args: Parameters<typeof answer>) => {
      try {
        return await answer(...args)
      } catch (error) {
        const { message } = error as Error
        if (message.includes('[\n')) throw new ProtocolError(INVALID_PARAMS, `Invalid params for ${method}`)
        if (error instanceof ProtocolError) throw error
        this.log?.error({ method, err: { message } }, 'an mcp request failed')
        throw new ProtocolError(INTERNAL_ERROR, 'Internal error')
      }
    }
  }
}

/**
 * @param calls What its tools do.
 * @param caller Who the server is for; in a session, later requests may carry another token of the same grant.
 */
export function buildServer(calls: Calls, caller: Caller): Server {
  const capabilities = capabilitiesFor(caller)
  const server = new PlainSpokenServer(SERVER_INFO, {
    instructions: INSTRUCTIONS,
    capabilities,
    cacheHints: CACHE_HINTS,
  })
  server.log = calls.log
  const senderOf = (context: ServerContext) => callerOf(context.http?.authInfo) ?? caller

  server.setRequestHandler('tools/list', ({ params }, context) => {
    refuseCursor(params?.cursor)
    return { tools: calls.list(senderOf(context)) }
  })
  server.setRequestHandler('tools/call', ({ params }, context) =>
    calls.call(senderOf(context), params.name, params.arguments, {
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
