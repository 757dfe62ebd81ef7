/** Passes an upstream's notifications about a running call on to the client. */
import type { Course } from './call-state.ts'
import { type LogLevel, logLevelOf } from './eras.ts'
import type { Exchange } from './exchange.ts'
import type { RpcNotification } from './messages.ts'
import { LOG_LEVEL, metaOf } from './protocol.ts'

/** Token bucket for the notifications of one call. */
const BURST = 1_000
const PER_SECOND = 200
/** The log messages that a client wants; a 2025 client that has not set a level gets all. */
export function wantedLogs({ era, logLevel, params }: Exchange): LogLevel | 'any' | undefined {
  if (era === '2026') return logLevelOf(metaOf(params)?.[LOG_LEVEL])
  return logLevelOf(logLevel) ?? 'any'
}

/** Passes on log messages, and progress with the client's token; drops what exceeds the rate limit. */
export function passOn(course: Course, to: () => Exchange | undefined): (notification: RpcNotification) => void {
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
