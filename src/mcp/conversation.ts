/**
 * The protocol before 2026-07-28, independent of the transport: requests and answers, cancellation, questions to the
 * client, and its subscriptions.
 */
import { randomUUID } from 'node:crypto'
import { withoutTasks } from '../gateway/eras.ts'
import {
  type Id,
  INVALID_PARAMS,
  isObject,
  isRequest,
  isResponse,
  METHOD_NOT_FOUND,
  type Message,
  RpcError,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
} from '../gateway/messages.ts'
import { LEGACY, LEGACY_REVISIONS } from '../gateway/protocol.ts'
import { ANSWER_MS } from '../gateway/request-state.ts'
import { makeRoom } from '../lib/bounded.ts'
import type { Log } from '../lib/log.ts'
import { openStop, type Stop, type StopSignal } from '../lib/stop.ts'
import type { Caller } from './caller.ts'
import { type Call, type Catalogue, errorBody } from './catalogue.ts'
import { type Changes, openChanges } from './changes.ts'
import type { Prepared } from './core.ts'
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

/** How many questions of one conversation may wait for answers. */
const MOST_QUESTIONS = 64
/** How many cancellations of one conversation are remembered, and up to which length of their request ids. */
const EARLY = { most: 16, length: 256 }

/** What a client says that a request may be waiting for. */
export type Said = RpcResponse | RpcNotification

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

/** It is data without methods, and what is not needed yet is absent, because there are thousands of idle sessions. */
export interface Conversation extends Readonly<ConversationOptions> {
  readonly log: Log
  readonly catalogue: Catalogue
  client: Hello
  logLevel?: string
  running?: Map<Id, Stop> | undefined
  /** When requests were cancelled that did not run, by `performance.now()`: their targets may still be looked up. */
  cancelled?: Map<Id, number>
  questions?: Map<Id, (answer: RpcResponse | undefined) => void> | undefined
  changes?: Changes
  hasEnded: boolean
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
  { hello = NOBODY, ...options }: ConversationOptions,
): Conversation {
  return { ...options, log, catalogue, client: hello, hasEnded: false }
}

/** @param canAsk Whether the client can receive questions before its answer. */
export function receive(conversation: Conversation, item: Prepared, caller: Caller, canAsk: boolean): void {
  const { message } = item
  if (isRequest(message)) serve(conversation, item, caller, canAsk)
  else if (isResponse(message) || message.method === 'notifications/cancelled') {
    if (take(conversation, message)) return
    if (!isResponse(message)) noteEarly(conversation, message.params?.requestId)
    conversation.elsewhere?.(message, caller)
  }
}

function noteEarly(conversation: Conversation, id: unknown): void {
  if (typeof id !== 'number' && !(typeof id === 'string' && id.length <= EARLY.length)) return
  conversation.cancelled ??= new Map()
  makeRoom(conversation.cancelled, EARLY.most).set(id, performance.now())
}

/** @returns the messages without the requests that were cancelled since `askedAt`, before they could run. */
export function withoutCancelled(
  { cancelled }: Conversation,
  items: readonly Prepared[],
  askedAt: number | undefined,
): readonly Prepared[] {
  if (!cancelled || askedAt === undefined) return items
  return items.filter(({ message }) => !(isRequest(message) && (cancelled.get(message.id) ?? 0) > askedAt))
}

/** Delivers an answer or a cancellation. @returns whether a request here was waiting for it. */
export function take({ running, questions }: Conversation, message: Said): boolean {
  if (isResponse(message)) {
    const answered = questions?.get(message.id)
    answered?.(message)
    return answered !== undefined
  }
  const stop = running?.get(message.params?.requestId as Id)
  stop?.abort()
  return stop !== undefined
}

/** Whether a request waits for an answer. */
export const isAsking = ({ questions }: Conversation): boolean => questions !== undefined

/** Starts sending change notifications; idempotent. */
export const follow = (conversation: Conversation, caller: Caller): void => changesOf(conversation).begin(caller)

/** Cancels all running requests. */
export function endConversation(conversation: Conversation): void {
  const { changes, running, questions } = conversation
  conversation.hasEnded = true
  changes?.end()
  for (const stop of running?.values() ?? []) stop.abort()
  for (const resolve of questions?.values() ?? []) resolve(undefined)
}

function changesOf(conversation: Conversation): Changes {
  conversation.changes ??= openChanges(conversation)
  return conversation.changes
}

async function initialize(conversation: Conversation, caller: Caller, params: Json | undefined): Promise<Json> {
  const said = helloOf(params)
  if (!said) throw new RpcError(INVALID_PARAMS, 'Invalid params for initialize')
  conversation.client = said
  const { catalogue, endpoint } = conversation
  const { capabilities, instructions, serverInfo } = await catalogue.describe(endpoint, caller)
  return { protocolVersion: said.revision, capabilities: withoutTasks(capabilities), serverInfo, instructions }
}

/** @returns a promise only if the answer has to wait. @throws RpcError */
function answer(
  conversation: Conversation,
  item: Prepared,
  caller: Caller,
  canAsk: boolean,
  signal: StopSignal,
): Json | Promise<Json> {
  const { id, method, params = {} } = item.message as RpcRequest
  if (item.problem) throw item.problem
  if (method === 'ping') return {}
  if (method === 'initialize') return initialize(conversation, caller, (item.message as RpcRequest).params)
  if (method === 'logging/setLevel') {
    conversation.logLevel = String(params.level)
    return {}
  }
  if (method === 'resources/subscribe') return changesOf(conversation).add(caller, String(params.uri))
  if (method === 'resources/unsubscribe') return changesOf(conversation).remove(caller, String(params.uri))
  const { client, session, logLevel, send } = conversation
  const { revision, clientInfo, capabilities } = client
  const call: Call = {
    caller,
    era: '2025',
    revision,
    method,
    params,
    clientInfo,
    capabilities,
    session,
    signal,
    notify: notification => send(notification, id),
  }
  if (logLevel !== undefined) call.logLevel = logLevel
  if (canAsk) call.ask = (...question) => ask(conversation, id, signal, ...question)
  return item.target!.answer(call)
}

/**
 * Asks the client, on the stream of the request that the question belongs to. Nobody waits for the answer once that is
 * cancelled, nor for longer than in 2026-07-28.
 */
async function ask(
  conversation: Conversation,
  about: Id,
  stopped: StopSignal,
  method: string,
  params: Json,
  signal: AbortSignal,
): Promise<Json> {
  const { send } = conversation
  if (conversation.questions && conversation.questions.size >= MOST_QUESTIONS)
    throw new RpcError(METHOD_NOT_FOUND, 'The client has too many questions to answer')
  const id = randomUUID()
  const { promise, resolve } = Promise.withResolvers<RpcResponse | undefined>()
  const withdraw = () => {
    send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id } }, about)
    resolve(undefined)
  }
  conversation.questions ??= new Map()
  conversation.questions.set(id, resolve)
  signal.addEventListener('abort', withdraw, { once: true })
  stopped.addEventListener('abort', withdraw)
  const timer = setTimeout(withdraw, ANSWER_MS)
  send({ jsonrpc: '2.0', id, method, params }, about)
  const response = await promise
  clearTimeout(timer)
  stopped.removeEventListener('abort', withdraw)
  conversation.questions.delete(id)
  if (conversation.questions.size === 0) conversation.questions = undefined
  signal.removeEventListener('abort', withdraw)
  if (!response) throw new RpcError(METHOD_NOT_FOUND, 'The client did not answer')
  if ('error' in response) throw new RpcError(response.error.code, response.error.message, response.error.data)
  return response.result
}

function serve(conversation: Conversation, item: Prepared, caller: Caller, canAsk: boolean): void {
  const { id, method } = item.message as RpcRequest
  const stop = openStop()
  const succeed = (result: Json) => conversation.send({ jsonrpc: '2.0', id, result })
  const fail = (error: unknown) =>
    conversation.send({ jsonrpc: '2.0', id, error: errorBody(conversation.log, method, error) })
  let result: Json | Promise<Json>
  try {
    result = answer(conversation, item, caller, canAsk, stop.signal)
  } catch (error) {
    fail(error)
    return
  }
  if (!(result instanceof Promise)) {
    succeed(result)
    return
  }
  conversation.running ??= new Map()
  const { running } = conversation
  running.set(id, stop)
  const finish =
    <T>(say: (outcome: T) => void) =>
    (outcome: T) => {
      if (running.get(id) === stop) {
        running.delete(id)
        if (running.size === 0) conversation.running = undefined
      }
      if (!stop.signal.aborted) say(outcome) // a cancelled request gets no answer
    }
  result.then(finish(succeed), finish(fail))
}
