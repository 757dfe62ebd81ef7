/**
 * CSRF tokens for the sign-in forms, bound to the browser by a cookie, since there is no session yet. Without them another
 * site could sign a browser in as a different user (login CSRF, RFC 6819 4.4.1.8).
 */
import { randomBytes } from 'node:crypto'
import type { Base } from '../base.ts'
import type { Handled } from '../http/client-address.ts'
import { readCookie, setCookie } from '../http/cookies.ts'
import type { Params } from '../http/params.ts'
import { forged, isMaskedToken, maskToken, requireSameSite } from '../http/session.ts'
import { hmac } from '../lib/crypto.ts'

const COOKIE = 'browser'
/** Seconds since the last page with such a form was loaded, for which it may stay open. */
const COOKIE_AGE = 86_400

/** The token for the form's hidden field, and the matching Set-Cookie header value. */
export function formToken(base: Base, request: Request): { csrf: string; cookie: string } {
  // Shared by all tabs of a browser, so that they do not invalidate each other's forms.
  const browser = browserOf(base, request) ?? randomBytes(32).toString('base64url')
  return { csrf: maskToken(tokenFor(base, browser)), cookie: setCookie(base.config, COOKIE, browser, COOKIE_AGE) }
}

/** @throws AppError 403 if the form was not loaded by this browser from this server. */
export function requireOwnForm(base: Base, handled: Handled, params: Params): void {
  requireSameSite(base, handled)
  const browser = browserOf(base, handled.request)
  if (!browser) throw forged(base, handled, 'no cookie')
  if (!isMaskedToken(tokenFor(base, browser), params.csrf)) throw forged(base, handled, 'wrong CSRF token')
}

function browserOf(base: Base, request: Request): string | undefined {
  const value = readCookie(base.config, request, COOKIE)
  return value !== undefined && /^[A-Za-z0-9_-]{43}$/.test(value) ? value : undefined
}

function tokenFor(base: Base, browser: string): Buffer {
  return hmac(base.secrets.csrf, `browser ${browser}`)
}
