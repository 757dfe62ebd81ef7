/** The audit log: how to record an event of the `catalogue`. `writer` stores them, `notices` tells the operator, `search` finds them, `retention` deletes them. */
import { makeRoom } from '../lib/bounded.ts'
import { networkOf } from '../lib/networks.ts'
import { isWithinLimit, LIMITS, type Limits } from '../limits.ts'
import type { AuditEventName } from './catalogue.ts'
import type { AuditWriter } from './writer.ts'

export interface AuditDetails {
  userId?: string | null
  clientId?: string | null
  grantId?: string | null
  ip?: string | null
  detail?: Record<string, string | number | boolean>
}

/** Records an event. */
export function record(
  deps: { audit: AuditWriter; now: () => Date },
  event: AuditEventName,
  details: AuditDetails = {},
): void {
  deps.audit.add({
    at: deps.now(),
    event,
    userId: details.userId ?? null,
    clientId: details.clientId ?? null,
    grantId: details.grantId ?? null,
    ip: details.ip ?? null,
    detail: details.detail ?? {},
  })
}

/** The same dependencies, with which every event that a service records says who acted. @param ip Where they are. */
export function actingAs<T extends { audit: AuditWriter }>(
  deps: T,
  actor: Record<string, string>,
  ip: string | null = null,
): T {
  const audit = Object.create(deps.audit, {
    add: {
      value: (event: Parameters<AuditWriter['add']>[0]) =>
        deps.audit.add({ ...event, ip: event.ip ?? ip, detail: { ...event.detail, ...actor } }),
    },
  })
  return { ...deps, audit }
}

/** How long repetitions of an event are only counted, and for how many different events that is tracked. */
const REPEAT_MS = 10 * 60_000
const MAX_REMEMBERED = 10_000

/** Recently recorded events, with their time (ms) and the number of repetitions since. */
const recorded = new WeakMap<AuditWriter, Map<string, { at: number; repeats: number }>>()

/**
 * Records an event that can be repeated at no cost: the first time, and then every ten minutes with the number of
 * repetitions in `repeats`. Different events of unauthenticated requests are recorded up to a limit per network.
 *
 * @param what Distinguishes events that have the same client, user, grant and network; must have few values.
 */
export function recordRepeatable(
  deps: { audit: AuditWriter; limits: Limits; now: () => Date },
  event: AuditEventName,
  details: AuditDetails,
  what = '',
): void {
  let events = recorded.get(deps.audit)
  if (!events) {
    events = new Map()
    recorded.set(deps.audit, events)
  }
  const { clientId, userId, grantId, ip } = details
  const network = networkOf(ip ?? null)
  const key = JSON.stringify([event, clientId, userId, grantId, grantId ? '' : network, what])
  const known = events.get(key)
  const now = deps.now().getTime()
  if (known && now - known.at < REPEAT_MS) {
    known.repeats += 1
    deps.audit.count(event)
    return
  }
  if (!userId && !isWithinLimit(deps.limits, deps.now(), LIMITS.strangers, network)) return
  events.delete(key)
  makeRoom(events, MAX_REMEMBERED).set(key, { at: now, repeats: 0 })
  const repeats = known?.repeats ?? 0
  record(deps, event, repeats > 0 ? { ...details, detail: { ...details.detail, repeats } } : details)
}
