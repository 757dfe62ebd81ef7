/** Questions (elicitation, sampling, roots) from an upstream to the client of a call: passed on, held for a retry, or refused. */
import { randomUUID } from 'node:crypto'
import { type CallsDeps, type Course, conclude, concluded, done, type Prepared } from './call-state.ts'
import { declares, neededFor, type Question } from './eras.ts'
import type { HeldCall } from './held.ts'
import type { ActiveCall } from './link.ts'
import { isObject, METHOD_NOT_FOUND, MISSING_CLIENT_CAPABILITY, RpcError } from './messages.ts'
import type { PeerCall } from './peer.ts'
import { passOn } from './relay.ts'
import { bindingOf } from './request-state.ts'

/**
 * Sends a call that can be held while a 2026 client answers a question of a 2025 upstream; the client delivers the
 * answer in a retry.
 */
export function heldCall(
  deps: CallsDeps,
  course: Course,
  { body, capabilities, transmit, finish }: Prepared,
  release: () => void,
): HeldCall {
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
      // Free the slot while the user decides.
      release()
      return call.ask(withoutElicitationId(question), signal)
    },
  }
  call.answer = transmit(active, body, peerCall => {
    call.peerCall = peerCall
  })
  // An upstream may have few questions open at once, so none may outlast its call.
  call.answer.then(call.endQuestions, call.endQuestions)
  call.finish = (answer, error) => {
    if (answer && !course.refusal) return done(deps, course, finish(answer))
    const reason = course.refusal ?? error
    // For its caller a retry is a call of its own, but the upstream received one call, which is recorded once.
    if (call.exchange === exchange) throw reason
    const told = conclude(deps, course, reason)
    if (told instanceof RpcError) concluded.add(told)
    throw told
  }
  return call
}

/** Refuses a question that the client does not support: the upstream gets an error, the call ends, and the client learns why. */
export function refuse(course: Course, question: Question, peerCall: () => PeerCall | undefined): RpcError {
  const requiredCapabilities = neededFor(question) ?? {}
  course.refusal = new RpcError(
    MISSING_CLIENT_CAPABILITY,
    'The server needs a capability that the client did not declare',
    { requiredCapabilities },
    400,
  )
  // Deferred until the refusal has been sent, so that the upstream gets both in order.
  setTimeout(() => peerCall()?.cancel({ reason: 'cancelled', detail: 'the client cannot be asked' }), 0)
  return new RpcError(METHOD_NOT_FOUND, `The client does not support ${question.method}`)
}

/** Asks the client. @throws RpcError for the upstream, if the client cannot be asked or answers with an error. */
export async function askClient(
  deps: CallsDeps,
  course: Course,
  capabilities: Record<string, unknown>,
  question: Question,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const { ask } = course.exchange
  const needed = neededFor(question)
  if (!ask || !needed || !declares(capabilities, needed))
    throw new RpcError(METHOD_NOT_FOUND, `The client does not support ${question.method}`)
  const { _meta, ...rest } = question.params ?? {}
  if (rest.mode === 'url') noteElicitation(deps, course, rest)
  const url = rest.mode === 'url' && rest.elicitationId === undefined ? { elicitationId: randomUUID() } : {}
  const { progressToken: _, ...meta } = isObject(_meta) ? _meta : {}
  return ask(question.method, { ...rest, ...url, ...(Object.keys(meta).length > 0 ? { _meta: meta } : {}) }, signal)
}

/** Notes a page that the upstream wants to be opened, so that the client is told of its completion, even after the call. */
export function noteElicitation(deps: CallsDeps, { exchange, upstream }: Course, asked: unknown): void {
  if (!isObject(asked) || typeof asked.elicitationId !== 'string') return
  const { elicitationId } = asked
  const { caller, notify } = exchange
  deps.onElicitation({ elicitationId, upstream: upstream.config.name, caller, notify }, 'upstream')
}

function withoutElicitationId({ method, params }: Question): Question {
  if (!params) return { method }
  const { elicitationId: _, _meta: __, ...rest } = params
  return { method, params: rest }
}

/**
 * What a 2026 client says of the pages that a server wanted to be opened.
 *
 * @returns whether they are, or may be: a server that is called too early asks for them again.
 */
export function hasOpened(pages: readonly string[], { inputResponses }: Record<string, unknown>): boolean {
  const answers = isObject(inputResponses) ? inputResponses : {}
  return !pages.some(key => {
    const answer = Object.hasOwn(answers, key) ? answers[key] : undefined
    return isObject(answer) && (answer.action === 'decline' || answer.action === 'cancel')
  })
}

export const NOT_OPENED = { content: [{ type: 'text', text: 'The user did not open the page.' }], isError: true }
