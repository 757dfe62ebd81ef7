/** Who is signed in, as pages ask it, and the CSRF tokens of their forms. The sessions themselves are in `signin/sessions`. */
import { Elysia } from 'elysia'
import type { Base } from '../base.ts'
import { hmac, sameBytes } from '../lib/crypto.ts'
import { AppError, SignInRequired } from '../lib/errors.ts'
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

/** Finds who is signed in. */
export interface Viewers {
  find(request: Request): Promise<Viewer | undefined>
}

/**
 * The guard of pages for signed-in users: `{ signedIn: true }` on a route gives it `viewer`. Anybody else goes to the
 * sign-in page, and from there to the page that was asked for, or where it was asked from.
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
  if (request.method !== 'GET') return '/auth/device'
  // Not through URL: it throws for what some put into the Host header.
  const query = request.url.indexOf('?')
  return path + (query < 0 ? '' : request.url.slice(query))
}

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
 * (plain http other than loopback, old browsers) Origin must be ours. A form can make its Origin `null`, so that is refused;
 * no Origin at all comes from programs and very old browsers, whom the form's token stops.
 */
export function requireSameSite(base: Base, request: Request): void {
  const site = request.headers.get('sec-fetch-site')
  const origin = request.headers.get('origin')
  if (site !== null ? site !== 'same-origin' : origin !== null && origin !== new URL(base.config.BASE_URL).origin) {
    throw forged(`a state change from another site (${site ?? 'by its Origin'})`)
  }
}

/** @param detail For the operator's log. */
export function forged(detail: string): AppError {
  return new AppError('This form has expired', 'Reload the page and send the form again. This needs cookies.', {
    status: 403,
    detail,
  })
}
