/** A call on its way to an upstream, and what is written down about it in the end. */
import { randomUUID } from 'node:crypto'
import type { Log } from '../lib/log.ts'
import { type Failure, UpstreamFailure } from './connection.ts'
import type { LogLevel } from './eras.ts'
import type { CallRecord, Exchange, Outcome } from './exchange.ts'
import { failureError, outcomeOf } from './failures.ts'
import type { HeldCalls } from './held.ts'
import type { ActiveCall } from './link.ts'
import { isObject, RpcError } from './messages.ts'
import { targetOf } from './names.ts'
import type { PeerAnswer, PeerCall } from './peer.ts'
import { redact } from './policy.ts'
import type { Upstream } from './upstream.ts'

export interface CallsDeps {
  log: Log
  held: HeldCalls
  /** Every `tools/call`, `prompts/get` and `resources/read`, however it ended. */
  onCall(record: CallRecord): void
}

/** A call on its way. */
export interface Course {
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

/** A request that is ready to be sent. */
export interface Prepared {
  body: Record<string, unknown>
  /** Of the client, those that are carried. */
  capabilities: Record<string, unknown>
  transmit(active: ActiveCall, body: Record<string, unknown>, onStart: (call: PeerCall) => void): Promise<PeerAnswer>
  /** The answer as the client gets it. @throws RpcError */
  finish(answer: PeerAnswer): Record<string, unknown>
}

const RECORDED: ReadonlySet<string> = new Set(['tools/call', 'prompts/get', 'resources/read'])

/** A failure outside of a recorded call, such as of a list: in the log as it is, to the client in our own words. */
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
  record(deps, course, result.isError === true ? 'tool_error' : 'ok')
  return result
}

/** What a call that was held failed with is recorded with that call, not with the retry that hears of it. */
export const concluded = new WeakSet<object>()

/** Records a call that failed. @returns what its client is told. */
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

/** When calls are let through again, while they are not. */
function retryOf({ pool }: Pick<Upstream, 'pool'>): Date | undefined {
  const { open, retryAt } = pool.state
  return open ? retryAt : undefined
}
