/** Failures in our own words: an upstream's error text never reaches a client. */
import type { Failure, FailureReason } from './connection.ts'
import type { Outcome } from './exchange.ts'
import { INTERNAL_ERROR, RpcError } from './messages.ts'

const MEANING: Readonly<Record<FailureReason, { outcome: Outcome; words: string }>> = {
  unreachable: { outcome: 'unreachable', words: 'cannot be reached' },
  refused: { outcome: 'unreachable', words: 'rejected our credentials' },
  exited: { outcome: 'unreachable', words: 'exited before it answered' },
  start_failed: { outcome: 'unreachable', words: 'could not be started' },
  session_lost: { outcome: 'unreachable', words: 'lost our session' },
  timeout: { outcome: 'timeout', words: 'did not answer in time' },
  too_large: { outcome: 'protocol_error', words: 'sent too much data' },
  malformed: { outcome: 'protocol_error', words: 'sent an invalid MCP message' },
  protocol: { outcome: 'protocol_error', words: 'sent an invalid MCP message' },
  busy: { outcome: 'busy', words: 'is busy' },
  unlinked: { outcome: 'denied', words: 'needs an account of yours, which is not linked' },
  more_scope: { outcome: 'denied', words: 'needs more access to your account than you have allowed' },
  for_people: { outcome: 'denied', words: 'is for people, who link accounts of their own' },
  cancelled: { outcome: 'cancelled', words: 'did not finish: the call was cancelled' },
}

export const wordsOf = (reason: FailureReason): string => MEANING[reason].words
export const outcomeOf = (reason: FailureReason): Outcome => MEANING[reason].outcome

/**
 * @param reference Identifies the log line that has the detail.
 * @param retryAt When the next attempt is allowed, if calls are refused until then.
 */
export function failureError(upstream: string, { reason }: Failure, reference: string, retryAt?: Date): RpcError {
  const { outcome, words } = MEANING[reason]
  const again = retryAt && outcome === 'unreachable' ? `; next attempt at ${retryAt.toISOString()}` : ''
  return new RpcError(INTERNAL_ERROR, `The server "${upstream}" ${words}${again}`, {
    upstream,
    reason: outcome,
    reference,
    ...(again ? { retryAt: retryAt!.toISOString() } : {}),
  })
}
