/** Clients of the stateless revision 2026-07-28: every request says its own version and capabilities. */
import {
  createMcpHandler,
  isJSONRPCRequest,
  LOG_LEVEL_META_KEY,
  SERVER_INFO_META_KEY,
  SUBSCRIPTION_ID_META_KEY,
} from '@modelcontextprotocol/server'
import type { Deps } from '../deps.ts'
import type { Principal } from '../oauth/tokens.ts'
import { type Accepts, jsonRpcError, TRANSPORT_ERROR } from './messages.ts'
import { authInfoOf, buildServer, principalOf, SERVER_INFO } from './server.ts'

export interface Modern {
  serve(principal: Principal, request: Request, accepts: Accepts, message: object): Promise<Response>
  /** What ends the stream of a subscription that we end, rather than the client (2026-07-28, "Graceful Closure"). */
  farewell(message: object): string | undefined
}

export function openModern(deps: Deps): Modern {
  const handler = createMcpHandler(({ authInfo }) => buildServer(deps, principalOf(authInfo)), {
    legacy: 'reject',
    keepAliveMs: 0, // streams.ts keeps all streams alive
    onerror: error => deps.log.debug({ detail: error.message }, 'mcp request refused'),
  })
  return {
    async serve(principal, request, accepts, message) {
      if (!accepts.stream && subscriptionOf(message) !== undefined)
        return jsonRpcError(406, TRANSPORT_ERROR, 'The client must accept text/event-stream')
      const parsedBody = accepts.stream ? message : withoutNotifications(message)
      return handler.fetch(request, { authInfo: authInfoOf(principal), parsedBody })
    },
    farewell(message) {
      const id = subscriptionOf(message)
      if (id === undefined) return undefined
      const _meta = { [SUBSCRIPTION_ID_META_KEY]: id, [SERVER_INFO_META_KEY]: SERVER_INFO }
      return `event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete', _meta } })}\n\n`
    },
  }
}

/** The id of a request to be told of changes. */
function subscriptionOf(message: object): string | number | undefined {
  return isJSONRPCRequest(message) && message.method === 'subscriptions/listen' ? message.id : undefined
}

/** A client that reads no event stream gets its answer only: nothing that comes before it is asked for. */
function withoutNotifications(message: object): object {
  const { params } = message as { params?: { _meta?: Record<string, unknown> } }
  if (!params?._meta) return message
  const { progressToken: _, [LOG_LEVEL_META_KEY]: __, ...meta } = params._meta
  return { ...message, params: { ...params, _meta: meta } }
}
