/** Questions in the shape of 2026 (`inputRequests`), for clients of 2025, and of 2025 (`-32042`), for clients of 2026. */
import type { Question } from './eras.ts'
import { INTERNAL_ERROR, isObject, RpcError } from './messages.ts'

/** Questions of one round; more are not a conversation. */
const MOST = 32

/**
 * Puts the questions of an `input_required` result to a client, all at once.
 *
 * @returns what the retry adds to its params.
 * @throws RpcError if the client cannot be asked, or refuses.
 */
export async function answerQuestions(
  { inputRequests, requestState }: Record<string, unknown>,
  ask: (question: Question, signal: AbortSignal) => Promise<Record<string, unknown>>,
): Promise<Record<string, unknown>> {
  const questions = isObject(inputRequests) ? Object.entries(inputRequests) : []
  const state = typeof requestState === 'string' ? { requestState } : {}
  if (questions.length === 0 && requestState === undefined)
    throw new RpcError(INTERNAL_ERROR, 'The server asks for nothing, and does not answer')
  if (questions.length > MOST) throw new RpcError(INTERNAL_ERROR, `The server asks more than ${MOST} questions at once`)
  if (questions.length === 0) return state
  const withdrawn = new AbortController()
  try {
    const answers = await Promise.all(
      questions.map(async ([key, question]) => {
        if (!isQuestion(question)) throw new RpcError(INTERNAL_ERROR, 'The server asks something that is not MCP')
        return [key, await ask(question, withdrawn.signal)] as const
      }),
    )
    return { inputResponses: Object.fromEntries(answers), ...state }
  } catch (error) {
    withdrawn.abort()
    throw error
  }
}

export function isQuestion(value: unknown): value is Question {
  return isObject(value) && typeof value.method === 'string' && (value.params === undefined || isObject(value.params))
}

/** The pages of a `-32042` error as questions of 2026. @returns nothing if it names none. */
export function urlQuestions(data: unknown): Record<string, Question> | undefined {
  const elicitations = isObject(data) && Array.isArray(data.elicitations) ? data.elicitations : []
  const questions = elicitations.slice(0, MOST).flatMap((item: unknown, index): [string, Question][] => {
    if (!isObject(item) || typeof item.url !== 'string') return []
    const message = typeof item.message === 'string' ? item.message : ''
    return [[`url-${index + 1}`, { method: 'elicitation/create', params: { mode: 'url', message, url: item.url } }]]
  })
  return questions.length > 0 ? Object.fromEntries(questions) : undefined
}
