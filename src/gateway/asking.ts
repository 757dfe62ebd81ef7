/** Questions of an upstream for the client of a call: put to it, kept until it comes back, or refused. */
import { randomUUID } from 'node:crypto'
import { type CallsDeps, type Course, conclude, concluded, done, type Prepared } from './course.ts'
import { declares, neededFor, type Question } from './eras.ts'
import type { Exchange } from './exchange.ts'
import { bindingOf, type HeldCall } from './held.ts'
import type { ActiveCall } from './link.ts'
import { INVALID_PARAMS, isObject, METHOD_NOT_FOUND, MISSING_CLIENT_CAPABILITY, RpcError } from './messages.ts'
import type { PeerCall } from './peer.ts'
import { passOn } from './relay.ts'

/** A call that may have to wait for its client, who asks again then (2026 in front of 2025). It is sent at once. */
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
      // While somebody thinks, others may use the process.
      release()
      return call.ask(withoutElicitationId(question), signal)
    },
  }
  call.answer = transmit(active, body, peerCall => {
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
  return call
}

/** A question that the client did not declare: the upstream is refused it, the call ends, the client is told why. */
export function refuse(course: Course, question: Question, peerCall: () => PeerCall | undefined): RpcError {
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

/** @throws RpcError for the upstream, if the client cannot be asked or answers with an error. */
export async function askClient(
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
export function urlAnswers({
  requestState,
  inputResponses,
}: Record<string, unknown>): Record<string, unknown> | undefined {
  if (requestState !== undefined)
    throw new RpcError(INVALID_PARAMS, 'This request is not waiting for an answer any more; start it again')
  if (!isObject(inputResponses)) return undefined
  const accepted = Object.values(inputResponses).every(answer => isObject(answer) && answer.action === 'accept')
  return accepted ? undefined : { content: [{ type: 'text', text: 'The user did not open the page.' }], isError: true }
}
