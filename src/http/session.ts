/** Who is signed in, as pages ask it, and the CSRF tokens of their forms. The sessions themselves are in `signin/sessions`. */
import { Elysia } from 'elysia'
import type { Base } from '../base.ts'
import { hmac, sameBytes } from '../lib/crypto.ts'
import { AppError, SignInRequired } from '../lib/errors.ts'
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

/** Finds who is signed in. */
export interface Viewers {
  find(request: Request): Promise<Viewer | undefined>
}

/**
 * The guard of pages for signed-in users: `{ signedIn: true }` on a route gives it `viewer`. Without a session a GET
 * goes to the sign-in page and comes back; anything else is refused.
 */
export const session = ({ viewers }: { viewers: Viewers }) =>
  new Elysia({ name: 'session' }).macro({
    signedIn: {
      async resolve({ request, path }) {
        const viewer = await viewers.find(request)
        if (viewer) return { viewer }
        // Not through URL: it throws for what some put into the Host header.
        const query = request.url.indexOf('?')
        throw new SignInRequired(
          request.method === 'GET' ? path + (query < 0 ? '' : request.url.slice(query)) : '/auth/device',
        )
      },
    },
  })

/** The CSRF token of one interaction of one session; several tabs have several. */
export function csrfToken(base: Base, viewer: Viewer, interaction: string): string {
  return hmac(base.secrets.csrf, `${viewer.sessionHash.toString('base64')} ${interaction}`).toString('base64url')
}

/**
 * Refuses a state change that one of our own pages did not ask for.
 *
 * @throws AppError 403 if it comes from another site or without the interaction's token.
 */
export function requireCsrf(base: Base, request: Request, viewer: Viewer, interaction: string, params: Params): void {
  requireSameSite(base, request)
  const expected = Buffer.from(csrfToken(base, viewer, interaction))
  if (!sameBytes(expected, Buffer.from(params.csrf ?? ''))) throw forged('a wrong CSRF token')
}

/**
 * The part of the check that needs no session. Browsers say in Sec-Fetch-Site where a request comes from; without it
 * (plain http other than loopback) Origin must be ours, where it is told (`no-referrer` makes it `null`).
 */
export function requireSameSite(base: Base, request: Request): void {
  const site = request.headers.get('sec-fetch-site')
  const origin = request.headers.get('origin')
  if (
    site !== null
      ? site !== 'same-origin'
      : origin !== null && origin !== 'null' && origin !== new URL(base.config.BASE_URL).origin
  ) {
    throw forged(`a state change from another site (${site ?? 'by its Origin'})`)
  }
}

function forged(detail: string): AppError {
  return new AppError('This form has expired', 'Reload the page, and send the form again.', {
    status: 403,
    detail,
  })
}
