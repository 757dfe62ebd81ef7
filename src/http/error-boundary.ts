/** The only place where an error becomes a response: vague on the wire, precise in the operator's log. */
import { Elysia, NotFoundError, ParseError } from 'elysia'
import { errorPage } from '../../views/error.tsx'
import { isOutage } from '../db/index.ts'
import type { Deps } from '../deps.ts'
import { AppError, OAuthError, SignInRequired } from '../lib/errors.ts'
import { page, seeOther, wantsJson } from './pages.ts'

export const errorBoundary = (deps: Deps) =>
  new Elysia({ name: 'error-boundary' }).onError({ as: 'global' }, async ({ error, request }) => {
    try {
      return await respondTo(deps, error, request)
    } catch (another) {
      // Past this point the runtime would answer, with a page of its own that shows source code.
      deps.log.error({ err: withoutQuery(another) }, 'an error could not be answered')
      return oauthJson('server_error', 'Something broke on our side', 500)
    }
  })

/** Seconds after which a client may try again while the database is away. */
const RETRY_AFTER = '5'

export function respondTo(deps: Deps, error: unknown, request: Request): Response | Promise<Response> {
  const path = URL.parse(request.url)?.pathname ?? '/'
  const log = (level: 'error' | 'info' | 'debug', detail: string | undefined, status: number) =>
    deps.log[level]({ method: request.method, path, status, detail }, 'request refused')

  if (error instanceof SignInRequired) {
    if (wantsJson(request)) return oauthJson('access_denied', 'Sign in first', 401)
    return seeOther(`/auth/signin?return_to=${encodeURIComponent(error.returnTo.toWellFormed())}`)
  }
  if (error instanceof OAuthError) {
    log(error.status >= 500 ? 'error' : 'debug', error.detail ?? error.description, error.status)
    if (isWebPath(path) && !wantsJson(request))
      return withHeaders(
        page(errorPage({ title: 'That did not work', advice: error.description }), error.status),
        error.headers,
      )
    return oauthJson(error.error, error.description, error.status, error.headers)
  }
  if (error instanceof AppError) {
    log('info', error.detail ?? error.title, error.status)
    if (wantsJson(request) || !isWebPath(path))
      return oauthJson(
        error.status === 403 ? 'access_denied' : 'invalid_request',
        error.title,
        error.status,
        error.headers,
      )
    return withHeaders(page(errorPage({ title: error.title, advice: error.advice }), error.status), error.headers)
  }
  if (error instanceof NotFoundError) {
    if (isWebPath(path) && !wantsJson(request)) {
      return page(
        errorPage({ title: 'There is no such page', advice: 'Check the address, or begin at the front page.' }),
        404,
      )
    }
    return Response.json({ error: 'not_found' }, { status: 404, headers: { 'Cache-Control': 'no-store' } })
  }
  if (error instanceof ParseError || error instanceof URIError || error instanceof RangeError) {
    log('info', error.message, 400)
    return oauthJson('invalid_request', 'The request is malformed', 400)
  }
  const headers = { 'Retry-After': RETRY_AFTER }
  if (isOutage(error)) {
    deps.log.error({ method: request.method, path, err: withoutQuery(error) }, 'the database is away')
    if (isWebPath(path) && !wantsJson(request)) {
      return withHeaders(
        page(
          errorPage({
            title: 'Back in a moment',
            advice: 'The server cannot reach its database. Try again in a few seconds.',
          }),
          503,
        ),
        headers,
      )
    }
    return oauthJson(
      'temporarily_unavailable',
      'The server cannot reach its database; try again in a few seconds',
      503,
      headers,
    )
  }
  deps.log.error({ method: request.method, path, err: withoutQuery(error) }, 'request failed')
  if (isWebPath(path) && !wantsJson(request)) {
    return page(
      errorPage({
        title: 'Something broke on our side',
        advice: 'It has been noted. Try again, or tell the operator of this server when it happened.',
      }),
      500,
    )
  }
  return oauthJson('server_error', 'Something broke on our side', 500)
}

function oauthJson(error: string, description: string, status: number, headers: Record<string, string> = {}): Response {
  return Response.json(
    { error, error_description: description },
    { status, headers: { 'Cache-Control': 'no-store', Pragma: 'no-cache', ...headers } },
  )
}

/** Where people look, rather than programs. The web routes under /api are forms of our own pages. */
function isWebPath(path: string): boolean {
  return (
    !/^\/(api|\.well-known|mcp|sse|messages|token|register|healthz|readyz|metrics)(\/|$)/.test(path) ||
    path === '/api/oauth/device/verify' ||
    path === '/api/oauth/device/authorize' ||
    path === '/api/oauth/authorize' ||
    path === '/api/oauth/authorize/decision'
  )
}

async function withHeaders(response: Response | Promise<Response>, headers: Record<string, string>): Promise<Response> {
  const answer = await response
  for (const [name, value] of Object.entries(headers)) answer.headers.set(name, value)
  return answer
}

/** A database error carries its statement and parameters; the log gets its kind only. */
function withoutQuery(error: unknown): { type: string; message: string; code: unknown; stack: string | undefined } {
  const { name, message, code, stack } = (error ?? {}) as Error & { code?: unknown }
  return { type: name, message, code, stack }
}
