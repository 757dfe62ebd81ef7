/**
 * The state that a 2026 client carries from `input_required` to its retry: sealed, and bound to caller, request and
 * arguments, so that it cannot be used for anything else. Any replica can read it.
 */
import { createHash } from 'node:crypto'
import { seal, unseal } from '../lib/crypto.ts'
import type { Exchange } from './exchange.ts'
import { canonical } from './lists.ts'
import { INVALID_PARAMS, RpcError } from './messages.ts'

export interface RequestState {
  /** The id of a held call. */
  held?: string
  /** Keys of the pages to open before the call is repeated. */
  pages?: string[]
}

export interface RequestStates {
  seal(binding: string, state: RequestState): string
  /** @returns undefined if the state is not ours. @throws RpcError if it belongs to another request, or has expired. */
  open(binding: string, sealed: unknown): RequestState | undefined
}

/** How long a client may take to answer, in milliseconds. */
export const ANSWER_MS = 600_000

/** Hash of what a retry must repeat: caller, upstream, method, target and arguments. */
export function bindingOf(upstream: string, { caller, method }: Exchange, params: Record<string, unknown>): string {
  const { name, uri, arguments: args } = params
  const text = canonical([caller.principal, caller.clientId, upstream, method, name ?? uri ?? null, args ?? null])
  return createHash('sha256').update(text).digest('base64url')
}

export function openRequestStates({ now, sealKey }: { now(): Date; sealKey: Uint8Array }): RequestStates {
  return {
    seal(binding, state) {
      const expiresAt = now().getTime() + ANSWER_MS
      return seal(sealKey, JSON.stringify({ ...state, binding, expiresAt })).toString('base64url')
    },
    open(binding, sealed) {
      if (typeof sealed !== 'string') return undefined
      let state: RequestState & { binding: string; expiresAt: number }
      try {
        state = JSON.parse(unseal(sealKey, Buffer.from(sealed, 'base64url')))
      } catch {
        return undefined // not sealed by us: the state of an upstream
      }
      if (state.binding !== binding) throw new RpcError(INVALID_PARAMS, 'requestState belongs to another request')
      if (state.expiresAt <= now().getTime()) throw notWaiting()
      return state
    },
  }
}

export const notWaiting = () =>
  new RpcError(INVALID_PARAMS, 'This request is no longer waiting for an answer; start it again')
