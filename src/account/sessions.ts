/** The page of a user's browser sessions, and the file with everything that is stored about them. */
import { Elysia } from 'elysia'
import { z } from 'zod'
import { sessionsPage } from '../../views/sessions.tsx'
import type { Gateway } from '../gateway/exchange.ts'
import { noticeCookie } from '../http/notice.ts'
import { seeOther } from '../http/pages.ts'
import { checkParams, readParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { csrfToken, requireCsrf, session, type Viewer, type Viewers } from '../http/session.ts'
import { page } from '../http/shell.ts'
import { listIdleConsents } from '../oauth/consents.ts'
import type { OAuthDeps } from '../oauth/deps.ts'
import { listPersonalTokens } from '../oauth/personal-tokens.ts'
import { listConnections } from '../oauth/tokens.ts'
import { listPasskeys } from '../signin/passkeys.ts'
import { endOtherSession, sessionsOf } from '../signin/sessions.ts'
import { browserName } from './agents.ts'
import { serversOf } from './upstreams.ts'

const SESSIONS = 'sessions'
const endSchema = z.object({ id: z.string().regex(/^[A-Za-z0-9_-]{43}$/) })

type SessionsDeps = OAuthDeps & { viewers: Viewers; gateway: Gateway | undefined }

export const sessions = (deps: SessionsDeps) =>
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
              browser: browserName(user_agent),
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
        const notice = ended ? 'That browser is signed out.' : 'That browser was already signed out.'
        return seeOther('/account/sessions', [noticeCookie(deps, notice)])
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
    .get(
      '/account/export',
      async ({ viewer }) =>
        new Response(JSON.stringify(await everythingAbout(deps, viewer), null, 2), {
          headers: {
            'Content-Type': 'application/json',
            'Content-Disposition': 'attachment; filename="account.json"',
            'Cache-Control': 'no-store',
          },
        }),
      { signedIn: true, ...PAGE },
    )

/** Everything that is stored about a user, without secrets and their hashes. */
async function everythingAbout(deps: SessionsDeps, viewer: Viewer) {
  const { userId } = viewer
  const [connections, remembered, tokens, passkeys, browsers, servers] = await Promise.all([
    listConnections(deps, userId),
    listIdleConsents(deps, userId),
    listPersonalTokens(deps, userId),
    listPasskeys(deps, userId),
    sessionsOf(deps, userId),
    serversOf(deps.gateway?.accounts, viewer),
  ])
  const { email, name, isAdmin } = viewer
  return {
    user: { id: userId, email, name, is_admin: isAdmin },
    connections,
    allowed_but_not_connected: remembered,
    personal_access_tokens: tokens.map(({ id, name, scope, resource, created_at, expires_at, used_at }) => ({
      id,
      name,
      scope,
      resource,
      created_at,
      expires_at,
      used_at,
    })),
    passkeys: passkeys.map(({ id, name, transports, backed_up, created_at, used_at }) => ({
      id,
      name,
      transports,
      backed_up,
      created_at,
      used_at,
    })),
    browser_sessions: browsers.map(({ id_hash: _, ...browser }) => browser),
    linked_accounts: servers,
  }
}
