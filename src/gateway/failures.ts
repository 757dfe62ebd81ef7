/** Why a call failed, in our own words: nothing of what an upstream said about its failures reaches a client. */
import type { Failure, FailureReason } from './connection.ts'
import type { Outcome } from './exchange.ts'
import { INTERNAL_ERROR, RpcError } from './messages.ts'

const MEANING: Readonly<Record<FailureReason, { outcome: Outcome; words: string }>> = {
  unreachable: { outcome: 'unreachable', words: 'cannot be reached' },
  refused: { outcome: 'unreachable', words: 'refused our credential' },
  exited: { outcome: 'unreachable', words: 'ended before it answered' },
  start_failed: { outcome: 'unreachable', words: 'could not be started' },
  session_lost: { outcome: 'unreachable', words: 'forgot our session' },
  timeout: { outcome: 'timeout', words: 'did not answer in time' },
  too_large: { outcome: 'protocol_error', words: 'sent more than it may' },
  malformed: { outcome: 'protocol_error', words: 'sent something that is not MCP' },
  protocol: { outcome: 'protocol_error', words: 'sent something that is not MCP' },
  busy: { outcome: 'busy', words: 'is busy' },
  cancelled: { outcome: 'cancelled', words: 'was not asked to the end: the call was cancelled' },
}

export const outcomeOf = (reason: FailureReason): Outcome => MEANING[reason].outcome

/**
 * @param reference Finds the line in the log that has the detail.
 * @param retryAt When it is tried again, where calls are refused until then.
 */
export function failureError(upstream: string, { reason }: Failure, reference: string, retryAt?: Date): RpcError {
  const { outcome, words } = MEANING[reason]
  const again = retryAt && outcome === 'unreachable' ? `; it is tried again at ${retryAt.toISOString()}` : ''
  return new RpcError(INTERNAL_ERROR, `The server "${upstream}" ${words}${again}`, {
    upstream,
    reason: outcome,
    reference,
    ...(again ? { retryAt: retryAt!.toISOString() } : {}),
  })
}
