/** What the audit log gets of the gateway. */
import { record, recordRepeatable } from '../audit/events.ts'
import type { Base } from '../base.ts'
import { printableText } from '../lib/text.ts'
import { isWithinLimit } from '../limits.ts'
import type { FailureReason } from './connection.ts'
import type { CallRecord, Reloaded } from './exchange.ts'
import type { ChangedTools } from './memory.ts'

export function recordCall(base: Base, call: CallRecord): void {
  const { caller, upstream, method, target, milliseconds, bytes, outcome, reference } = call
  record(base, 'upstream.called', {
    userId: caller.user?.id ?? null,
    clientId: caller.clientId,
    grantId: caller.grantId ?? null,
    ip: caller.ip,
    detail: {
      upstream,
      method,
      target: target.slice(0, 200),
      milliseconds: Math.round(milliseconds),
      bytes,
      outcome,
      ...(reference ? { reference } : {}),
      ...(call.arguments ? { arguments: JSON.stringify(call.arguments).slice(0, 10_000) } : {}),
    },
  })
}

/** An upstream can change its tools as often as it likes; all changes are in the log. */
const CHANGES = { name: 'changed tools', hits: 60, seconds: 3_600 }
/** Names in one event. */
const MOST_NAMES = 20

export function recordChangedTools(base: Base, { upstream, tools, blocked }: ChangedTools): void {
  if (!isWithinLimit(base.limits, base.now(), CHANGES, upstream)) return
  const names = tools.slice(0, MOST_NAMES).map(name => printableText(name, 128))
  record(base, 'upstream.tools_changed', {
    detail: { upstream, tools: names.join(', '), count: tools.length, blocked },
  })
}

/** At most every ten minutes for each, since every user's own process may fail. */
export function recordDown(base: Base, upstream: string, reason: FailureReason): void {
  recordRepeatable(base, 'upstream.down', { detail: { upstream, reason } }, upstream)
}

export function recordReload(base: Base, reloaded: Reloaded): void {
  const detail = Object.entries(reloaded).flatMap(([how, names]: [string, readonly string[]]) =>
    names.length > 0 ? [[how, names.join(', ').slice(0, 1_000)] as const] : [],
  )
  record(base, 'upstream.reloaded', { detail: Object.fromEntries(detail) })
}
