/**
 * Performs one client request at one upstream, from policy check to audit record. All combinations of eras share this
 * path; they differ only in how a question reaches the client.
 */
import { after } from '../lib/after.ts'
import type { StopSignal } from '../lib/stop.ts'
import { answered, answerOfOurs } from './answers.ts'
import { askClient, hasOpened, heldCall, NOT_OPENED, refuse } from './asking.ts'
import { type CallsDeps, type Course, conclude, done, type Prepared } from './call-state.ts'
import { fail, UpstreamFailure } from './connection.ts'
import type { AccountAt } from './credential.ts'
import { carriedOf, MAY_ASK, paramsFor, traceHeaders } from './eras.ts'
import type { Exchange } from './exchange.ts'
import type { HeldCall } from './held.ts'
import type { ActiveCall, Link } from './link.ts'
import { answerAboutAccount, askToLink } from './link-requests.ts'
import type { Entry } from './lists.ts'
import { HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS, isObject, RpcError } from './messages.ts'
import { mismatchedHeader, paramHeaders } from './param-headers.ts'
import type { PeerAnswer, PeerCall } from './peer.ts'
import { answerQuestions } from './questions.ts'
import { passOn, wantedLogs } from './relay.ts'
import { bindingOf, notWaiting } from './request-state.ts'
import { withClientTask, withOwnTask } from './tasks.ts'
import { traceCall } from './trace-call.ts'
import type { Upstream } from './upstream.ts'

/** How many rounds of questions a 2026 upstream may ask before it answers. */
const ROUNDS = 8

/**
 * @param params With the upstream's own names and URIs.
 * @throws RpcError
 */
export function performCall(
  deps: CallsDeps,
  upstream: Upstream,
  exchange: Exchange,
  params: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const own = withOwnTask(deps, upstream, exchange, params)
  return deps.tracing
    ? traceCall(deps.tracing, upstream, exchange, own, sent => perform(deps, upstream, exchange, sent))
    : perform(deps, upstream, exchange, own)
}

async function perform(
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
    declined: false,
    dropped: 0,
  }
  try {
    const held = exchange.era === '2026' && MAY_ASK.has(exchange.method) ? resume(deps, course) : undefined
    const result = await (held ? deps.held.proceed(held, exchange) : begin(deps, course))
    return withClientTask(deps, upstream, exchange, result)
  } catch (error) {
    throw conclude(deps, course, error)
  }
}

/** Reads what a 2026 client carried for us. @returns the call that it goes on with, if one is held. @throws RpcError */
function resume(deps: CallsDeps, course: Course): HeldCall | undefined {
  const { upstream, exchange, params } = course
  if (params.requestState === undefined) return undefined
  const state = deps.states.open(bindingOf(upstream.config.name, exchange, params), params.requestState)
  if (state?.held !== undefined) return deps.held.resume(state.held, exchange)
  if (!state?.pages) return undefined
  course.declined = !hasOpened(state.pages, params)
  const { requestState: _, inputResponses: __, ...rest } = params
  course.params = rest
  return undefined
}

function begin(deps: CallsDeps, course: Course): Promise<Record<string, unknown>> {
  const { account } = course.upstream
  return account ? attemptLinked(deps, course, account) : attempt(deps, course, true)
}

/** The tokens of a linked account may end or prove insufficient during a call. */
async function attemptLinked(deps: CallsDeps, course: Course, account: AccountAt): Promise<Record<string, unknown>> {
  const answer = await answerAboutAccount(deps, course, account)
  if (answer) return answer
  try {
    return await attempt(deps, course, true)
  } catch (error) {
    const { caller, signal } = course.exchange
    if (!(error instanceof UpstreamFailure)) throw error
    const { reason } = error.failure
    if (reason === 'unlinked' || reason === 'more_scope') return askToLink(deps, course, reason)
    // The connection of an account that has just ended is closed, possibly before the call hears why.
    if (reason === 'cancelled' && !signal.aborted && !(await account.isLinked(caller)))
      return askToLink(deps, course, 'unlinked')
    throw error
  }
}

/** @param again Whether to retry with a new session if the old one was lost: the call did not run in it. */
async function attempt(deps: CallsDeps, course: Course, again: boolean): Promise<Record<string, unknown>> {
  const { upstream, exchange } = course
  const { pool } = upstream
  const link = pool.live(exchange.caller) ?? (await unlessAborted(exchange.signal, pool.acquire(exchange.caller)))
  const judged = judge(course, link)
  const entry = judged instanceof Promise ? await judged : judged
  const taken = pool.slots(link).take(exchange.signal)
  const release = typeof taken === 'function' ? taken : await taken
  try {
    const result = await send(deps, course, link, entry, release)
    pool.reportCall(exchange.caller, undefined)
    return result
  } catch (error) {
    if (!(error instanceof UpstreamFailure)) throw error
    pool.reportCall(exchange.caller, error.failure)
    if (error.failure.reason !== 'session_lost' || !again) throw error
    release()
    return await attempt(deps, course, false)
  } finally {
    release()
  }
}

/**
 * Finds the tool, which must be listed and allowed, and checks that `Mcp-Param-*` headers match the arguments.
 *
 * @returns a promise only if the list has to be fetched. @throws RpcError
 */
function judge({ upstream, exchange, params }: Course, link: Link): Entry | undefined | Promise<Entry> {
  if (exchange.method !== 'tools/call') return undefined
  const { name, arguments: args } = params
  if (typeof name !== 'string') throw new RpcError(INVALID_PARAMS, 'name must be a string')
  return after(upstream.toolNow(link, name) ?? upstream.toolOf(link, name), entry => {
    if (!entry) throw new RpcError(INVALID_PARAMS, 'There is no such tool')
    if (exchange.paramHeaders && entry.headers.length > 0) {
      const header = mismatchedHeader(entry.headers, isObject(args) ? args : undefined, exchange.paramHeaders())
      if (header) throw new RpcError(HEADER_MISMATCH, `${header} differs from the argument in the body`, undefined, 400)
    }
    return entry
  })
}

/** @returns a promise unless the answer is ours. */
function send(
  deps: CallsDeps,
  course: Course,
  link: Link,
  entry: Entry | undefined,
  release: () => void,
): Record<string, unknown> | Promise<Record<string, unknown>> {
  const { exchange, logLevel, params } = course
  if (course.declined) return done(deps, course, answerOfOurs(course, link, NOT_OPENED))
  const ready = logLevel !== undefined && logLevel !== 'any' ? link.wantLogs(logLevel) : undefined
  return after(ready, () => {
    const prepared = prepare(deps, course, link, entry)
    if (exchange.era === '2025' || link.era === '2026' || !MAY_ASK.has(exchange.method))
      return converse(deps, course, prepared, release)
    // A requestState that is not ours: servers of 2025 issue none. Answers without one belong to no question, and are ignored.
    if (params.requestState !== undefined) throw notWaiting()
    return deps.held.proceed(heldCall(deps, course, prepared, release), exchange)
  })
}

/** Everything to send, apart from the callbacks in {@link ActiveCall}. */
function prepare(deps: CallsDeps, course: Course, link: Link, entry: Entry | undefined): Prepared {
  const { exchange, params, logLevel, upstream } = course
  const { roots, timeout, maxTimeout } = upstream.config
  const capabilities = carriedOf(exchange.era, exchange.capabilities, roots)
  const body = paramsFor(link.era, {
    era: exchange.era,
    params,
    clientInfo: exchange.clientInfo,
    capabilities,
    logLevel: logLevel === 'any' ? undefined : logLevel,
  })
  let headers = traceHeaders(params)
  if (entry && entry.headers.length > 0 && link.era === '2026')
    headers = {
      ...headers,
      ...paramHeaders(entry.headers, isObject(params.arguments) ? params.arguments : undefined),
    }
  const options = { timeout, maxTimeout, ...(headers ? { headers } : {}) }
  return {
    body,
    capabilities,
    transmit: (active, sent, onStart) => link.call(active, exchange.method, sent, { ...options, onStart }),
    finish(answer) {
      course.bytes += answer.bytes
      return answered(deps, course, link, answer.response, capabilities)
    },
  }
}

/** Runs a call whose client answers questions while the call waits. @param release Frees its slot, while the user decides. */
async function converse(
  deps: CallsDeps,
  course: Course,
  prepared: Prepared,
  release: () => void,
): Promise<Record<string, unknown>> {
  const { exchange } = course
  const { body, capabilities, transmit, finish } = prepared
  let peerCall: PeerCall | undefined
  const leave = () => peerCall?.cancel({ reason: 'cancelled', detail: 'the caller disconnected' })
  const active: ActiveCall = {
    principal: exchange.caller.principal,
    capabilities,
    logLevel: course.logLevel,
    notify: passOn(course, () => exchange),
    async ask(question, signal) {
      if (exchange.era === '2026') throw refuse(course, question, () => peerCall)
      peerCall?.pause()
      release()
      try {
        return await askClient(deps, course, capabilities, question, signal)
      } finally {
        peerCall?.resume()
      }
    },
  }
  // The signal belongs to this request alone, so the listener need not be removed.
  exchange.signal.addEventListener('abort', leave)
  try {
    let sent = body
    for (let round = 0; ; round++) {
      if (exchange.signal.aborted) throw fail('cancelled', 'the caller disconnected')
      const answer: PeerAnswer = await transmit(active, sent, call => {
        peerCall = call
      })
      const { response } = answer
      const asks = exchange.era === '2025' && 'result' in response && response.result.resultType === 'input_required'
      if (!asks) return done(deps, course, finish(answer))
      course.bytes += answer.bytes
      if (round === ROUNDS) throw new RpcError(INTERNAL_ERROR, `The server asked more than ${ROUNDS} times`)
      release()
      const answers = await answerQuestions(response.result, (question, signal) =>
        askClient(deps, course, capabilities, question, signal),
      )
      sent = { ...body, ...answers }
    }
  } catch (error) {
    throw course.refusal ?? (exchange.signal.aborted ? fail('cancelled', 'the caller disconnected') : error)
  }
}

async function unlessAborted<T>(signal: StopSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const leave = () => reject(fail('cancelled', 'the caller disconnected'))
  if (signal.aborted) leave()
  signal.addEventListener('abort', leave)
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', leave)
    work.catch(() => {})
  }
}
