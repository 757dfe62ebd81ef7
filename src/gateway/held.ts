/**
 * Calls of 2026 clients at 2025 upstreams that wait for an answer of the client's: the upstream's call stays open while
 * the client is told `input_required`, and its retry goes on with it. What the client carries meanwhile is sealed.
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
  /** Whom progress and log messages go to; nothing while the client thinks. */
  exchange: Exchange | undefined
  peerCall: PeerCall | undefined
  /** Asks the client. Resolves with its answer, at a retry. */
  ask(question: Question, signal: AbortSignal): Promise<Record<string, unknown>>
  /** The upstream's answer, whenever it comes. */
  answer: Promise<PeerAnswer>
  /** What its audit record needs: when it began, and what else its owner keeps. */
  finish(answer: PeerAnswer | undefined, error: unknown): Record<string, unknown>
}

export interface HeldCalls {
  /** A new call; `start` sends it. */
  open(exchange: Exchange, binding: string): HeldCall
  /** Waits for the answer or a question. @returns the result, or `input_required`. */
  proceed(call: HeldCall, exchange: Exchange): Promise<Record<string, unknown>>
  /**
   * The call that a retry belongs to.
   *
   * @returns nothing if the state is not ours. @throws RpcError if the call is not held (any more) or is another one.
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

/** What a retry must repeat: who, where, what, and with which arguments. */
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
      call.peerCall?.cancel({ reason: 'busy', detail: `${PER_PRINCIPAL} calls wait for answers already` })
      throw fail('busy', `${PER_PRINCIPAL} calls of this principal wait for answers already`)
    }
    call.exchange = undefined
    call.peerCall?.pause()
    held.set(state.id, call)
    count(state.principal, 1)
    const expiresAt = deps.now().getTime() + HELD_MS
    state.timer = setTimeout(() => {
      release(state)
      call.peerCall?.cancel({ reason: 'timeout', detail: 'the client did not answer in time' })
      // Nobody comes back for it; it is recorded all the same.
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
      const leave = () => call.peerCall?.cancel({ reason: 'cancelled', detail: 'the caller has left' })
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
          // A question may have been withdrawn before anybody saw it.
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
        throw new RpcError(INVALID_PARAMS, 'This request is not waiting for an answer any more; start it again')
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
        for (const { reject } of state.questions.values()) reject(new RpcError(INTERNAL_ERROR, 'The server stops'))
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
    return undefined // sealed by somebody else, or not at all: an upstream's own
  }
}

function settleQuietly(work: () => unknown): void {
  try {
    work()
  } catch (error) {
    // It is the answer to a client that did not come back.
    if (!(error instanceof RpcError || error instanceof UpstreamFailure)) throw error
  }
}
