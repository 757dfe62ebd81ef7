/** Requests to the server under test, and words for its answers that hold no secret. */

export interface Answer {
  url: string
  status: number
  headers: Headers
  /** Whatever the content type says: that has requirements of its own. */
  json: Record<string, unknown> | undefined
}

const TIMEOUT_MS = 15_000

/** All checks run together; with all their requests at once they would find out how a server copes with load. */
const inTurn = atMost(8)

/** Redirects are not followed. @throws Error if no answer comes. */
export function send(url: string, init: RequestInit = {}): Promise<Answer> {
  return inTurn(async () => {
    const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS), ...init })
    return { url, status: response.status, headers: response.headers, json: parseObject(await response.text()) }
  })
}

/** Runs so many pieces of work at once; the others wait for their turn. */
export function atMost(count: number): <T>(work: () => Promise<T>) => Promise<T> {
  let free = count
  const waiting: (() => void)[] = []
  return async work => {
    if (free > 0) free--
    else await new Promise<void>(resolve => waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }
}

export function sendJson(url: string, body: unknown, init: RequestInit = {}): Promise<Answer> {
  const headers = { 'Content-Type': 'application/json', Accept: 'application/json', ...(init.headers as object) }
  return send(url, { method: 'POST', ...init, headers, body: JSON.stringify(body) })
}

/** Follows redirects of a page as a browser without cookies. */
export async function visit(url: string): Promise<Answer> {
  let answer = await send(url, { headers: { Accept: 'text/html' } })
  for (let hops = 0; hops < 5 && answer.status >= 300 && answer.status < 400; hops++) {
    answer = await send(new URL(answer.headers.get('location') ?? '', answer.url).href, {
      headers: { Accept: 'text/html' },
    })
  }
  return answer
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}

/** The error code, if it looks like one: anything else could be an echo of what was sent. */
export function errorOf(answer: Answer): string {
  const error = answer.json?.error
  if (error === undefined) return 'no error code'
  return typeof error === 'string' && /^[a-z_]{1,40}$/.test(error) ? error : 'an error that is no code'
}

/** Status, and what kind of body. */
export function describe(answer: Answer): string {
  if (answer.status < 400 && answer.json?.error === undefined) return `${answer.status} with ${bodyOf(answer)}`
  return `${answer.status} ${errorOf(answer)}`
}

function bodyOf(answer: Answer): string {
  if (!answer.json) return 'no JSON object'
  const names = Object.keys(answer.json).filter(name => /^[a-z_]{1,40}$/.test(name))
  return names.length ? names.slice(0, 12).join(', ') : 'an empty object'
}

export function isJson(answer: Answer): boolean {
  return /^application\/json\s*(;|$)/i.test(answer.headers.get('content-type') ?? '')
}

/** The media type alone, as it may hold anything. */
export function mediaType(answer: Answer): string {
  return /^[\w.+-]+\/[\w.+-]+/.exec(answer.headers.get('content-type') ?? '')?.[0] ?? 'none'
}

export function isNotStored(answer: Answer): boolean {
  return /(^|[\s,])no-store($|[\s,])/i.test(answer.headers.get('cache-control') ?? '')
}

export function isLoopback(url: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(url).hostname)
}
