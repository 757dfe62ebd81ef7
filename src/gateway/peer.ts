/**
 * Requests and answers over a {@link Connection}: our own ids and progress tokens, timeouts that progress restarts, and
 * cancellation in both directions. Messages that belong to no request of ours are dropped and counted.
 */
import { type Connection, type ConnectionEvents, type Failure, fail, UpstreamFailure } from './connection.ts'
import {
  type Id,
  isObject,
  isRequest,
  isResponse,
  METHOD_NOT_FOUND,
  type Message,
  type RpcErrorBody,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
} from './messages.ts'

/** One request in flight. */
export interface PeerCall {
  readonly id: number
  /** Stops the timeout while the client answers a question; {@link resume} restarts it. */
  pause(): void
  resume(): void
  /** Cancels the request: notifies the upstream and rejects the answer with the failure. */
  cancel(failure: Failure): void
}

export interface PeerAnswer {
  /** A protocol error has `error` instead of `result`. */
  response: RpcResponse
  /** Size on the wire. */
  bytes: number
}

export interface CallOptions {
  /** Milliseconds without progress. */
  timeout: number
  /** Milliseconds in total. */
  maxTimeout: number
  /** Receives its progress, with our token, and any other notification on its stream. */
  onNotification?(notification: RpcNotification): void
  /** Called before anything is sent. */
  onStart?(call: PeerCall): void
  /** Called when it is no longer in flight, however it ended. */
  onEnd?(): void
  /** HTTP: additional headers. */
  headers?: Record<string, string>
  /** 2026 over HTTP: closing the stream cancels the request, so no notification is sent. */
  cancelByClosing?: boolean
}

export interface PeerEvents {
  /** A request from the upstream. @param about The call whose stream carried it, if the transport tells. */
  onRequest(request: RpcRequest, about: number | undefined, signal: AbortSignal): Promise<Record<string, unknown>>
  /** A notification that does not belong to one call. @param about As above. */
  onNotification(notification: RpcNotification, about: number | undefined): void
  onStale?(): void
  onClose(failure: Failure): void
}

export interface Peer {
  /** @throws UpstreamFailure if there is no answer. An answer may be a protocol error. */
  call(method: string, params: Record<string, unknown>, options: CallOptions): Promise<PeerAnswer>
  /** Sends a notification. Failures are ignored: the next request meets the same fault. */
  notify(method: string, params?: Record<string, unknown>): Promise<void>
  inFlight(): number
  /** Number of messages that belonged to no request. */
  dropped(): number
  close(): Promise<void>
}

interface Pending {
  resolve(answer: PeerAnswer): void
  reject(failure: UpstreamFailure): void
  options: CallOptions
  /** On the clock of {@link performance.now}. */
  startedAt: number
  limitAt: number
  pausedAt: number | undefined
}

/** Maximum number of unanswered requests from the upstream; more are dropped. */
const INCOMING = 64

/** Connects. @throws UpstreamFailure if that fails. */
export async function openPeer(
  connect: (events: ConnectionEvents) => Connection | Promise<Connection>,
  events: PeerEvents,
): Promise<Peer> {
  const pending = new Map<Id, Pending>()
  const incoming = new Map<Id, AbortController>()
  let nextId = 1
  let dropped = 0
  let closed: Failure | undefined
  let timer: NodeJS.Timeout | undefined
  let dueAt = Number.POSITIVE_INFINITY

  const connection = await connect({
    onMessage(message, bytes, about) {
      if (closed) return
      if (isResponse(message)) takeAnswer(message, bytes, about)
      else if (isRequest(message)) void takeRequest(message, about)
      else takeNotification(message, about)
    },
    onFailure: (id, failure) => end(id, call => call.reject(new UpstreamFailure(failure))),
    onStale: () => events.onStale?.(),
    onClose(failure) {
      if (closed) return
      closed = failure
      clearTimeout(timer)
      for (const id of pending.keys()) end(id, call => call.reject(new UpstreamFailure(failure)))
      for (const controller of incoming.values()) controller.abort()
      events.onClose(failure)
    },
  })

  function end(id: Id, how: (call: Pending) => void): void {
    const call = pending.get(id)
    if (!call) return
    pending.delete(id)
    call.options.onEnd?.()
    how(call)
  }

  function takeAnswer(response: RpcResponse, bytes: number, about: Id | undefined): void {
    // Ids are compared with their type: "5" does not answer 5. An answer on another call's stream is dropped, too.
    if (!pending.has(response.id) || (about !== undefined && about !== response.id)) {
      dropped++
      return
    }
    end(response.id, call => call.resolve({ response, bytes }))
  }

  async function takeRequest({ id, method, params }: RpcRequest, about: Id | undefined): Promise<void> {
    const reply = (answer: { result: Record<string, unknown> } | { error: RpcErrorBody }) =>
      connection.send({ jsonrpc: '2.0', id, ...answer } as RpcResponse).catch(() => {})
    if (method === 'ping') return reply({ result: {} })
    if (incoming.has(id) || incoming.size >= INCOMING) {
      dropped++
      return
    }
    const controller = new AbortController()
    incoming.set(id, controller)
    try {
      const request: RpcRequest = { jsonrpc: '2.0', id, method, ...(params ? { params } : {}) }
      const result = await events.onRequest(request, numeric(about), controller.signal)
      if (!controller.signal.aborted) await reply({ result })
    } catch (error) {
      if (!controller.signal.aborted) await reply({ error: errorBody(error) })
    } finally {
      incoming.delete(id)
    }
  }

  function takeNotification(notification: RpcNotification, about: Id | undefined): void {
    const { method, params } = notification
    if (method === 'notifications/progress') {
      const token = params?.progressToken
      const call = typeof token === 'number' ? pending.get(token) : undefined
      if (!call || (about !== undefined && about !== token)) {
        dropped++
        return
      }
      call.limitAt = limitOf(call)
      call.options.onNotification?.(notification)
    } else if (method === 'notifications/cancelled') {
      const id = params?.requestId
      if (typeof id === 'string' || typeof id === 'number') incoming.get(id)?.abort()
      // 2026: a server ends a subscription this way.
      events.onNotification(notification, numeric(about))
    } else if (about !== undefined && pending.has(about)) pending.get(about)!.options.onNotification?.(notification)
    else events.onNotification(notification, numeric(about))
  }

  const limitOf = ({ options, startedAt }: Pending): number =>
    Math.min(performance.now() + options.timeout, startedAt + options.maxTimeout)

  /** One timer for all calls, which is due no later than the first limit. Limits only move back, so it looks again then. */
  function watch({ limitAt }: Pending): void {
    if (limitAt >= dueAt) return
    clearTimeout(timer)
    dueAt = limitAt
    timer = setTimeout(checkLimits, Math.max(1, limitAt - performance.now()))
  }

  function checkLimits(): void {
    dueAt = Number.POSITIVE_INFINITY
    const now = performance.now()
    for (const [id, call] of pending) {
      if (call.pausedAt !== undefined) continue
      if (now < call.limitAt - 1) watch(call)
      else
        cancel(id as number, { reason: 'timeout', detail: `no answer within ${Math.round(now - call.startedAt)} ms` })
    }
  }

  function cancel(id: number, failure: Failure): void {
    end(id, call => {
      if (!call.options.cancelByClosing && !closed)
        void notify('notifications/cancelled', { requestId: id, reason: REASONS[failure.reason] ?? 'aborted' })
      connection.abort?.(id)
      call.reject(new UpstreamFailure(failure))
    })
  }

  async function notify(method: string, params?: Record<string, unknown>): Promise<void> {
    const message: Message = { jsonrpc: '2.0', method, ...(params ? { params } : {}) }
    // The next request on the connection meets the same fault and reports it.
    await connection.send(message).catch(() => {})
  }

  return {
    call(method, params, options) {
      if (closed) return Promise.reject(new UpstreamFailure(closed))
      const id = nextId++
      const { promise, resolve, reject } = Promise.withResolvers<PeerAnswer>()
      const startedAt = performance.now()
      const call: Pending = {
        resolve,
        reject,
        options,
        startedAt,
        limitAt: startedAt + Math.min(options.timeout, options.maxTimeout),
        pausedAt: undefined,
      }
      pending.set(id, call)
      watch(call)
      options.onStart?.({
        id,
        pause() {
          call.pausedAt ??= performance.now()
        },
        resume() {
          if (call.pausedAt === undefined || !pending.has(id)) return
          call.startedAt += performance.now() - call.pausedAt
          call.pausedAt = undefined
          call.limitAt = limitOf(call)
          watch(call)
        },
        cancel: failure => cancel(id, failure),
      })
      const message: RpcRequest = { jsonrpc: '2.0', id, method, params: withToken(params, id) }
      const sending = connection.send(message, options.headers)
      sending.catch(error =>
        end(id, () => reject(error instanceof UpstreamFailure ? error : fail('unreachable', String(error)))),
      )
      return promise
    },
    notify,
    inFlight: () => pending.size,
    dropped: () => dropped,
    close: () => connection.close(),
  }
}

/** Cancellation reasons for the upstream; the client's own text is not passed on. */
const REASONS: Partial<Record<Failure['reason'], string>> = {
  timeout: 'the time limit was reached',
  cancelled: 'the client cancelled the request',
}

const numeric = (id: Id | undefined): number | undefined => (typeof id === 'number' ? id : undefined)

/** Always requests progress, since it restarts the timeout even if the client does not want it. */
function withToken(params: Record<string, unknown>, id: number): Record<string, unknown> {
  const meta = isObject(params._meta) ? params._meta : undefined
  return { ...params, _meta: { ...meta, progressToken: id } }
}

function errorBody(error: unknown): RpcErrorBody {
  const { rpcCode, message, data } = error as { rpcCode?: unknown; message?: string; data?: unknown }
  if (typeof rpcCode !== 'number') return { code: METHOD_NOT_FOUND, message: 'The request was not answered' }
  return { code: rpcCode, message: message ?? '', ...(data === undefined ? {} : { data }) }
}
