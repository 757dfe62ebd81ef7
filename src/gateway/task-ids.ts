/**
 * Ids of tasks (2026-07-28). An upstream that all people share cannot tell whose task it is asked about, so ids for
 * clients carry a tag that binds them to its person or machine, the same on every replica.
 */
import { hmac, sameBytes } from '../lib/crypto.ts'
import type { GatewayCaller } from './exchange.ts'
import { INVALID_PARAMS, RpcError } from './messages.ts'

export interface TaskIds {
  forClient(upstream: string, caller: GatewayCaller, id: string): string
  /** @returns the upstream's own id. @throws RpcError if it is not a task of the caller's. */
  own(upstream: string, caller: GatewayCaller, id: unknown): string
}

/** Characters of a tag: 128 bits. */
const LENGTH = 22

export function openTaskIds(secret: Uint8Array): TaskIds {
  const key = hmac(secret, 'ids of tasks')
  const tagOf = (upstream: string, { principal }: GatewayCaller, id: string) =>
    hmac(key, JSON.stringify([upstream, principal, id]))
      .toString('base64url')
      .slice(0, LENGTH)
  return {
    forClient: (upstream, caller, id) => `${tagOf(upstream, caller, id)}.${id}`,
    own(upstream, caller, id) {
      const text = typeof id === 'string' ? id : ''
      const own = text.slice(LENGTH + 1)
      if (!sameBytes(Buffer.from(text), Buffer.from(`${tagOf(upstream, caller, own)}.${own}`)))
        throw new RpcError(INVALID_PARAMS, 'There is no such task')
      return own
    },
  }
}
