/** Translates questions between eras: `inputRequests` of 2026 for 2025 clients, `-32042` of 2025 for 2026 clients. */
import type { Question } from './eras.ts'
import { INTERNAL_ERROR, isObject, RpcError } from './messages.ts'

/** Maximum number of questions in one round. */
const MOST = 32

/**
 * Asks a client all questions of an `input_required` result at once.
 *
 * @returns the params to add to the retry.
 * @throws RpcError if the client cannot be asked, or refuses.
 */
export async function answerQuestions(
  { inputRequests, requestState }: Record<string, unknown>,
  ask: (question: Question, signal: AbortSignal) => Promise<Record<string, unknown>>,
): Promise<Record<string, unknown>> {
  const questions = isObject(inputRequests) ? Object.entries(inputRequests) : []
  const state = typeof requestState === 'string' ? { requestState } : {}
  if (questions.length === 0 && requestState === undefined)
    throw new RpcError(INTERNAL_ERROR, 'The server requires input but asks no question')
  if (questions.length > MOST)
    throw new RpcError(INTERNAL_ERROR, `The server asked more than ${MOST} questions at once`)
  if (questions.length === 0) return state
  const withdrawn = new AbortController()
  try {
    const answers = await Promise.all(
      questions.map(async ([key, question]) => {
        if (!isQuestion(question)) throw new RpcError(INTERNAL_ERROR, 'The server asked an invalid question')
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

/** Whether a client's answer has the form that the question asks for; upstreams get nothing else. */
export function answersQuestion({ method }: Question, answer: unknown): answer is Record<string, unknown> {
  if (!isObject(answer)) return false
  if (method === 'elicitation/create')
    return ACTIONS.has(answer.action) && (answer.content === undefined || isObject(answer.content))
  if (method === 'roots/list')
    return Array.isArray(answer.roots) && answer.roots.every(root => isObject(root) && typeof root.uri === 'string')
  const { role, model, content } = answer
  return typeof role === 'string' && typeof model === 'string' && (isObject(content) || Array.isArray(content))
}

const ACTIONS: ReadonlySet<unknown> = new Set(['accept', 'decline', 'cancel'])

/** The pages of a `-32042` error as 2026 questions. @returns undefined if it names none. */
export function urlQuestions(data: unknown): Record<string, Question> | undefined {
  const elicitations = isObject(data) && Array.isArray(data.elicitations) ? data.elicitations : []
  const questions = elicitations.slice(0, MOST).flatMap((item: unknown, index): [string, Question][] => {
    if (!isObject(item) || typeof item.url !== 'string') return []
    const message = typeof item.message === 'string' ? item.message : ''
    return [[`url-${index + 1}`, { method: 'elicitation/create', params: { mode: 'url', message, url: item.url } }]]
  })
  return questions.length > 0 ? Object.fromEntries(questions) : undefined
}
