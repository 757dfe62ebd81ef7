/** Pages that sessions of 2025-11-25 were asked to open, so that each hears when its page has done what it is for. */
import type { GatewayCaller } from './exchange.ts'
import type { RpcNotification } from './messages.ts'

export interface Elicitation {
  elicitationId: string
  upstream: string
  caller: GatewayCaller
}

export interface Elicitations {
  asked(elicitation: Elicitation): void
  /** The account of a principal at an upstream is linked. */
  complete(upstream: string, principal: string): void
}

/** Maximum number of open elicitations; the oldest are dropped, and their clients retry without a notification. */
const MOST = 1_000

/** @param send Notifies the session that a caller speaks in. */
export function openElicitations(send: (caller: GatewayCaller, notification: RpcNotification) => void): Elicitations {
  const open = new Map<string, Elicitation>()
  return {
    asked(elicitation) {
      if (open.size >= MOST) open.delete(open.keys().next().value!)
      open.set(elicitation.elicitationId, elicitation)
    },
    complete(upstream, principal) {
      for (const [elicitationId, { upstream: at, caller }] of open) {
        if (at !== upstream || caller.principal !== principal) continue
        open.delete(elicitationId)
        const method = 'notifications/elicitation/complete'
        send(caller, { jsonrpc: '2.0', method, params: { elicitationId } })
      }
    },
  }
}
