/**
 * Calls of 2026 clients to 2025 upstreams that wait for an answer from the client. The call to the upstream stays open
 * while the client gets `input_required`; its retry continues the call. The state that the client carries is sealed.
 */
import { createHash, randomUUID } from 'node:crypto'
import { seal, unseal } from '../lib/crypto.ts'
import { fail, UpstreamFailure } from './connection.ts'
import type { Question } from './eras.ts'
import type { Exchange } from './exchange.ts'
import { canonical } from './lists.ts'
import { INTERNAL_ERROR, INVALID_PARAMS, isObject, RpcError } from './messages.ts'
import type { PeerAnswer, PeerCall } from './peer.ts'

export interface HeldCall {
  /** Receives progress and log messages; undefined while the client is away. */
  exchange: Exchange | undefined
  peerCall: PeerCall | undefined
  /** Asks the client. Resolves with the answer that its retry brings. */
  ask(question: Question, signal: AbortSignal): Promise<Record<string, unknown>>
  answer: Promise<PeerAnswer>
  /** Records the call. @returns the result for the client, or throws the error. */
  finish(answer: PeerAnswer | undefined, error: unknown): Record<string, unknown>
}

export interface HeldCalls {
  /** Creates a call; the caller sends it. */
  open(exchange: Exchange, binding: string): HeldCall
  /** Waits for the answer or a question. @returns the result, or `input_required`. */
  proceed(call: HeldCall, exchange: Exchange): Promise<Record<string, unknown>>
  /**
   * Finds the call that a retry belongs to.
   *
   * @returns undefined if the state is not ours. @throws RpcError if the call is no longer held, or the request differs.
   */
  resume(exchange: Exchange, binding: string): HeldCall | undefined
  readonly count: number
  close(): void
}

const HELD_MS = 600_000
const PER_PRINCIPAL = 16

interface Waiting {
  question: Question
  resolve(answer: Record<string, unknown>): void
  reject(error: RpcError): void
}

interface State {
  id: string
  binding: string
  principal: string
  questions: Map<string, Waiting>
  asked: number
  ring: PromiseWithResolvers<void>
  timer: NodeJS.Timeout | undefined
}

/** Hash of what a retry must repeat: caller, upstream, method, target and arguments. */
export function bindingOf(upstream: string, { caller, method }: Exchange, params: Record<string, unknown>): string {
  const { name, uri, arguments: args } = params
  const text = canonical([caller.principal, caller.clientId, upstream, method, name ?? uri ?? null, args ?? null])
  return createHash('sha256').update(text).digest('base64url')
}

export function openHeldCalls(deps: { now(): Date; sealKey: Uint8Array }): HeldCalls {
  const held = new Map<string, HeldCall>()
  const states = new WeakMap<HeldCall, State>()
  const perPrincipal = new Map<string, number>()

  function count(principal: string, step: 1 | -1): void {
    const next = (perPrincipal.get(principal) ?? 0) + step
    if (next > 0) perPrincipal.set(principal, next)
    else perPrincipal.delete(principal)
  }

  function release(state: State): void {
    if (!held.delete(state.id)) return
    clearTimeout(state.timer)
    count(state.principal, -1)
  }

  function hold(call: HeldCall, state: State): Record<string, unknown> {
    if ((perPrincipal.get(state.principal) ?? 0) >= PER_PRINCIPAL) {
      call.peerCall?.cancel({ reason: 'busy', detail: `${PER_PRINCIPAL} calls are already waiting for answers` })
      throw fail('busy', `${PER_PRINCIPAL} calls of this principal are already waiting for answers`)
    }
    call.exchange = undefined
    call.peerCall?.pause()
    held.set(state.id, call)
    count(state.principal, 1)
    const expiresAt = deps.now().getTime() + HELD_MS
    state.timer = setTimeout(() => {
      release(state)
      call.peerCall?.cancel({ reason: 'timeout', detail: 'the client did not answer in time' })
      // No client will retry it, but it is recorded.
      call.answer.then(
        answer => call.finish(answer, undefined),
        error => settleQuietly(() => call.finish(undefined, error)),
      )
    }, HELD_MS)
    const sealed = seal(deps.sealKey, JSON.stringify({ id: state.id, binding: state.binding, expiresAt }))
    return {
      resultType: 'input_required',
      inputRequests: Object.fromEntries([...state.questions].map(([key, { question }]) => [key, question])),
      requestState: sealed.toString('base64url'),
    }
  }

  return {
    open(exchange, binding) {
      const state: State = {
        id: randomUUID(),
        binding,
        principal: exchange.caller.principal,
        questions: new Map(),
        asked: 0,
        ring: Promise.withResolvers(),
        timer: undefined,
      }
      const call: HeldCall = {
        exchange,
        peerCall: undefined,
        ask(question, signal) {
          const key = `input-${++state.asked}`
          const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>()
          state.questions.set(key, { question, resolve, reject })
          signal.addEventListener('abort', () => state.questions.delete(key))
          state.ring.resolve()
          return promise
        },
        answer: Promise.reject(new Error('not started')),
        finish: () => ({}),
      }
      call.answer.catch(() => {})
      states.set(call, state)
      return call
    },
    async proceed(call, exchange) {
      const state = states.get(call)!
      const leave = () => call.peerCall?.cancel({ reason: 'cancelled', detail: 'the caller disconnected' })
      call.exchange = exchange
      if (exchange.signal.aborted) leave()
      exchange.signal.addEventListener('abort', leave)
      try {
        for (;;) {
          const done = await Promise.race([
            call.answer.then(answer => ({ answer })),
            state.ring.promise.then(() => undefined),
          ])
          if (done) return call.finish(done.answer, undefined)
          state.ring = Promise.withResolvers()
          // A question may have been withdrawn before it was delivered.
          if (state.questions.size > 0) return hold(call, state)
        }
      } catch (error) {
        return call.finish(undefined, error)
      } finally {
        exchange.signal.removeEventListener('abort', leave)
      }
    },
    resume(exchange, binding) {
      const state = openState(deps.sealKey, exchange.params.requestState)
      if (!state) return undefined
      const call = held.get(state.id)
      if (state.binding !== binding) throw new RpcError(INVALID_PARAMS, 'requestState belongs to another request')
      if (!call || state.expiresAt <= deps.now().getTime())
        throw new RpcError(INVALID_PARAMS, 'This request is no longer waiting for an answer; start it again')
      const mine = states.get(call)!
      const { inputResponses } = exchange.params
      release(mine)
      for (const [key, waiting] of mine.questions) {
        const response =
          isObject(inputResponses) && Object.hasOwn(inputResponses, key) ? inputResponses[key] : undefined
        if (!isObject(response)) continue
        mine.questions.delete(key)
        waiting.resolve(response)
      }
      if (mine.questions.size > 0) mine.ring.resolve()
      else call.peerCall?.resume()
      return call
    },
    get count() {
      return held.size
    },
    close() {
      for (const call of held.values()) {
        const state = states.get(call)!
        clearTimeout(state.timer)
        for (const { reject } of state.questions.values())
          reject(new RpcError(INTERNAL_ERROR, 'The server is stopping'))
      }
      held.clear()
    },
  }
}

function openState(key: Uint8Array, state: unknown): { id: string; binding: string; expiresAt: number } | undefined {
  if (typeof state !== 'string') return undefined
  try {
    return JSON.parse(unseal(key, Buffer.from(state, 'base64url')))
  } catch {
    return undefined // not sealed by us: the state of an upstream
  }
}

function settleQuietly(work: () => unknown): void {
  try {
    work()
  } catch (error) {
    // The error was meant for a client that did not return.
    if (!(error instanceof RpcError || error instanceof UpstreamFailure)) throw error
  }
}
