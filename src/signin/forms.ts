/**
 * Ties the forms of signing in to the browser that loaded them. Nobody is signed in yet, so that the token cannot belong to a
 * session; without it another site could sign a browser in as somebody else (login CSRF, RFC 6819 4.4.1.8).
 */
import { randomBytes } from 'node:crypto'
import type { Base } from '../base.ts'
import { readCookie, setCookie } from '../http/cookies.ts'
import type { Params } from '../http/params.ts'
import { forged, requireSameSite } from '../http/session.ts'
import { hmac, sameBytes } from '../lib/crypto.ts'

const COOKIE = 'browser'
/** Seconds, counted from the last page with such a form: it may stay open as long. */
const COOKIE_AGE = 86_400

/** What a page with such a form needs: the token of its hidden field, and the Set-Cookie header's value that belongs to it. */
export function formToken(base: Base, request: Request): { csrf: string; cookie: string } {
  // The same for all tabs of a browser, so that they do not break each other.
  const browser = browserOf(base, request) ?? randomBytes(32).toString('base64url')
  return { csrf: tokenFor(base, browser), cookie: setCookie(base.config, COOKIE, browser, COOKIE_AGE) }
}

/** @throws AppError 403 if the form was not loaded by this browser from this server. */
export function requireOwnForm(base: Base, request: Request, params: Params): void {
  requireSameSite(base, request)
  const browser = browserOf(base, request)
  if (!browser) throw forged('a form of signing in without its cookie')
  if (!sameBytes(Buffer.from(tokenFor(base, browser)), Buffer.from(params.csrf ?? '')))
    throw forged('a form of signing in with a wrong CSRF token')
}

function browserOf(base: Base, request: Request): string | undefined {
  const value = readCookie(base.config, request, COOKIE)
  return value !== undefined && /^[A-Za-z0-9_-]{43}$/.test(value) ? value : undefined
}

function tokenFor(base: Base, browser: string): string {
  return hmac(base.secrets.csrf, `browser ${browser}`).toString('base64url')
}
