/** The page of a user's browser sessions. */
import { Elysia } from 'elysia'
import { z } from 'zod'
import { sessionsPage } from '../../views/sessions.tsx'
import { textsOf } from '../http/language.ts'
import { noticeCookie } from '../http/notice.ts'
import { seeOther } from '../http/pages.ts'
import { checkParams, readParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { csrfToken, requireCsrf, session } from '../http/session.ts'
import { type PageDeps, page } from '../http/shell.ts'
import { endOtherSession, sessionsOf } from '../signin/sessions.ts'
import { browserName } from './agents.ts'

const SESSIONS = 'sessions'
const endSchema = z.object({ id: z.string().regex(/^[A-Za-z0-9_-]{43}$/) })

export const sessions = (deps: PageDeps) =>
  new Elysia({ name: 'sessions' })
    .use(session(deps))
    .get(
      '/account/sessions',
      async ({ viewer, request }) => {
        const rows = await sessionsOf(deps, viewer.userId)
        return page(deps, request, shell =>
          sessionsPage({
            shell,
            csrf: csrfToken(deps, viewer, SESSIONS),
            sessions: rows.map(({ id_hash, user_agent, ip, created_at, expires_at }) => ({
              id: Buffer.from(id_hash).toString('base64url'),
              name: browserName(user_agent),
              ip: ip ?? '',
              signedInAt: created_at.toISOString(),
              endsAt: expires_at.toISOString(),
              isThis: viewer.sessionHash.equals(id_hash),
            })),
          }),
        )
      },
      { signedIn: true, ...PAGE },
    )
    .post(
      '/account/sessions/end',
      async ({ viewer, request, server }) => {
        const params = await readParams(request)
        requireCsrf(deps, { request, server }, viewer, SESSIONS, params)
        const { id } = checkParams(params, endSchema)
        const ended = await endOtherSession(deps, { idHash: Buffer.from(id, 'base64url'), userId: viewer.userId })
        const t = textsOf(request)
        const notice = ended ? t.browserSignedOut : t.browserAlreadyOut
        return seeOther('/account/sessions', [noticeCookie(deps, notice)])
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
