/** How `doctor` asks other servers. */
import { request, type Web } from '../lib/device-grant.ts'
import { UsageError } from '../lib/errors.ts'

export interface Answer {
  status: number
  headers: Headers
  /** Parsed JSON; undefined if the body is not JSON. */
  body: unknown
}

/** Sends a GET request, or with a `message` a POST of it as JSON. @returns `problem` if there is no answer. */
export type Ask = (
  url: URL | string,
  headers?: Record<string, string>,
  message?: object,
) => Promise<Answer | { problem: string }>

export function openAsk(web: Web): Ask {
  return async (url, headers = {}, message) => {
    try {
      const answer = await web(url, {
        ...(message && { method: 'POST', body: JSON.stringify(message) }),
        headers: {
          Accept: 'application/json, text/event-stream',
          ...(message && { 'Content-Type': 'application/json' }),
          ...headers,
        },
        redirect: 'manual',
      })
      const isJson = /json/.test(answer.headers.get('content-type') ?? '')
      const body = isJson ? await readJson(answer) : void (await answer.body?.cancel())
      return { status: answer.status, headers: answer.headers, body }
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
      return { problem: error.message }
    }
  }
}

/** @returns undefined if it is not JSON, or is cut off. @throws UsageError if it is too large. */
function readJson(answer: Response): Promise<unknown> {
  return answer.json().catch(error => {
    if (error instanceof UsageError) throw error
    return undefined
  })
}

/**
 * Requests in which a wrong certificate is no reason to stop: it is a finding of its own, and nothing secret is sent.
 *
 * @param timeoutMs For the whole exchange.
 */
export function trustingWeb(timeoutMs?: number): Web {
  return (url, init) => request(url, { ...init, tls: { rejectUnauthorized: false } } as RequestInit, timeoutMs)
}
