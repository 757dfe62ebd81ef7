/**
 * A request as the fixture tools and prompts see it, whatever SDK and era it came through. What needs an answer of the
 * client returns its questions and is run again with the answers, as in 2026-07-28; on SDK 1.x a loop sends them as
 * requests.
 */
import type { ElicitRequestFormParams, LoggingLevel } from '@modelcontextprotocol/server'

export interface Call {
  args: Record<string, unknown>
  /** What the client can answer: of this request in 2026-07-28, of the session before. */
  capabilities: { elicitation?: object | undefined; sampling?: object | undefined }
  /** The client's answers, by the key of the question; not validated. */
  answers: Record<string, unknown>
  /** What `ask` stored in the previous round, if the client returned it unchanged. */
  state: unknown
  /** `_meta` of the request. */
  meta: Record<string, unknown>
  /** The header of the HTTP request; null over stdio. */
  header(name: string): string | null
  log(level: LoggingLevel, data: string): Promise<void>
  /** Does nothing if the client did not ask for it. */
  progress(progress: number, total: number): Promise<void>
}

export type Question =
  | { method: 'elicitation/create'; params: ElicitRequestFormParams }
  | {
      method: 'sampling/createMessage'
      params: { messages: { role: 'user'; content: { type: 'text'; text: string } }[]; maxTokens: number }
    }
  | { method: 'roots/list'; params: Record<string, never> }

/** Questions to the client instead of a result. */
export interface Asked {
  ask: Record<string, Question>
  state?: unknown
}

export function isAsked<Result extends object>(outcome: Result | Asked): outcome is Asked {
  return 'ask' in outcome
}

/** The change notifications that clients get. */
export type Change = 'tools' | 'prompts' | 'watched resource'

export const text = (words: string) => ({ type: 'text' as const, text: words })

/** The content of an elicitation that the user accepted. */
export function accepted({ answers }: Call, key: string): Record<string, unknown> | undefined {
  const answer = answers[key] as { action?: unknown; content?: Record<string, unknown> } | undefined
  return answer?.action === 'accept' ? (answer.content ?? {}) : undefined
}

/** Whether the user declined; asking again would not help. */
export function refused({ answers }: Call, key: string): boolean {
  const action = (answers[key] as { action?: unknown } | undefined)?.action
  return action === 'decline' || action === 'cancel'
}
