/** The only place where an error becomes a response: vague on the wire, precise in the operator's log. */
import { Elysia, NotFoundError, ParseError } from 'elysia'
import { errorPage } from '../../views/error.tsx'
import { isAway, isOrphaned, isOutage } from '../db/index.ts'
import { after } from '../lib/after.ts'
import { AppError, DatabaseBusy, OAuthError, SignInRequired } from '../lib/errors.ts'
import { NO_STORE, noStoreJson } from './json.ts'
import { isFragmentRequest, openPage, wantsJson, wantsPage } from './pages.ts'
import { isCrossOrigin, requestId } from './requests.ts'
import { completeHeaders } from './response-headers.ts'
import type { Routes } from './routes.ts'
import { type PageDeps, page } from './shell.ts'

export type ErrorResponse = (
  error: unknown,
  request: Request,
  route: string | undefined,
) => Response | Promise<Response>

/** @returns what an error of a request to a route becomes. It throws nothing. */
export function openErrorResponse(deps: PageDeps, routes: Routes): ErrorResponse {
  const { log } = deps
  const json = openErrorJson(deps)
  const giveUp = (another: unknown) => {
    // Otherwise Bun would answer with its own page, which shows source code.
    log.error({ err: withoutQuery(another) }, 'could not render an error')
    return noStoreJson({ error: 'server_error', error_description: OUR_FAULT.title }, 500)
  }
  return (error, request, route) => {
    try {
      const { page: isPage, crossOrigin } = routes.traitsOf(route)
      const asPage = isPage ? !wantsJson(request) : error instanceof NotFoundError && wantsPage(request)
      const toJson = (answer: Answer) => json(answer, crossOrigin === 'known' && isCrossOrigin(request))
      const response = respondTo(deps, error, request, asPage ? undefined : toJson)
      return response instanceof Promise ? response.catch(giveUp) : response
    } catch (another) {
      return giveUp(another)
    }
  }
}

export const errorBoundary = (respond: ErrorResponse) =>
  new Elysia({ name: 'error-boundary' }).onError({ as: 'global' }, async ({ error, request, route, set }) => {
    set.status = 200 // what Elysia makes of the error counts for nothing; with any other status it copies the response
    return await respond(error, request, route)
  })

/** Makes htmx show an error as a full page instead of inside the current one. */
const WHOLE_PAGE = [
  ['HX-Retarget', 'body'],
  ['HX-Reswap', 'innerHTML'],
  ['HX-Reselect', 'body > *'],
] as const

/** Retry-After while the database is unavailable, in seconds. */
const RETRY_AFTER = '5'

/** A classified error: what to answer and what to log. */
interface Answer {
  status: number
  /** For programs (RFC 6749 5.2). */
  error: string
  description: string | undefined
  /** For people: what happened, and what to do next. */
  title: string
  advice: string
  headers?: Record<string, string>
  log?: LogLine
}

interface LogLine {
  level: 'error' | 'info' | 'debug'
  message: string
  detail: unknown
}

const OUR_FAULT = {
  title: 'Something went wrong on our side',
  advice: 'The error has been logged. Try again, or tell the operator of this server when it happened.',
}

const NO_PAGE = {
  title: 'There is no such page',
  advice: 'Check the address, or start from the front page.',
}

/** What the description of such an error, which is for programs, does not tell people. */
const FOR_PEOPLE: Readonly<Record<number, { title: string; advice?: string }>> = {
  405: NO_PAGE,
  413: { title: 'That is too large', advice: 'Go back, shorten what you entered, and try again.' },
  429: { title: 'Please wait' },
}

/** @param toJson Absent: as a page. */
function respondTo(
  deps: PageDeps,
  error: unknown,
  request: Request,
  toJson: ((answer: Answer) => Response) | undefined,
): Response | Promise<Response> {
  if (error instanceof SignInRequired && !wantsJson(request))
    return openPage(
      request,
      `/auth/signin?return_to=${encodeURIComponent(error.returnTo.toWellFormed())}${error.again ? '&again=1' : ''}`,
    )
  const answer = classify(error)
  if (answer.log) logAnswer(deps, request, answer.status, answer.log)
  const shown = toJson?.(answer) ?? errorPageOf(deps, request, answer)
  if (!isFragmentRequest(request)) return shown
  return after(shown, response => {
    for (const [name, value] of WHOLE_PAGE) response.headers.set(name, value)
    return response
  })
}

function logAnswer({ log, config }: PageDeps, request: Request, status: number, line: LogLine): void {
  // A refusal is as frequent as the requests, so it belongs to the access log.
  const level = line.level === 'info' && !config.ACCESS_LOG ? 'debug' : line.level
  if (!log.isLevelEnabled(level)) return
  const path = URL.parse(request.url)?.pathname ?? '/'
  log[level]({ request: requestId(request), method: request.method, path, status, detail: line.detail }, line.message)
}

function classify(error: unknown): Answer {
  if (error instanceof SignInRequired)
    return { status: 401, error: 'access_denied', description: 'Sign in first', title: 'Sign in first', advice: '' }
  if (error instanceof OAuthError) {
    const { status, description, detail = description, headers } = error
    const level = status >= 500 ? 'error' : 'debug'
    return {
      status,
      error: error.error,
      description,
      title: 'This request was refused',
      advice: description,
      ...FOR_PEOPLE[status],
      headers,
      log: { level, message: 'request refused', detail },
    }
  }
  if (error instanceof AppError) {
    const { status, title, advice, detail = title, headers } = error
    const code = status === 403 ? 'access_denied' : 'invalid_request'
    const log = { level: 'info' as const, message: 'request refused', detail }
    return { status, error: code, description: title, title, advice, headers, log }
  }
  if (error instanceof NotFoundError)
    return {
      status: 404,
      error: 'not_found',
      description: undefined,
      ...NO_PAGE,
    }
  if (error instanceof ParseError || error instanceof URIError || error instanceof RangeError)
    return {
      status: 400,
      error: 'invalid_request',
      description: 'The request is malformed',
      title: 'The request is malformed',
      advice: 'Go back and try again.',
      log: { level: 'info', message: 'request refused', detail: error.message },
    }
  if (isOrphaned(error))
    return {
      status: 400,
      error: 'invalid_request',
      description: 'The client or user of this request was removed in the meantime',
      title: 'This no longer exists',
      advice: 'It was removed in the meantime. Start again.',
      log: { level: 'info', message: 'request refused', detail: withoutQuery(error) },
    }
  if (error instanceof DatabaseBusy)
    return {
      status: 503,
      error: 'temporarily_unavailable',
      description: 'The server is overloaded; try again in a few seconds',
      title: 'Back in a moment',
      advice: 'The server is overloaded. Try again in a few seconds.',
      headers: { 'Retry-After': RETRY_AFTER },
      log: { level: 'error', message: 'too many queries are waiting for the database', detail: error.detail },
    }
  if (isOutage(error))
    return {
      status: 503,
      error: 'temporarily_unavailable',
      description: 'The server cannot reach its database; try again in a few seconds',
      title: 'Back in a moment',
      advice: 'The server cannot reach its database. Try again in a few seconds.',
      headers: { 'Retry-After': RETRY_AFTER },
      log: {
        level: 'error',
        message: isAway(error) ? 'the database is unavailable' : 'the database did not answer in time',
        detail: withoutQuery(error),
      },
    }
  return {
    status: 500,
    error: 'server_error',
    description: OUR_FAULT.title,
    ...OUR_FAULT,
    log: { level: 'error', message: 'request failed', detail: withoutQuery(error) },
  }
}

function openErrorJson({ config }: PageDeps) {
  const forKnownOrigins = completeHeaders(config, 'known', NO_STORE)
  return ({ status, error, description, headers }: Answer, isForKnownOrigins: boolean): Response => {
    const body = { error, error_description: description }
    if (!isForKnownOrigins) return noStoreJson(body, status, headers)
    const response = new Response(JSON.stringify(body), { status, headers: forKnownOrigins })
    for (const name in headers) response.headers.set(name, headers[name]!)
    return response
  }
}

/** Where somebody goes on after an error: to the same address in a moment, or to the start of what they were doing. */
function nextAfter(
  request: Request,
  status: number,
): { next: 'device' | 'signin' | undefined; retry: string | undefined } {
  const { pathname = '/', search = '' } = URL.parse(request.url) ?? {}
  const isSignIn = /^\/auth\/(signin|callback|passkey)\b/.test(pathname)
  if (status >= 500 || status === 429) {
    if (request.method === 'GET') return { next: undefined, retry: pathname.replace(/^\/+/, '/') + search }
    return { next: isSignIn ? 'signin' : undefined, retry: undefined }
  }
  const isDevice = /^\/(auth|api\/oauth)\/device\b/.test(pathname)
  const next = isDevice ? 'device' : isSignIn ? 'signin' : undefined
  return { next, retry: undefined }
}

async function errorPageOf(deps: PageDeps, request: Request, answer: Answer): Promise<Response> {
  const { status, title, advice, headers = {} } = answer
  const reference = status === 404 ? undefined : requestId(request)
  const response = await page(
    deps,
    request,
    shell => errorPage({ shell, status, title, advice, ...nextAfter(request, status), reference }),
    {
      status,
      // While the database is away, asking it who this is would take seconds.
      ...(status === 503 ? { known: { viewer: undefined } } : {}),
    },
  )
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value)
  return response
}

/** Strips an error for the log: a database error contains its statement and parameters. */
function withoutQuery(error: unknown): { type: string; message: string; code: unknown; stack: string | undefined } {
  const { name, message, code, stack } = (error ?? {}) as Error & { code?: unknown }
  return { type: name, message, code, stack }
}
