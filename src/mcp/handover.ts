/**
 * Answers and cancellations of 2025 clients that reach another replica than the one that waits for them. They are handed
 * over through the database: a sealed row, and a notification to all. A row is for one session, whose id only its owner
 * can use; with the embedded database there is one process, and nothing to hand over.
 */
import { randomUUID } from 'node:crypto'
import { SESSION_CHANNEL } from '../../sql/notifications.ts'
import {
  findSessionMessage,
  insertSessionMessage,
  listSessionMessages,
  sweepSessionMessages,
} from '../../sql/session-messages.ts'
import type { Base, Sweep } from '../base.ts'
import { seal, unseal } from '../lib/crypto.ts'
import { isWithinLimit } from '../limits.ts'
import { type Caller, ownerOf } from './caller.ts'
import { type Conversation, isAsking, type Said, take } from './conversation.ts'
import type { ToolDeps } from './tools/tool.ts'
import { type HttpTransport, noteCancelled } from './transport/http.ts'

/** A session on this replica. */
export interface Waiting {
  conversation: Conversation
  transport: HttpTransport
}

export interface Handover {
  join(session: string, waiting: Waiting): void
  leave(session: string, waiting: Waiting): void
  /** For a message that nothing here waits for. */
  pass(session: string, caller: Caller, message: Said): void
}

/** A message that was not collected by then will not be. */
const KEPT_MS = 60_000
/** Of one connection; what exceeds it is dropped, as every message is that nobody waits for. */
const MESSAGES = { name: 'handed over message', hits: 120, seconds: 60 }

export function openHandover(deps: ToolDeps): Handover {
  const { sql, db, log, secrets, config, gateway, stopping, limits, now } = deps
  // Only servers behind the gateway ask clients.
  if (!gateway || !config.DATABASE_URL) return { join() {}, leave() {}, pass() {} }
  const here = new Map<string, Waiting>()

  function deliver(session: string, content: Uint8Array): void {
    const waiting = here.get(session)
    if (!waiting) return
    try {
      const { of, message } = JSON.parse(unseal(secrets.sessionMessages, content))
      if (of === session && take(waiting.conversation, message)) noteCancelled(waiting.transport, message)
    } catch {
      log.warn('a message for a session on this replica could not be opened')
    }
  }

  async function collect(): Promise<void> {
    const asking = [...here].filter(([, { conversation }]) => isAsking(conversation)).map(([session]) => session)
    if (asking.length === 0) return
    const since = new Date(now().getTime() - KEPT_MS)
    for (const { session, content } of await listSessionMessages(sql, asking, since)) deliver(session, content)
  }

  const listener = db.listen(SESSION_CHANNEL, {
    async onPayload(payload) {
      const [session = '', id = ''] = payload.split(' ')
      if (!here.has(session)) return
      const content = await findSessionMessage(sql, id)
      if (content) deliver(session, content)
    },
    onReady: collect,
    onPoll: collect,
    onLost() {},
  })
  stopping.signal.addEventListener('abort', () => void listener.close())

  return {
    join: (session, waiting) => void here.set(session, waiting),
    leave(session, waiting) {
      if (here.get(session) === waiting) here.delete(session)
    },
    pass(session, caller, message) {
      if (!isWithinLimit(limits, now(), MESSAGES, ownerOf(caller))) return
      const content = seal(secrets.sessionMessages, JSON.stringify({ of: session, message }))
      insertSessionMessage(sql, { id: randomUUID(), session, content, now: now() }).catch(error => {
        log.warn({ err: { message: (error as Error).message } }, 'a client’s answer could not be handed over')
      })
    },
  }
}

export function sessionSweeps({ sql }: Base): Sweep[] {
  return [(now, limit) => sweepSessionMessages(sql, new Date(now.getTime() - KEPT_MS), limit)]
}
