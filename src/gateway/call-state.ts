/** The state of a call in progress, and its audit record. */
import { randomUUID } from 'node:crypto'
import type { Log } from '../lib/log.ts'
import type { Tracing } from '../tracing.ts'
import { type Failure, UpstreamFailure } from './connection.ts'
import type { Elicitation } from './elicitations.ts'
import type { LogLevel } from './eras.ts'
import type { CallRecord, Exchange, Outcome } from './exchange.ts'
import { failureError, outcomeOf } from './failures.ts'
import type { HeldCalls } from './held.ts'
import type { ActiveCall } from './link.ts'
import { isObject, RpcError } from './messages.ts'
import type { PeerAnswer, PeerCall } from './peer.ts'
import { redact } from './policy.ts'
import { targetOf } from './protocol.ts'
import type { RequestStates } from './request-state.ts'
import type { TaskIds } from './task-ids.ts'
import type { Upstream } from './upstream.ts'

export interface CallsDeps {
  log: Log
  tracing?: Tracing | undefined
  held: HeldCalls
  states: RequestStates
  taskIds: TaskIds
  /** Called for every `tools/call`, `prompts/get` and `resources/read`, successful or not. */
  onCall(record: CallRecord): void
  /** A session was asked to open a page: of ours, or of the upstream. */
  onElicitation(elicitation: Elicitation, by: 'us' | 'upstream'): void
}

/** A call in progress. */
export interface Course {
  upstream: Upstream
  exchange: Exchange
  /** With the upstream's own names. */
  params: Record<string, unknown>
  startedAt: number
  bytes: number
  logLevel: LogLevel | 'any' | undefined
  /** Set if a question needs a capability that the client did not declare: the answer, whatever the upstream sends next. */
  refusal: RpcError | undefined
  /** The client declined to open the pages that the server asked for. */
  declined: boolean
  /** Number of notifications that were not passed on. */
  dropped: number
}

/** A request that is ready to be sent. */
export interface Prepared {
  body: Record<string, unknown>
  /** The client's capabilities that the gateway passes on. */
  capabilities: Record<string, unknown>
  transmit(active: ActiveCall, body: Record<string, unknown>, onStart: (call: PeerCall) => void): Promise<PeerAnswer>
  /** Converts the answer for the client. @throws RpcError */
  finish(answer: PeerAnswer): Record<string, unknown>
}

const RECORDED: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read'])

/** Logs a failure outside of a recorded call, such as a list. @returns the error for the client, in our own words. */
export function plainly(
  { log }: Pick<CallsDeps, 'log'>,
  { config: { name }, pool }: Upstream,
  error: unknown,
): unknown {
  if (!(error instanceof UpstreamFailure)) return error
  const reference = randomUUID()
  log.warn({ upstream: name, ...error.failure, reference }, 'an upstream did not answer')
  return failureError(name, error.failure, reference, retryOf({ pool }))
}

/** Records a call that was answered. */
export function done(deps: CallsDeps, course: Course, result: Record<string, unknown>): Record<string, unknown> {
  const { dropped, exchange, upstream } = course
  if (dropped > 0)
    deps.log.warn(
      { upstream: upstream.config.name, method: exchange.method, dropped },
      'an upstream sent more notifications about a call than are passed on',
    )
  record(deps, course, result.isError === true ? 'tool_error' : 'ok')
  return result
}

/** Errors of held calls, which are recorded with the call and not again with the retry that receives them. */
export const concluded = new WeakSet<object>()

/** Records a failed call. @returns the error for its client. */
export function conclude(deps: CallsDeps, course: Course, error: unknown): unknown {
  if (concluded.has(error as object)) return error
  if (error instanceof UpstreamFailure) {
    const reference = randomUUID()
    const { failure } = error
    logFailure(deps, course, failure, reference)
    record(deps, course, outcomeOf(failure.reason), reference)
    return failureError(course.upstream.config.name, failure, reference, retryOf(course.upstream))
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

/** When calls are admitted again, if the circuit is open. */
function retryOf({ pool }: Pick<Upstream, 'pool'>): Date | undefined {
  const { open, retryAt } = pool.state
  return open ? retryAt : undefined
}
