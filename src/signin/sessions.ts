/** Browser sessions: start, lookup and end. */
import {
  deleteSession,
  deleteSessionOfUser,
  deleteSessionsOfUsers,
  findSession,
  insertSession,
  listSessions,
  type OwnSession,
  sweepSessions,
  sweepSignInLinks,
} from '../../sql/sessions.ts'
import { record } from '../audit/events.ts'
import type { Base, Sweep } from '../base.ts'
import { readCookie, setCookie } from '../http/cookies.ts'
import { identify } from '../http/requests.ts'
import type { Viewer, Viewers } from '../http/session.ts'
import { hashSecret, isSecret, newSecret } from '../lib/crypto.ts'
import { AppError } from '../lib/errors.ts'

const COOKIE = 'session'
/** How long expired and used links are kept. */
const KEEP_LINKS_MS = 86_400_000

export function openViewers(base: Base): Viewers {
  const found = new WeakMap<Request, Promise<Viewer | undefined>>()
  return {
    find(request) {
      const viewer = found.get(request) ?? findViewer(base, request)
      found.set(request, viewer)
      return viewer
    },
  }
}

async function findViewer(base: Base, request: Request): Promise<Viewer | undefined> {
  const id = readCookie(base.config, request, COOKIE)
  if (!id || !isSecret('session', id)) return undefined
  const sessionHash = hashSecret(id)
  const session = await findSession(base.sql, sessionHash, base.now())
  if (!session) return undefined
  identify(request, { user: session.user_id })
  return {
    sessionHash,
    userId: session.user_id,
    email: session.email,
    name: session.name,
    isAdmin: session.is_admin,
    signedInAt: session.created_at,
  }
}

/**
 * Starts a session with a new id.
 *
 * @returns the Set-Cookie header value.
 * @throws AppError 403 if the user has just been disabled.
 */
export async function startSession(
  base: Base,
  { userId, ip, userAgent, how }: { userId: string; ip: string | null; userAgent: string | null; how: string },
): Promise<string> {
  const id = newSecret('session')
  const now = base.now()
  const expiresAt = new Date(now.getTime() + base.config.SESSION_TTL * 1000)
  const begun = await insertSession(base.sql, {
    idHash: hashSecret(id),
    userId,
    ip,
    userAgent: userAgent?.slice(0, 300) ?? null,
    now,
    expiresAt,
  })
  if (!begun)
    throw new AppError('You have no access to this server', 'Ask the operator of this server.', {
      status: 403,
      detail: 'the user was disabled while signing in',
    })
  record(base, 'user.signed_in', { userId, ip, detail: { how } })
  return setCookie(base.config, COOKIE, id, base.config.SESSION_TTL)
}

/** Ends the session on the server. @returns the Set-Cookie header value that clears the cookie. */
export async function endSession(base: Base, viewer: Viewer): Promise<string> {
  await deleteSession(base.sql, viewer.sessionHash)
  record(base, 'user.signed_out', { userId: viewer.userId })
  return withoutSession(base)
}

/** The Set-Cookie header value that forgets a session. */
export const withoutSession = ({ config }: Base): string => setCookie(config, COOKIE, '', 0)

/** The sessions of a user, newest first. */
export function sessionsOf({ sql, now }: Base, userId: string): Promise<OwnSession[]> {
  return listSessions(sql, userId, now())
}

/** Ends another session of a user. @returns whether there was one. */
export async function endOtherSession(base: Base, session: { idHash: Uint8Array; userId: string }): Promise<boolean> {
  const ended = await deleteSessionOfUser(base.sql, session)
  if (ended) record(base, 'user.signed_out', { userId: session.userId, detail: { elsewhere: true } })
  return ended
}

/** Ends all sessions of a user, but not their connections. @returns how many there were. */
export async function endSessionsOfUser(base: Base, userId: string): Promise<number> {
  const ended = await deleteSessionsOfUsers(base.sql, [userId])
  const browsers = ended.filter(({ expires_at }) => expires_at > base.now()).length
  if (browsers > 0) record(base, 'user.signed_out', { userId, detail: { elsewhere: true, browsers } })
  return browsers
}

/** Ends all sessions of the viewer's user. @returns as {@link endSession}. */
export async function endAllSessions(base: Base, viewer: Viewer): Promise<string> {
  await deleteSessionsOfUsers(base.sql, [viewer.userId])
  record(base, 'user.signed_out_everywhere', { userId: viewer.userId })
  return withoutSession(base)
}

export function signInSweeps({ sql }: Base): Sweep[] {
  return [
    (now, limit) => sweepSessions(sql, now, limit),
    (now, limit) => sweepSignInLinks(sql, new Date(now.getTime() - KEEP_LINKS_MS), limit),
  ]
}
