/** The guard for pages of signed-in users, and CSRF tokens for their forms. Sessions are stored in `signin/sessions`. */

import { randomBytes } from 'node:crypto'
import { Elysia } from 'elysia'
import { recordRepeatable } from '../audit/events.ts'
import type { Base } from '../base.ts'
import { hmac, sameBytes } from '../lib/crypto.ts'
import { AppError, SignInRequired } from '../lib/errors.ts'
import { clientAddress, type Handled } from './client-address.ts'
import { isFragmentRequest } from './pages.ts'
import type { Params } from './params.ts'

/** The signed-in user of a request. */
export interface Viewer {
  sessionHash: Buffer
  userId: string
  email: string
  name: string
  isAdmin: boolean
  signedInAt: Date
}

/** Looks up the signed-in user of a request. */
export interface Viewers {
  find(request: Request): Promise<Viewer | undefined>
}

/**
 * The guard for signed-in users: `{ signedIn: true }` on a route adds `viewer` to its context. Anyone else is sent to the
 * sign-in page, and afterwards back to the requested page, or to the page that the htmx request came from.
 */
export const session = ({ viewers }: { viewers: Viewers }) =>
  new Elysia({ name: 'session' }).macro({
    signedIn: {
      async resolve({ request, path }) {
        const viewer = await viewers.find(request)
        if (viewer) return { viewer }
        throw new SignInRequired(returnPath(request, path))
      },
    },
  })

function returnPath(request: Request, path: string): string {
  if (isFragmentRequest(request)) return URL.parse(request.headers.get('hx-current-url') ?? '')?.pathname ?? '/account'
  if (request.method !== 'GET') return formPage(path)
  // Not with URL, which throws for some values of the Host header.
  const query = request.url.indexOf('?')
  return path + (query < 0 ? '' : request.url.slice(query))
}

/** The page of a form: `/account/tokens` for `/account/tokens/add`. */
function formPage(path: string): string {
  return path.startsWith('/account/') ? path.slice(0, path.lastIndexOf('/')) : '/auth/device'
}

/** How long after a sign-in its user may change who has which rights, add a way to sign in, and make tokens. */
const RECENT_MS = 30 * 60_000

export function signedInRecently({ now }: Base, { signedInAt }: Viewer): boolean {
  return now().getTime() - signedInAt.getTime() < RECENT_MS
}

/** The interaction of the sign-out form, which is on every page. */
export const SIGN_OUT = 'signout'

/** The CSRF token for one interaction in one session. */
export function csrfToken(base: Base, viewer: Viewer, interaction: string): string {
  return maskToken(tokenOf(base, viewer, interaction))
}

function tokenOf(base: Base, viewer: Viewer, interaction: string): Buffer {
  return hmac(base.secrets.csrf, `${viewer.sessionHash.toString('base64')} ${interaction}`)
}

/** A form's token differs each time, so that the size of compressed pages tells nothing about it (BREACH). */
export function maskToken(token: Buffer): string {
  const mask = randomBytes(token.length)
  return Buffer.concat([mask, xor(token, mask)]).toString('base64url')
}

/** Whether a form has this token, masked by {@link maskToken}. */
export function isMaskedToken(token: Buffer, given: string | undefined): boolean {
  const bytes = Buffer.from(given ?? '', 'base64url')
  if (bytes.length !== 2 * token.length) return false
  return sameBytes(token, xor(bytes.subarray(token.length), bytes.subarray(0, token.length)))
}

const xor = (one: Buffer, other: Buffer) => Buffer.from(one.map((byte, i) => byte ^ other[i]!))

/**
 * Refuses a state change that does not come from one of our own pages.
 *
 * @throws AppError 403 if it comes from another site or lacks the interaction's token.
 */
export function requireCsrf(base: Base, handled: Handled, viewer: Viewer, interaction: string, params: Params): void {
  requireSameSite(base, handled, viewer)
  if (!isMaskedToken(tokenOf(base, viewer, interaction), params.csrf))
    throw forged(base, handled, 'wrong CSRF token', viewer)
}

/**
 * The part of the check that needs no session. Browsers send Sec-Fetch-Site; without it (plain http other than loopback,
 * old browsers) Origin must be ours. `Origin: null` is refused, since a form can cause it; no Origin at all comes from
 * programs and very old browsers, for which the form's token is the protection.
 */
export function requireSameSite(base: Base, handled: Handled, viewer?: Viewer): void {
  const { headers } = handled.request
  const site = headers.get('sec-fetch-site')
  const origin = headers.get('origin')
  if (site !== null ? site !== 'same-origin' : origin !== null && origin !== new URL(base.config.BASE_URL).origin) {
    throw forged(base, handled, 'from another site', viewer)
  }
}

/** Records a forged form. @param reason For the audit log, one of a few. @returns the error to throw. */
export function forged(base: Base, { request, server }: Handled, reason: string, viewer?: Viewer): AppError {
  const ip = clientAddress(base, request, server)
  recordRepeatable(base, 'form.refused', { userId: viewer?.userId ?? null, ip, detail: { reason } }, reason)
  return new AppError(
    'This form has expired',
    'Go back, reload that page, and submit the form again, with cookies enabled.',
    {
      status: 403,
      detail: `a form was refused: ${reason}`,
    },
  )
}
