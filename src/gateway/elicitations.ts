/** Pages that sessions of 2025-11-25 were asked to open, so that each is notified when its page is done. */
import { makeRoom } from '../lib/bounded.ts'
import type { GatewayCaller } from './exchange.ts'
import type { RpcNotification } from './messages.ts'

export interface Elicitation {
  elicitationId: string
  upstream: string
  caller: GatewayCaller
  /** Notifies the client on the stream of the call that asked, for as long as it is open. */
  notify?(notification: RpcNotification): void
}

export interface Elicitations {
  /** We asked for an account to be linked. */
  asked(elicitation: Elicitation): void
  /** An upstream asked for a page of its own. */
  askedByUpstream(elicitation: Elicitation): void
  /** The account of a principal at an upstream is linked. */
  complete(upstream: string, principal: string): void
  /** An upstream says that one of its pages is done. @param owner Whose connection says so; empty: everybody's. */
  completeByUpstream(upstream: string, elicitationId: string, owner: string): void
}

/** Maximum number of open elicitations of each kind; the oldest are dropped, and their clients retry without a notification. */
const MOST = 1_000
const LONGEST_ID = 256
const COMPLETE = 'notifications/elicitation/complete'

/** @param send Notifies the session that a caller speaks in. @returns whether it listens. */
export function openElicitations(
  send: (caller: GatewayCaller, notification: RpcNotification) => boolean,
): Elicitations {
  const ours = new Map<string, Elicitation>()
  const theirs = new Map<string, Elicitation>()
  const keyOf = (upstream: string, elicitationId: string) => `${upstream} ${elicitationId}`

  function keep(open: Map<string, Elicitation>, elicitation: Elicitation): void {
    makeRoom(open, MOST).set(keyOf(elicitation.upstream, elicitation.elicitationId), elicitation)
  }
  function tell(open: Map<string, Elicitation>, { upstream, elicitationId, caller, notify }: Elicitation): void {
    open.delete(keyOf(upstream, elicitationId))
    const notification = { jsonrpc: '2.0', method: COMPLETE, params: { elicitationId } } as const
    if (!send(caller, notification)) notify?.(notification)
  }

  return {
    asked: elicitation => keep(ours, elicitation),
    askedByUpstream(elicitation) {
      if (elicitation.elicitationId.length <= LONGEST_ID) keep(theirs, elicitation)
    },
    complete(upstream, principal) {
      for (const elicitation of ours.values())
        if (elicitation.upstream === upstream && elicitation.caller.principal === principal) tell(ours, elicitation)
    },
    completeByUpstream(upstream, elicitationId, owner) {
      const found = theirs.get(keyOf(upstream, elicitationId))
      if (found && (owner === '' || owner === found.caller.principal)) tell(theirs, found)
    },
  }
}
