/**
 * Calls of 2026 clients to 2025 upstreams that wait for an answer from the client. The call to the upstream stays open
 * while the client gets `input_required`; its retry continues the call.
 */
import { randomUUID } from 'node:crypto'
import { fail, UpstreamFailure } from './connection.ts'
import type { Question } from './eras.ts'
import type { Exchange } from './exchange.ts'
import { INTERNAL_ERROR, isObject, METHOD_NOT_FOUND, RpcError } from './messages.ts'
import type { PeerAnswer, PeerCall } from './peer.ts'
import { answersQuestion } from './questions.ts'
import { ANSWER_MS, notWaiting, type RequestStates } from './request-state.ts'

export interface HeldCall {
  /** Receives progress and log messages; undefined while the client is away. */
  exchange: Exchange | undefined
  peerCall: PeerCall | undefined
  /** Asks the client. Resolves with the answer that its retry brings. */
  ask(question: Question, signal: AbortSignal): Promise<Record<string, unknown>>
  answer: Promise<PeerAnswer>
  /** Rejects the questions that are still open. Call it when the call has ended. */
  endQuestions(): void
  /** Records the call. @returns the result for the client, or throws the error. */
  finish(answer: PeerAnswer | undefined, error: unknown): Record<string, unknown>
}

export interface HeldCalls {
  /** Creates a call; the caller sends it. @param binding See `bindingOf`. */
  open(exchange: Exchange, binding: string): HeldCall
  /** Waits for the answer or a question. @returns the result, or `input_required`. */
  proceed(call: HeldCall, exchange: Exchange): Promise<Record<string, unknown>>
  /**
   * Finds the call that a retry belongs to, and delivers its answers. What is missing or malformed is asked for again.
   *
   * @throws RpcError if the call is no longer held.
   */
  resume(id: string, exchange: Exchange): HeldCall
  readonly count: number
  close(): void
}

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

export function openHeldCalls(requestStates: RequestStates): HeldCalls {
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
    state.timer = setTimeout(() => {
      release(state)
      call.peerCall?.cancel({ reason: 'timeout', detail: 'the client did not answer in time' })
      // No client will retry it, but it is recorded.
      call.answer.then(
        answer => call.finish(answer, undefined),
        error => settleQuietly(() => call.finish(undefined, error)),
      )
    }, ANSWER_MS)
    return {
      resultType: 'input_required',
      inputRequests: Object.fromEntries([...state.questions].map(([key, { question }]) => [key, question])),
      requestState: requestStates.seal(state.binding, { held: state.id }),
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
        endQuestions() {
          for (const { reject } of state.questions.values())
            reject(new RpcError(METHOD_NOT_FOUND, 'The client did not answer'))
          state.questions.clear()
        },
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
    resume(id, exchange) {
      const call = held.get(id)
      if (!call) throw notWaiting()
      const mine = states.get(call)!
      const { inputResponses } = exchange.params
      release(mine)
      for (const [key, waiting] of mine.questions) {
        const response =
          isObject(inputResponses) && Object.hasOwn(inputResponses, key) ? inputResponses[key] : undefined
        if (!answersQuestion(waiting.question, response)) continue
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

function settleQuietly(work: () => unknown): void {
  try {
    work()
  } catch (error) {
    // The error was meant for a client that did not return.
    if (!(error instanceof RpcError || error instanceof UpstreamFailure)) throw error
  }
}
