/**
 * One request of a client at one upstream, from policy to record: the same way for every pair of eras, except for how
 * the client is asked something on the way.
 */
import { randomUUID } from 'node:crypto'
import type { Log } from '../lib/log.ts'
import { type Failure, UpstreamFailure } from './connection.ts'
import {
  carriedOf,
  declares,
  errorFor,
  type LogLevel,
  logLevelOf,
  MAY_ASK,
  neededFor,
  paramsFor,
  type Question,
  resultFor,
  traceHeaders,
} from './eras.ts'
import type { CallRecord, Exchange, Outcome } from './exchange.ts'
import { failureError, outcomeOf } from './failures.ts'
import { bindingOf, type HeldCall, type HeldCalls } from './held.ts'
import type { ActiveCall, Link } from './link.ts'
import { type Entry, kindOfMethod, LISTS } from './lists.ts'
import {
  HEADER_MISMATCH,
  INTERNAL_ERROR,
  INVALID_PARAMS,
  isObject,
  METHOD_NOT_FOUND,
  MISSING_CLIENT_CAPABILITY,
  RpcError,
  type RpcNotification,
  type RpcResponse,
  UNSUPPORTED_VERSION,
  URL_ELICITATION_REQUIRED,
} from './messages.ts'
import { LOG_LEVEL, metaOf, targetOf } from './names.ts'
import { mismatchedHeader, paramHeaders } from './param-headers.ts'
import type { PeerAnswer, PeerCall } from './peer.ts'
import { redact } from './policy.ts'
import { answerQuestions, urlQuestions } from './questions.ts'
import type { Upstream } from './upstream.ts'

export interface CallsDeps {
  log: Log
  held: HeldCalls
  /** Every `tools/call`, `prompts/get` and `resources/read`, however it ended. */
  onCall(record: CallRecord): void
}

/** A failure outside of a recorded call, such as of a list: in the log as it is, to the client in our own words. */
export function plainly(
  { log }: Pick<CallsDeps, 'log'>,
  { config: { name }, pool }: Upstream,
  error: unknown,
): unknown {
  if (!(error instanceof UpstreamFailure)) return error
  const reference = randomUUID()
  log.warn({ upstream: name, ...error.failure, reference }, 'an upstream did not answer')
  return failureError(name, error.failure, reference, pool.state.retryAt)
}

/** A call on its way. */
interface Course {
  upstream: Upstream
  exchange: Exchange
  /** With the upstream's own names. */
  params: Record<string, unknown>
  startedAt: number
  bytes: number
  logLevel: LogLevel | 'any' | undefined
  /** What the client must have declared and has not: the answer, whatever the upstream says then. */
  refusal: RpcError | undefined
  /** Notifications that were not passed on. */
  dropped: number
}

/** Times that a 2026 upstream may ask before it answers. */
const ROUNDS = 8
/** Notifications of one call that are passed on at once, and in each second after that. */
const BURST = 1_000
const PER_SECOND = 200
const RECORDED: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read'])

/**
 * @param params As the upstream knows names and URIs.
 * @throws RpcError
 */
export async function performCall(
  deps: CallsDeps,
  upstream: Upstream,
  exchange: Exchange,
  params: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const course: Course = {
    upstream,
    exchange,
    params,
    startedAt: performance.now(),
    bytes: 0,
    logLevel: wantedLogs(exchange),
    refusal: undefined,
    dropped: 0,
  }
  try {
    if (exchange.era === '2026' && MAY_ASK.has(exchange.method) && params.requestState !== undefined) {
      const call = deps.held.resume(exchange, bindingOf(upstream.config.name, exchange, params))
      if (call) return await deps.held.proceed(call, exchange)
    }
    return await attempt(deps, course, true)
  } catch (error) {
    throw conclude(deps, course, error)
  }
}

function wantedLogs({ era, logLevel, params }: Exchange): LogLevel | 'any' | undefined {
  if (era === '2026') return logLevelOf(metaOf(params)?.[LOG_LEVEL])
  return logLevelOf(logLevel) ?? 'any'
}

/** @param again Whether a session that was lost is begun anew: the call never ran in it. */
async function attempt(deps: CallsDeps, course: Course, again: boolean): Promise<Record<string, unknown>> {
  const { upstream, exchange } = course
  const link = await unlessLeft(exchange.signal, upstream.pool.acquire(exchange.caller))
  const entry = await judge(course, link)
  const release = await upstream.pool.slots(link).take(exchange.signal)
  try {
    const result = await send(deps, course, link, entry, release)
    upstream.pool.met(exchange.caller, undefined)
    return result
  } catch (error) {
    if (!(error instanceof UpstreamFailure)) throw error
    upstream.pool.met(exchange.caller, error.failure)
    if (error.failure.reason !== 'session_lost' || !again) throw error
    release()
    return await attempt(deps, course, false)
  } finally {
    release()
  }
}

/** Only tools that were listed, judged and not hidden are called; their headers say what their arguments say. */
async function judge({ upstream, exchange, params }: Course, link: Link): Promise<Entry | undefined> {
  if (exchange.method !== 'tools/call') return undefined
  const { name, arguments: args } = params
  if (typeof name !== 'string') throw new RpcError(INVALID_PARAMS, 'name must be a string')
  const entry = await upstream.toolOf(link, name)
  if (!entry) throw new RpcError(INVALID_PARAMS, 'There is no such tool')
  if (exchange.paramHeaders && entry.headers.length > 0) {
    const header = mismatchedHeader(entry.headers, isObject(args) ? args : undefined, exchange.paramHeaders)
    if (header) throw new RpcError(HEADER_MISMATCH, `${header} differs from the argument in the body`, undefined, 400)
  }
  return entry
}

async function send(
  deps: CallsDeps,
  course: Course,
  link: Link,
  entry: Entry | undefined,
  release: () => void,
): Promise<Record<string, unknown>> {
  const { exchange, params, logLevel, upstream } = course
  const { roots, timeout, maxTimeout } = upstream.config
  if (logLevel !== undefined && logLevel !== 'any') await link.wantLogs(logLevel)
  const capabilities = carriedOf(exchange.capabilities, roots)
  const sent = paramsFor(link.era, {
    era: exchange.era,
    params,
    clientInfo: exchange.clientInfo,
    capabilities,
    logLevel: logLevel === 'any' ? undefined : logLevel,
  })
  const headers: Record<string, string> = { ...traceHeaders(params) }
  if (entry && entry.headers.length > 0 && link.era === '2026')
    Object.assign(headers, paramHeaders(entry.headers, isObject(params.arguments) ? params.arguments : undefined))
  const transmit = (active: ActiveCall, body: Record<string, unknown>, onStart: (call: PeerCall) => void) =>
    link.call(active, exchange.method, body, { timeout, maxTimeout, headers, onStart })
  const finish = (answer: PeerAnswer): Record<string, unknown> => {
    course.bytes += answer.bytes
    return finished(course, link, answer.response)
  }

  if (exchange.era === '2026' && link.era === '2025' && MAY_ASK.has(exchange.method)) {
    const declined = urlAnswers(params)
    if (declined) return done(deps, course, finishLocally(course, link, declined))
    return holdable(deps, course, capabilities, release, transmit, sent, finish)
  }
  let peerCall: PeerCall | undefined
  const stop = () => peerCall?.cancel({ reason: 'cancelled', detail: 'the caller has left' })
  exchange.signal.addEventListener('abort', stop)
  const active: ActiveCall = {
    principal: exchange.caller.principal,
    capabilities,
    logLevel,
    notify: passOn(course, () => exchange),
    ask: async (question, signal) => {
      if (exchange.era === '2026') throw refuse(course, question, () => peerCall)
      peerCall?.pause()
      try {
        return await askClient(exchange, capabilities, question, signal)
      } finally {
        peerCall?.resume()
      }
    },
  }
  try {
    let body = sent
    for (let round = 0; ; round++) {
      if (exchange.signal.aborted) throw new UpstreamFailure({ reason: 'cancelled', detail: 'the caller has left' })
      const answer = await transmit(active, body, call => {
        peerCall = call
      })
      const { response } = answer
      const asks = exchange.era === '2025' && 'result' in response && response.result.resultType === 'input_required'
      if (!asks) return done(deps, course, finish(answer))
      course.bytes += answer.bytes
      if (round === ROUNDS) throw new RpcError(INTERNAL_ERROR, `The server asked more than ${ROUNDS} times`)
      const answers = await answerQuestions(response.result, (question, signal) =>
        askClient(exchange, capabilities, question, signal),
      )
      body = { ...sent, ...answers }
    }
  } catch (error) {
    throw course.refusal ?? error
  } finally {
    exchange.signal.removeEventListener('abort', stop)
  }
}

/** A call that may have to wait for its client, who asks again then (2026 in front of 2025). */
function holdable(
  deps: CallsDeps,
  course: Course,
  capabilities: Record<string, unknown>,
  release: () => void,
  transmit: (
    active: ActiveCall,
    body: Record<string, unknown>,
    onStart: (call: PeerCall) => void,
  ) => Promise<PeerAnswer>,
  sent: Record<string, unknown>,
  finish: (answer: PeerAnswer) => Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const { exchange, upstream } = course
  const call: HeldCall = deps.held.open(exchange, bindingOf(upstream.config.name, exchange, course.params))
  const active: ActiveCall = {
    principal: exchange.caller.principal,
    capabilities,
    logLevel: course.logLevel,
    notify: passOn(course, () => call.exchange),
    ask: async (question, signal) => {
      const needed = neededFor(question)
      if (!needed || !declares(capabilities, needed)) throw refuse(course, question, () => call.peerCall)
      // While somebody thinks, others may use the process.
      release()
      return call.ask(withoutElicitationId(question), signal)
    },
  }
  call.answer = transmit(active, sent, peerCall => {
    call.peerCall = peerCall
  })
  call.answer.catch(() => {})
  call.finish = (answer, error) => {
    if (answer && !course.refusal) return done(deps, course, finish(answer))
    const reason = course.refusal ?? error
    // A retry is a call of its own to its caller, but the record is of the one call that was made.
    if (call.exchange === exchange) throw reason
    const told = conclude(deps, course, reason)
    if (told instanceof RpcError) concluded.add(told)
    throw told
  }
  return deps.held.proceed(call, exchange)
}

/** A question that the client did not declare: the upstream is refused it, the call ends, the client is told why. */
function refuse(course: Course, question: Question, peerCall: () => PeerCall | undefined): RpcError {
  const requiredCapabilities = neededFor(question) ?? {}
  course.refusal = new RpcError(
    MISSING_CLIENT_CAPABILITY,
    'The server needs a capability that the client did not declare',
    { requiredCapabilities },
    400,
  )
  // After the refusal is on its way, so that the upstream gets both in order.
  setTimeout(() => peerCall()?.cancel({ reason: 'cancelled', detail: 'the client cannot be asked' }), 0)
  return new RpcError(METHOD_NOT_FOUND, `The client does not offer ${question.method}`)
}

async function askClient(
  { ask }: Exchange,
  capabilities: Record<string, unknown>,
  question: Question,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const needed = neededFor(question)
  if (!ask || !needed || !declares(capabilities, needed))
    throw new RpcError(METHOD_NOT_FOUND, `The client does not offer ${question.method}`)
  const { _meta, ...rest } = question.params ?? {}
  const url = rest.mode === 'url' && rest.elicitationId === undefined ? { elicitationId: randomUUID() } : {}
  const { progressToken: _, ...meta } = isObject(_meta) ? _meta : {}
  return ask(question.method, { ...rest, ...url, ...(Object.keys(meta).length > 0 ? { _meta: meta } : {}) }, signal)
}

function withoutElicitationId({ method, params }: Question): Question {
  if (!params) return { method }
  const { elicitationId: _, _meta: __, ...rest } = params
  return { method, params: rest }
}

/** 2026 retries after `-32042` carry whether the pages were opened; a page that was declined ends it here. */
function urlAnswers({ requestState, inputResponses }: Record<string, unknown>): Record<string, unknown> | undefined {
  if (requestState !== undefined)
    throw new RpcError(INVALID_PARAMS, 'This request is not waiting for an answer any more; start it again')
  if (!isObject(inputResponses)) return undefined
  const accepted = Object.values(inputResponses).every(answer => isObject(answer) && answer.action === 'accept')
  return accepted ? undefined : { content: [{ type: 'text', text: 'The user did not open the page.' }], isError: true }
}

function finishLocally({ exchange }: Course, link: Link, result: Record<string, unknown>): Record<string, unknown> {
  if (exchange.method !== 'tools/call') throw new RpcError(INVALID_PARAMS, 'The user did not open the page')
  return resultFor(
    exchange.era,
    link.era,
    exchange.method,
    result,
    { sharable: false, ttlMs: 0 },
    link.server.serverInfo,
  )
}

const LIST_TTL_MS = 60_000

/** Whether an upstream tells of changes of the list that a method gives. */
function tellsOf(method: string, link: Link): boolean {
  const kind = kindOfMethod(method)
  const offers = kind && link.server.capabilities[LISTS[kind].capability]
  return isObject(offers) && offers.listChanged === true
}

/** The upstream's answer as the client gets it. @throws RpcError of the upstream's protocol errors. */
function finished({ exchange, upstream, params }: Course, link: Link, response: RpcResponse): Record<string, unknown> {
  const { method, era } = exchange
  if ('result' in response) {
    const cache = { sharable: upstream.sharable, ttlMs: tellsOf(method, link) ? LIST_TTL_MS : 0 }
    return resultFor(era, link.era, method, response.result, cache, link.server.serverInfo)
  }
  const { error } = response
  if (error.code === UNSUPPORTED_VERSION) link.retire(upstream.config.timeout)
  if (era === '2026' && error.code === URL_ELICITATION_REQUIRED) {
    const inputRequests = urlQuestions(error.data)
    if (!inputRequests || !MAY_ASK.has(method))
      throw new RpcError(INTERNAL_ERROR, 'The server asks for pages it does not name')
    const requiredCapabilities = { elicitation: { url: {} } }
    if (!declares(exchange.capabilities, requiredCapabilities))
      throw new RpcError(
        MISSING_CLIENT_CAPABILITY,
        'The server needs a page to be opened',
        { requiredCapabilities },
        400,
      )
    return { resultType: 'input_required', inputRequests }
  }
  if (era === '2025' && error.code === MISSING_CLIENT_CAPABILITY && method === 'tools/call')
    return {
      content: [{ type: 'text', text: `This tool needs a client that offers ${missing(error.data)}.` }],
      isError: true,
    }
  throw errorFor(era, method, error, targetOf(method, params))
}

function missing(data: unknown): string {
  const required = isObject(data) && isObject(data.requiredCapabilities) ? Object.keys(data.requiredCapabilities) : []
  return required.filter(name => /^[a-z]{1,20}$/i.test(name)).join(' and ') || 'more than yours'
}

/** Progress with the client's token, log messages; a flood is cut. */
function passOn(course: Course, to: () => Exchange | undefined): (notification: RpcNotification) => void {
  let left = BURST
  let filledAt = performance.now()
  return ({ method, params }) => {
    const exchange = to()
    if (!exchange || exchange.signal.aborted) return
    const now = performance.now()
    left = Math.min(BURST, left + ((now - filledAt) * PER_SECOND) / 1000)
    filledAt = now
    if (left < 1) {
      course.dropped++
      return
    }
    left--
    if (method !== 'notifications/progress')
      return exchange.notify({ jsonrpc: '2.0', method, ...(params ? { params } : {}) })
    const progressToken = metaOf(exchange.params)?.progressToken
    if (typeof progressToken === 'string' || typeof progressToken === 'number')
      exchange.notify({ jsonrpc: '2.0', method, params: { ...params, progressToken } })
  }
}

async function unlessLeft<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  if (!signal.aborted) {
    const { promise, reject } = Promise.withResolvers<never>()
    const leave = () => reject(new UpstreamFailure({ reason: 'cancelled', detail: 'the caller has left' }))
    signal.addEventListener('abort', leave)
    return Promise.race([work, promise]).finally(() => signal.removeEventListener('abort', leave))
  }
  work.catch(() => {})
  throw new UpstreamFailure({ reason: 'cancelled', detail: 'the caller has left' })
}

function done(deps: CallsDeps, course: Course, result: Record<string, unknown>): Record<string, unknown> {
  record(deps, course, result.isError === true ? 'tool_error' : 'ok')
  return result
}

/** What a call that was held failed with is recorded with that call, not with the retry that hears of it. */
const concluded = new WeakSet<object>()

/** Records a call that failed. @returns what its client is told. */
function conclude(deps: CallsDeps, course: Course, error: unknown): unknown {
  if (concluded.has(error as object)) return error
  if (error instanceof UpstreamFailure) {
    const reference = randomUUID()
    const { failure } = error
    logFailure(deps, course, failure, reference)
    record(deps, course, outcomeOf(failure.reason), reference)
    return failureError(course.upstream.config.name, failure, reference, course.upstream.pool.state.retryAt)
  }
  if (error instanceof RpcError) record(deps, course, 'protocol_error')
  return error
}

function logFailure(
  { log }: CallsDeps,
  { upstream, exchange, dropped }: Course,
  failure: Failure,
  reference: string,
): void {
  const { reason, detail } = failure
  const line = { upstream: upstream.config.name, method: exchange.method, reason, detail, reference, dropped }
  if (reason === 'cancelled') log.debug(line, 'a call was cancelled')
  else log.warn(line, 'an upstream did not answer')
}

function record(deps: CallsDeps, course: Course, outcome: Outcome, reference?: string): void {
  const { exchange, upstream, params, startedAt, bytes } = course
  if (!RECORDED.has(exchange.method)) return
  const { audit, name } = upstream.config
  const args = audit.arguments && isObject(params.arguments) ? redact(params.arguments, audit.redact) : undefined
  deps.onCall({
    caller: exchange.caller,
    upstream: name,
    method: exchange.method,
    target: targetOf(exchange.method, params) ?? '',
    milliseconds: Math.round(performance.now() - startedAt),
    bytes,
    outcome,
    ...(isObject(args) ? { arguments: args } : {}),
    ...(reference === undefined ? {} : { reference }),
  })
}
