/** Serves clients of the stateless revision 2026-07-28: every request carries its version and capabilities. */
import type { ListenFilter } from '../gateway/exchange.ts'
import {
  type Id,
  INVALID_PARAMS,
  isObject,
  RpcError,
  type RpcNotification,
  type RpcRequest,
} from '../gateway/messages.ts'
import { MODERN, SERVER_INFO as SERVER_INFO_KEY, SUBSCRIPTION_ID } from '../gateway/protocol.ts'
import { JSON_TYPE } from '../http/json.ts'
import { completeHeaders } from '../http/response-headers.ts'
import { openStop } from '../lib/stop.ts'
import type { Caller } from './caller.ts'
import { type Call, type Catalogue, errorBody } from './catalogue.ts'
import type { Prepared } from './core.ts'
import { type Envelope, MODERN_VERSIONS, paramHeadersOf } from './envelope.ts'
import { SERVER_INFO } from './identity.ts'
import type { ToolDeps } from './tools/tool.ts'
import { type EventStream, openEventStream } from './transport/event-stream.ts'
import { type Accepts, jsonRpcError, TRANSPORT_ERROR } from './transport/messages.ts'
import { openTimeouts } from './transport/timeouts.ts'

/** A request, and how it can be answered. */
export interface ModernRequest {
  caller: Caller
  /** Undefined: the hub. */
  endpoint: string | undefined
  request: Request
  accepts: Accepts
  envelope: Envelope
  prepared: Prepared
}

export interface Modern {
  /** @returns a promise only if the answer has to wait. */
  serve(request: ModernRequest): Response | Promise<Response>
  /** The last event of a subscription that the server ends ("Graceful Closure"). @returns undefined for other messages. */
  farewell(message: unknown): string | undefined
}

/** After this time the answer becomes an event stream, which can be kept alive. */
const PATIENCE_MS = 5_000
const DISCOVER_HINTS = { ttlMs: 300_000, cacheScope: 'private' }

type Json = Record<string, unknown>

export function openModern(deps: ToolDeps, catalogue: Catalogue): Modern {
  const patience = openTimeouts(PATIENCE_MS)
  const headers = completeHeaders(deps.config, 'known', { 'Content-Type': JSON_TYPE })

  async function discover({ endpoint, caller }: ModernRequest): Promise<Json> {
    const { capabilities, instructions, serverInfo } = await catalogue.describe(endpoint, caller)
    const _meta = { [SERVER_INFO_KEY]: serverInfo }
    const about = { supportedVersions: MODERN_VERSIONS, capabilities, instructions }
    return { ...about, resultType: 'complete', ...DISCOVER_HINTS, _meta }
  }

  function answer(
    asked: ModernRequest,
    message: RpcRequest,
    call: Pick<Call, 'signal' | 'notify'>,
  ): Json | Promise<Json> {
    const {
      caller,
      request,
      envelope: { clientInfo, capabilities },
      prepared,
    } = asked
    if (message.method === 'server/discover') return discover(asked)
    const { method, params = {} } = message
    return prepared.target!.answer({
      caller,
      era: '2026',
      revision: MODERN,
      method,
      params,
      clientInfo,
      capabilities,
      get signal() {
        return call.signal
      },
      notify: call.notify,
      paramHeaders: () => paramHeadersOf(request.headers),
    })
  }

  /** Answers in JSON; as an event stream if there are notifications before the answer, or it takes long. */
  function reply(asked: ModernRequest, message: RpcRequest): Response | Promise<Response> {
    const { accepts, request } = asked
    const { id, method } = message
    // Only a call of an upstream is worth ending when its stream is cut off while its client is still there.
    const gone = asked.prepared.target?.isRemote ? openStop() : undefined
    const early: RpcNotification[] = []
    let notify = (notification: RpcNotification): void => void early.push(notification)
    const call = {
      // Made only when it is asked for, as most of our own tools never do.
      get signal() {
        return gone?.signal ?? request.signal
      },
      notify: (first: RpcNotification) => notify(first),
    }
    const result = answer(asked, message, call)
    if (!(result instanceof Promise)) return inJson({ jsonrpc: '2.0', id, result })
    const leave = () => gone?.abort()
    if (gone) request.signal.addEventListener('abort', leave, { once: true })
    return new Promise(resolve => {
      let events: EventStream | undefined
      const stream = () => {
        events = openEventStream(leave)
        resolve(events.response)
        return events
      }
      const stopWaiting = accepts.stream ? patience.start(stream) : () => {}
      notify = notification => {
        if (!accepts.stream) return // JSON has room for the answer only
        stopWaiting()
        ;(events ?? stream()).write(eventOf(notification))
      }
      early.forEach(notify)
      const say = (body: object, status = 200) => {
        stopWaiting()
        if (!events) return resolve(inJson(body, status))
        events.write(eventOf(body))
        events.end()
      }
      result.then(
        result => say({ jsonrpc: '2.0', id, result }),
        error => {
          const { body, status } = refusal(id, method, error)
          say(body, status)
        },
      )
    })
  }

  function refusal(id: Id, method: string, error: unknown) {
    const status = error instanceof RpcError ? error.httpStatus : 200
    return { status, body: { jsonrpc: '2.0', id, error: errorBody(deps.log, method, error) } }
  }

  const inJson = (body: object, status = 200) => new Response(JSON.stringify(body), { status, headers })

  async function listen(
    { endpoint, caller, accepts, request }: ModernRequest,
    { id, params }: RpcRequest,
  ): Promise<Response> {
    if (!accepts.stream) return jsonRpcError(406, TRANSPORT_ERROR, 'The client must accept text/event-stream')
    const filter = filterOf(params?.notifications)
    if (!filter) throw new RpcError(INVALID_PARAMS, 'notifications must name the changes to subscribe to')
    const subscription = { [SUBSCRIPTION_ID]: id }
    const early: string[] = []
    let isAcknowledged = false
    let stop = () => {}
    const events = openEventStream(() => stop())
    const deliver = ({ jsonrpc, method, params: about }: RpcNotification) => {
      const _meta = { ...(isObject(about?._meta) ? about._meta : {}), ...subscription }
      const text = eventOf({ jsonrpc, method, params: { ...about, _meta } })
      if (isAcknowledged) events.write(text)
      else early.push(text)
    }
    const { granted, close } = await catalogue.listen(endpoint, caller, filter, deliver)
    const unwatch = deps.gateway?.onChange(({ kind }) => {
      const isGone = kind === 'endpoints' && endpoint !== undefined && !hasEndpoint(deps, endpoint)
      if (isGone) finish()
    })
    stop = () => {
      close()
      unwatch?.()
    }
    if (request.signal.aborted) stop() // the client disconnected during the subscription
    const finish = () => {
      events.write(farewellOf(id))
      events.end()
      stop()
    }
    const acknowledged = 'notifications/subscriptions/acknowledged'
    events.write(
      eventOf({ jsonrpc: '2.0', method: acknowledged, params: { notifications: granted, _meta: subscription } }),
    )
    isAcknowledged = true
    for (const text of early) events.write(text)
    if (Object.keys(granted).length === 0) finish()
    return events.response
  }

  return {
    serve(asked) {
      const { message, problem } = asked.prepared
      if (!('method' in message && 'id' in message)) return new Response(null, { status: 202 })
      const { id, method } = message as RpcRequest
      const refuse = (error: unknown) => {
        const { status, body } = refusal(id, method, error)
        return inJson(body, status)
      }
      try {
        if (problem) throw problem
        if (method === 'subscriptions/listen') return listen(asked, message as RpcRequest).catch(refuse)
        const ready = asked.prepared.target?.ready
        if (ready === undefined) return reply(asked, message as RpcRequest)
        return new Response(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${ready}}`, { headers })
      } catch (error) {
        return refuse(error)
      }
    },
    farewell(message) {
      const isListening = isObject(message) && message.method === 'subscriptions/listen'
      const id = isListening ? (message.id ?? undefined) : undefined
      return id === undefined ? undefined : farewellOf(id as Id)
    },
  }
}

function farewellOf(id: Id): string {
  const _meta = { [SUBSCRIPTION_ID]: id, [SERVER_INFO_KEY]: SERVER_INFO }
  return eventOf({ jsonrpc: '2.0', id, result: { resultType: 'complete', _meta } })
}

const eventOf = (message: object) => `event: message\ndata: ${JSON.stringify(message)}\n\n`

function hasEndpoint({ gateway }: ToolDeps, name: string): boolean {
  return gateway?.endpoints().some(endpoint => endpoint.name === name) === true
}

function filterOf(value: unknown): ListenFilter | undefined {
  if (!isObject(value)) return undefined
  const { toolsListChanged, promptsListChanged, resourcesListChanged, resourceSubscriptions } = value
  const flags = Object.entries({ toolsListChanged, promptsListChanged, resourcesListChanged })
  const uris: unknown = resourceSubscriptions ?? []
  const isRight = flags.every(([, flag]) => (flag ?? false) === true || (flag ?? false) === false)
  if (!isRight || !Array.isArray(uris) || !uris.every(uri => typeof uri === 'string')) return undefined
  const asked = Object.fromEntries(flags.filter(([, flag]) => flag === true))
  return { ...asked, ...(uris.length > 0 ? { resourceSubscriptions: uris } : {}) }
}
