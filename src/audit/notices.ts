/**
 * Sends chosen audit events to the operator's webhook (NOTIFY_URL), signed as Standard Webhooks does. Requests never wait
 * for it: notices queue in memory, in order, and those that cannot be delivered are dropped and counted.
 */
import { createHmac, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NewAuditEvent } from '../../sql/audit-events.ts'
import type { Config } from '../config.ts'
import type { Log } from '../lib/log.ts'
import type { Metrics } from '../metrics.ts'

export interface Notices {
  /** Queues a notice of the event, if the operator chose it. */
  offer(event: NewAuditEvent): void
  /** Gives what is queued a moment to be delivered. */
  close(): Promise<void>
}

interface Notice {
  id: string
  type: string
  body: string
}

const LIMIT = 1_000
const TIMEOUT_MS = 10_000
const CLOSE_MS = 2_000
/** Pauses after failed attempts, in seconds; then a notice is dropped. */
const PAUSES = [1, 5, 30, 120, 300]
/** Notices of one type in a minute; others are counted in the next one. What strangers do must not flood the operator. */
const MOST_PER_MINUTE = 30

export function openNotices(
  config: Config,
  { log, now, metrics }: { log: Log; now(): Date; metrics: Metrics },
  pauses: readonly number[] = PAUSES,
): Notices | undefined {
  const { NOTIFY_URL: url, NOTIFY_SECRET: secret, NOTIFY_EVENTS } = config
  if (url === undefined || secret === undefined) return undefined
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
  const chosen = new Set(NOTIFY_EVENTS)
  const queue: Notice[] = []
  const allow = openAllowance()
  const closing = new AbortController()
  let dropped = 0
  let sending: Promise<void> | undefined
  metrics.gauge('notices_waiting', 'Notices that are not delivered yet', () => queue.length)
  metrics.gauge('notices_dropped', 'Notices that were not delivered since the start', () => dropped)

  async function sendAll(): Promise<void> {
    for (let notice = queue[0]; notice; notice = queue[0]) {
      const problem = await deliver(notice)
      // Closing leaves the rest in the queue.
      if (problem !== undefined && closing.signal.aborted) return
      queue.shift()
      if (problem === undefined) continue
      dropped += 1
      log.error({ event: notice.type, detail: problem }, 'a notice could not be delivered')
    }
  }

  /** @returns why it could not be delivered. */
  async function deliver(notice: Notice): Promise<string | undefined> {
    for (let attempt = 0; ; attempt++) {
      const failure = await post({ url: url!, key, notice, now: now() })
      if (failure === undefined) return undefined
      const { problem, isFinal } = failure
      if (isFinal) return problem
      if (attempt === 0) log.warn({ event: notice.type, detail: problem }, 'a notice has to be sent again')
      const pause = pauses[attempt]
      if (pause === undefined || closing.signal.aborted) return problem
      await sleep(pause * 1000, undefined, { signal: closing.signal }).catch(() => {})
    }
  }

  return {
    offer(event) {
      if (!chosen.has(event.event)) return
      const suppressed = allow(event)
      if (suppressed === undefined) return
      if (queue.length >= LIMIT) {
        dropped += 1
        return
      }
      queue.push(noticeOf(event, suppressed))
      sending ??= sendAll().finally(() => {
        sending = undefined
      })
    },
    async close() {
      closing.abort()
      await Promise.race([sending, Bun.sleep(CLOSE_MS)])
      if (queue.length > 0) log.error({ lost: queue.length }, 'notices were lost at shutdown')
    },
  }
}

/** @returns a function that says how many notices of the event's type were left out before; undefined: leave it out, too. */
function openAllowance(): (event: NewAuditEvent) => number | undefined {
  const seen = new Map<string, { minute: number; count: number; suppressed: number }>()
  return ({ event, at }) => {
    const minute = Math.floor(at.getTime() / 60_000)
    const known = seen.get(event) ?? { minute, count: 0, suppressed: 0 }
    seen.set(event, known)
    if (known.minute !== minute) Object.assign(known, { minute, count: 0 })
    if (known.count >= MOST_PER_MINUTE) {
      known.suppressed += 1
      return undefined
    }
    known.count += 1
    const { suppressed } = known
    known.suppressed = 0
    return suppressed
  }
}

function noticeOf({ at, event, userId, clientId, grantId, ip, detail }: NewAuditEvent, suppressed: number): Notice {
  const data = {
    user_id: userId,
    client_id: clientId,
    grant_id: grantId,
    ip,
    ...(suppressed ? { suppressed } : {}),
    detail,
  }
  return {
    id: `msg_${randomUUID()}`,
    type: event,
    body: JSON.stringify({ type: event, timestamp: at.toISOString(), data }),
  }
}

interface Attempt {
  url: string
  key: Buffer
  notice: Notice
  now: Date
}

interface Failure {
  problem: string
  /** Whether another attempt would be refused, too. Others wait for a notice that is repeated. */
  isFinal: boolean
}

/** Answers from 400 to 499 that another attempt may not get: timeout, too early, too many requests. */
const REPEATABLE = [408, 425, 429]

/** Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp` and `webhook-signature`. @returns why it failed. */
async function post({ url, key, notice: { id, body }, now }: Attempt): Promise<Failure | undefined> {
  const timestamp = Math.floor(now.getTime() / 1000) // receivers refuse old ones
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  try {
    const answer = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      headers: {
        'Content-Type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': `v1,${signature}`,
      },
      body,
    })
    await answer.body?.cancel()
    const { ok, status } = answer
    const isFinal = status >= 400 && status < 500 && !REPEATABLE.includes(status)
    return ok ? undefined : { problem: `it answered ${status}`, isFinal }
  } catch (error) {
    // Not the message, which has the address, which may be a secret.
    return { problem: (error as { code?: string }).code ?? (error as Error).name, isFinal: false }
  }
}
