/** Who is signed in: the session cookie, and the CSRF tokens that belong to it. */
import { Elysia } from 'elysia'
import { deleteSession, deleteSessionsOfUser, findSession, insertSession } from '../../sql/sessions.ts'
import { record } from '../audit.ts'
import type { Deps } from '../deps.ts'
import { hashSecret, hmac, isSecret, newSecret, sameBytes } from '../lib/crypto.ts'
import { AppError, SignInRequired } from '../lib/errors.ts'
import { readCookie, setCookie } from './cookies.ts'
import type { Params } from './params.ts'

const COOKIE = 'session'

/** The signed-in user of a request. */
export interface Viewer {
  sessionHash: Buffer
  userId: string
  email: string
  name: string
  isAdmin: boolean
  signedInAt: Date
}

export async function findViewer(deps: Deps, request: Request): Promise<Viewer | undefined> {
  const id = readCookie(deps.config, request, COOKIE)
  if (!id || !isSecret('session', id)) return undefined
  const sessionHash = hashSecret(id)
  const session = await findSession(deps.sql, sessionHash, deps.now())
  return (
    session && {
      sessionHash,
      userId: session.user_id,
      email: session.email,
      name: session.name,
      isAdmin: session.is_admin,
      signedInAt: session.created_at,
    }
  )
}

/**
 * The guard of pages for signed-in users: `{ signedIn: true }` on a route gives it `viewer`. Without a session a GET
 * goes to the sign-in page and comes back; anything else is refused.
 */
export const session = (deps: Deps) =>
  new Elysia({ name: 'session' }).macro({
    signedIn: {
      async resolve({ request, path }) {
        const viewer = await findViewer(deps, request)
        if (viewer) return { viewer }
        // Not through URL: it throws for what some put into the Host header.
        const query = request.url.indexOf('?')
        throw new SignInRequired(
          request.method === 'GET' ? path + (query < 0 ? '' : request.url.slice(query)) : '/auth/device',
        )
      },
    },
  })

/** Begins a session with a new id. @returns the Set-Cookie header's value. */
export async function startSession(
  deps: Deps,
  { userId, ip, userAgent, how }: { userId: string; ip: string | null; userAgent: string | null; how: string },
): Promise<string> {
  const id = newSecret('session')
  const now = deps.now()
  const expiresAt = new Date(now.getTime() + deps.config.SESSION_TTL * 1000)
  await insertSession(deps.sql, {
    idHash: hashSecret(id),
    userId,
    ip,
    userAgent: userAgent?.slice(0, 300) ?? null,
    now,
    expiresAt,
  })
  record(deps, 'user.signed_in', { userId, ip, detail: { how } })
  return setCookie(deps.config, COOKIE, id, deps.config.SESSION_TTL)
}

/** Ends the session on the server. @returns the Set-Cookie header's value that clears the cookie. */
export async function endSession(deps: Deps, viewer: Viewer): Promise<string> {
  await deleteSession(deps.sql, viewer.sessionHash)
  record(deps, 'user.signed_out', { userId: viewer.userId })
  return setCookie(deps.config, COOKIE, '', 0)
}

/** Ends all sessions of the viewer's user. @returns as {@link endSession}. */
export async function endAllSessions(deps: Deps, viewer: Viewer): Promise<string> {
  await deleteSessionsOfUser(deps.sql, viewer.userId)
  record(deps, 'user.signed_out_everywhere', { userId: viewer.userId })
  return setCookie(deps.config, COOKIE, '', 0)
}

/** The CSRF token of one interaction of one session; several tabs have several. */
export function csrfToken(deps: Deps, viewer: Viewer, interaction: string): string {
  return hmac(deps.secrets.csrf, `${viewer.sessionHash.toString('base64')} ${interaction}`).toString('base64url')
}

/**
 * Refuses a state change that one of our own pages did not ask for.
 *
 * @throws AppError 403 if it comes from another site or without the interaction's token.
 */
export function requireCsrf(deps: Deps, request: Request, viewer: Viewer, interaction: string, params: Params): void {
  requireSameSite(deps, request)
  const expected = Buffer.from(csrfToken(deps, viewer, interaction))
  if (!sameBytes(expected, Buffer.from(params.csrf ?? ''))) throw forged('a wrong CSRF token')
}

/**
 * The part of the check that needs no session. Browsers say in Sec-Fetch-Site where a request comes from; without it
 * (plain http other than loopback) Origin must be ours, where it is told (`no-referrer` makes it `null`).
 */
export function requireSameSite(deps: Deps, request: Request): void {
  const site = request.headers.get('sec-fetch-site')
  const origin = request.headers.get('origin')
  if (
    site !== null
      ? site !== 'same-origin'
      : origin !== null && origin !== 'null' && origin !== new URL(deps.config.BASE_URL).origin
  ) {
    throw forged(`a state change from another site (${site ?? 'by its Origin'})`)
  }
}

function forged(detail: string): AppError {
  return new AppError('This form is not ours', 'Go back to the page, reload it, and send the form again.', {
    status: 403,
    detail,
  })
}
