/** Clients of the stateless revision 2026-07-28: every request says its own version and capabilities. */
import {
  createMcpHandler,
  isJSONRPCRequest,
  isLegacyRequest,
  LOG_LEVEL_META_KEY,
  SERVER_INFO_META_KEY,
  SUBSCRIPTION_ID_META_KEY,
} from '@modelcontextprotocol/server'
import type { Caller } from './access.ts'
import type { Calls } from './calls.ts'
import { openDispatcher, plainRequest } from './dispatcher.ts'
import { authInfoOf, buildServer, callerOf, SERVER_INFO } from './server.ts'
import { type Accepts, jsonRpcError, TRANSPORT_ERROR } from './transport/messages.ts'

export interface Modern {
  /** @returns nothing if the message is not of this revision. */
  serve(caller: Caller, request: Request, accepts: Accepts, message: object): Promise<Response | undefined>
  /** What ends the stream of a subscription that we end, rather than the client (2026-07-28, "Graceful Closure"). */
  farewell(message: object): string | undefined
}

export function openModern(calls: Calls): Modern {
  const handler = createMcpHandler(({ authInfo }) => buildServer(calls, callerOf(authInfo)), {
    legacy: 'reject',
    // The bounds and the keeping alive of streams are those of all streams, in streams.ts.
    maxSubscriptions: Number.POSITIVE_INFINITY,
    keepAliveMs: 0,
    // Its messages quote what was sent.
    onerror: error => calls.log.debug({ code: (error as { code?: unknown }).code }, 'mcp request refused'),
  })
  const dispatcher = openDispatcher(calls)
  return {
    async serve(caller, request, accepts, message) {
      const plain = plainRequest(request, message)
      const direct = plain && (await dispatcher.answer(caller, request, plain))
      if (direct) return direct
      if (await isLegacyRequest(request, message)) return undefined
      if (!accepts.stream && subscriptionOf(message) !== undefined)
        return jsonRpcError(406, TRANSPORT_ERROR, 'The client must accept text/event-stream')
      const parsedBody = accepts.stream ? message : withoutNotifications(message)
      const response = await handler.fetch(request, { authInfo: authInfoOf(caller), parsedBody })
      return plain ? dispatcher.learn(caller, plain, response) : response
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
  const isSubscription = 'method' in message && message.method === 'subscriptions/listen'
  return isSubscription && isJSONRPCRequest(message) ? message.id : undefined
}

/** A client that reads no event stream gets its answer only: nothing that comes before it is asked for. */
function withoutNotifications(message: object): object {
  const { params } = message as { params?: { _meta?: Record<string, unknown> } }
  if (!params?._meta) return message
  const { progressToken: _, [LOG_LEVEL_META_KEY]: __, ...meta } = params._meta
  return { ...message, params: { ...params, _meta: meta } }
}
