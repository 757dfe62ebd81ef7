/**
 * The protocol before 2026-07-28, independent of the transport: requests and answers, cancellation, questions to the
 * client, and its subscriptions.
 */
import { randomUUID } from 'node:crypto'
import { withoutTasks } from '../gateway/eras.ts'
import type { Listening } from '../gateway/exchange.ts'
import {
  type Id,
  INVALID_PARAMS,
  isObject,
  isRequest,
  isResponse,
  METHOD_NOT_FOUND,
  type Message,
  RpcError,
  type RpcRequest,
  type RpcResponse,
} from '../gateway/messages.ts'
import { LEGACY, LEGACY_REVISIONS } from '../gateway/protocol.ts'
import type { Caller } from './caller.ts'
import { type Catalogue, errorBody } from './catalogue.ts'
import type { Prepared } from './core.ts'
import type { Said } from './handover.ts'
import { UNKNOWN_CLIENT } from './identity.ts'
import type { ToolDeps } from './tools/tool.ts'

type Json = Record<string, unknown>

/** What a client sends in `initialize`. */
export interface Hello {
  revision: string
  clientInfo: Json
  capabilities: Json
}

/** The revision assumed for a client that does not name one. */
export const OLDEST = '2024-11-05'
const NOBODY: Hello = { revision: OLDEST, clientInfo: UNKNOWN_CLIENT, capabilities: {} }

export interface ConversationOptions {
  /** Undefined: the hub. */
  endpoint: string | undefined
  /** For a session that continues: what the client sent in `initialize`. */
  hello?: Hello
  /** Identifies the session to upstream servers. */
  session?: string
  /** Gets answers and cancellations that no request here waits for. */
  elsewhere?(message: Said, caller: Caller): void
  /** @param about The request that it belongs to, if any. */
  send(message: Message, about?: Id): void
}

export interface Conversation {
  /** @param canAsk Whether the client can receive questions before its answer. */
  receive(item: Prepared, caller: Caller, canAsk: boolean): void
  /** Delivers an answer or a cancellation. @returns whether a request here was waiting for it. */
  take(message: Said): boolean
  /** Whether a request waits for an answer. */
  readonly isAsking: boolean
  /** Starts sending change notifications; idempotent. */
  follow(caller: Caller): void
  /** Cancels all running requests. */
  close(): void
}

/**
 * Parses the params of `initialize`. Without params, the client is served as one of the oldest revision.
 *
 * @returns undefined if they are invalid.
 */
export function helloOf(params: Json | undefined): Hello | undefined {
  if (params === undefined) return NOBODY
  const { protocolVersion, clientInfo, capabilities = {} } = params
  if (typeof protocolVersion !== 'string' || !isObject(capabilities)) return undefined
  if (!isObject(clientInfo) || typeof clientInfo.name !== 'string' || typeof clientInfo.version !== 'string')
    return undefined
  const revision = LEGACY_REVISIONS.has(protocolVersion) ? protocolVersion : LEGACY
  return { revision, clientInfo, capabilities }
}

export function openConversation(
  { log }: Pick<ToolDeps, 'log'>,
  catalogue: Catalogue,
  { endpoint, hello = NOBODY, session, elsewhere, send }: ConversationOptions,
): Conversation {
  let client = hello
  let logLevel: string | undefined
  const running = new Map<Id, AbortController>()
  const questions = new Map<Id, (answer: RpcResponse | undefined) => void>()
  const changes = openChanges(catalogue, endpoint, session, send)

  async function initialize(caller: Caller, params: Json | undefined): Promise<Json> {
    const said = helloOf(params)
    if (!said) throw new RpcError(INVALID_PARAMS, 'Invalid params for initialize')
    client = said
    const { capabilities, instructions, serverInfo } = await catalogue.describe(endpoint, caller)
    return { protocolVersion: said.revision, capabilities: withoutTasks(capabilities), serverInfo, instructions }
  }

  async function answer(item: Prepared, caller: Caller, canAsk: boolean, signal: AbortSignal): Promise<Json> {
    const { id, method, params = {} } = item.message as RpcRequest
    if (item.problem) throw item.problem
    if (method === 'ping') return {}
    if (method === 'initialize') return initialize(caller, (item.message as RpcRequest).params)
    if (method === 'logging/setLevel') {
      logLevel = String(params.level)
      return {}
    }
    if (method === 'resources/subscribe') return changes.add(caller, String(params.uri))
    if (method === 'resources/unsubscribe') return changes.remove(caller, String(params.uri))
    return item.target!.answer({
      caller,
      era: '2025',
      method,
      params,
      ...client,
      signal,
      ...(session === undefined ? {} : { session }),
      ...(logLevel === undefined ? {} : { logLevel }),
      notify: notification => send(notification, id),
      ...(canAsk ? { ask: (...question) => ask(id, ...question) } : {}),
    })
  }

  /** Asks the client, on the stream of the request that the question belongs to. */
  async function ask(about: Id, method: string, params: Json, signal: AbortSignal): Promise<Json> {
    const id = randomUUID()
    const { promise, resolve } = Promise.withResolvers<RpcResponse | undefined>()
    const withdraw = () => {
      send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id } }, about)
      resolve(undefined)
    }
    questions.set(id, resolve)
    signal.addEventListener('abort', withdraw, { once: true })
    send({ jsonrpc: '2.0', id, method, params }, about)
    const response = await promise
    questions.delete(id)
    signal.removeEventListener('abort', withdraw)
    if (!response) throw new RpcError(METHOD_NOT_FOUND, 'The client did not answer')
    if ('error' in response) throw new RpcError(response.error.code, response.error.message, response.error.data)
    return response.result
  }

  async function serve(item: Prepared, caller: Caller, canAsk: boolean): Promise<void> {
    const { id, method } = item.message as RpcRequest
    const stop = new AbortController()
    running.set(id, stop)
    let response: RpcResponse
    try {
      response = { jsonrpc: '2.0', id, result: await answer(item, caller, canAsk, stop.signal) }
    } catch (error) {
      response = { jsonrpc: '2.0', id, error: errorBody(log, method, error) }
    }
    if (running.get(id) === stop) running.delete(id)
    if (!stop.signal.aborted) send(response) // a cancelled request gets no answer
  }

  function take(message: Said): boolean {
    if (isResponse(message)) {
      const answered = questions.get(message.id)
      answered?.(message)
      return answered !== undefined
    }
    const stop = running.get(message.params?.requestId as Id)
    stop?.abort()
    return stop !== undefined
  }

  return {
    receive(item, caller, canAsk) {
      const { message } = item
      if (isRequest(message)) void serve(item, caller, canAsk)
      else if (isResponse(message) || message.method === 'notifications/cancelled') {
        if (!take(message)) elsewhere?.(message, caller)
      }
    },
    take,
    get isAsking() {
      return questions.size > 0
    },
    follow: caller => changes.begin(caller),
    close() {
      changes.end()
      for (const stop of running.values()) stop.abort()
      for (const resolve of questions.values()) resolve(undefined)
    },
  }
}

interface Changes {
  begin(caller: Caller): void
  add(caller: Caller, uri: string): Promise<Json>
  remove(caller: Caller, uri: string): Promise<Json>
  end(): void
}

/** A client's subscriptions: changes of lists once it listens, and of the resources that it names. */
function openChanges(
  catalogue: Catalogue,
  endpoint: string | undefined,
  session: string | undefined,
  send: ConversationOptions['send'],
): Changes {
  const uris = new Set<string>()
  let listening: Promise<Listening> | undefined
  let hasEnded = false

  /** Subscribes with the current filter, replacing the previous subscription. */
  function listen(caller: Caller): Promise<Listening> {
    const before = listening
    let isCurrent = true
    const filter = {
      toolsListChanged: true,
      promptsListChanged: true,
      resourcesListChanged: true,
      ...(uris.size > 0 ? { resourceSubscriptions: [...uris] } : {}),
    }
    const next = catalogue
      .listen(endpoint, caller, filter, notification => isCurrent && send(notification), session)
      .then(({ granted, close }) => ({
        granted,
        close() {
          isCurrent = false
          close()
        },
      }))
    listening = next
    const replace = () =>
      before?.then(
        ({ close }) => close(),
        () => {},
      )
    next.then(replace, replace)
    next.then(
      ({ close }) => hasEnded && close(),
      () => {
        if (listening === next) listening = undefined
      },
    )
    return next
  }

  return {
    begin(caller) {
      listening ??= listen(caller)
    },
    async add(caller, uri) {
      uris.add(uri)
      const { granted } = await listen(caller)
      if (granted.resourceSubscriptions?.includes(uri)) return {}
      uris.delete(uri)
      throw new RpcError(INVALID_PARAMS, 'This resource does not support subscriptions', { uri })
    },
    async remove(caller, uri) {
      if (uris.delete(uri)) await listen(caller)
      return {}
    },
    end() {
      hasEnded = true
      void listening?.then(
        ({ close }) => close(),
        () => {},
      )
    },
  }
}
