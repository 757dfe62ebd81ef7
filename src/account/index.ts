/**
 * The account page: a user sees and disconnects connected apps, withdraws remembered consent, and signs out everywhere;
 * `upstreams` has the user's accounts at upstream servers.
 */
import { Elysia } from 'elysia'
import { z } from 'zod'
import { accountPage, disconnected } from '../../views/account.tsx'
import type { Gateway } from '../gateway/exchange.ts'
import { noticeCookie } from '../http/notice.ts'
import { isFragmentRequest, seeOther } from '../http/pages.ts'
import { checkParams, readParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { csrfToken, requireCsrf, session, type Viewers } from '../http/session.ts'
import { page } from '../http/shell.ts'
import { clientLabel } from '../oauth/clients/names.ts'
import { listIdleConsents } from '../oauth/consents.ts'
import type { OAuthDeps } from '../oauth/deps.ts'
import { listConnections, revokeGrant, revokeGrantsOfUser } from '../oauth/tokens.ts'
import { endAllSessions } from '../signin/sessions.ts'
import { passkeys } from './passkeys.ts'
import { sessions } from './sessions.ts'
import { tokens } from './tokens.ts'
import { serversOf, unlinkToken, upstreamAccounts } from './upstreams.ts'

const END = 'end-connection'
const END_ALL = 'end-everything'
const FORGET = 'forget-consent'
/** Makes htmx replace the whole list, not only the card. */
const WHOLE_LIST = [
  ['HX-Retarget', '#connections'],
  ['HX-Reswap', 'innerHTML'],
] as const
const endSchema = z.object({ id: z.uuid(), csrf: z.string().optional() })
const forgetSchema = z.object({ client_id: z.string().max(500), csrf: z.string().optional() })

type AccountDeps = OAuthDeps & {
  viewers: Viewers
  gateway: Gateway | undefined
  providers: ReadonlyMap<string, unknown>
}

export const account = (deps: AccountDeps) => {
  const accounts = deps.gateway?.accounts
  const app = new Elysia({ name: 'account' })
    .use(session(deps))
    .use(passkeys(deps))
    .use(sessions(deps))
    .use(tokens(deps))
    .get(
      '/account',
      async ({ viewer, request }) => {
        const [connections, idle, servers] = await Promise.all([
          listConnections(deps, viewer.userId),
          listIdleConsents(deps, viewer.userId),
          serversOf(accounts, viewer),
        ])
        return page(deps, request, shell =>
          accountPage({
            shell,
            csrf: csrfToken(deps, viewer, END),
            signOutEverywhereCsrf: csrfToken(deps, viewer, END_ALL),
            connections: connections.map(connection => ({
              id: connection.id,
              client: clientLabel({
                id: connection.client_id,
                name: connection.client_name,
                source: connection.client_source,
              }),
              resource: connection.resource,
              permissions: connection.scope.map(deps.scopes.text),
              connectedAt: connection.created_at.toISOString(),
              usedAt: connection.used_at.toISOString(),
            })),
            servers,
            unlinkCsrf: unlinkToken(deps, viewer),
            forgetCsrf: csrfToken(deps, viewer, FORGET),
            remembered: idle.map(consent => ({
              client: clientLabel({ id: consent.client_id, name: consent.client_name, source: consent.client_source }),
              clientId: consent.client_id,
              permissions: consent.scope.map(deps.scopes.text),
            })),
          }),
        )
      },
      { signedIn: true, ...PAGE },
    )
    .post(
      '/account/disconnect',
      async ({ request, server, viewer }) => {
        const params = checkParams(await readParams(request), endSchema)
        requireCsrf(deps, { request, server }, viewer, END, params as Record<string, string>)
        const before = await listConnections(deps, viewer.userId)
        await revokeGrant(deps, { grantId: params.id, userId: viewer.userId, by: 'user' })
        const name = before.find(({ id }) => id === params.id)?.client_name
        // Even if it had already ended, the page shows what is left.
        if (!isFragmentRequest(request)) {
          const notice = name === undefined ? 'This connection had already ended.' : `Disconnected ${name}.`
          return seeOther('/account', [noticeCookie(deps, notice)])
        }
        const isLast = before.every(({ id }) => id === params.id)
        const response = await page(deps, request, () => disconnected({ name, isLast }))
        if (isLast) for (const [header, value] of WHOLE_LIST) response.headers.set(header, value)
        return response
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
    .post(
      '/account/forget',
      async ({ request, server, viewer }) => {
        const params = checkParams(await readParams(request), forgetSchema)
        requireCsrf(deps, { request, server }, viewer, FORGET, params as Record<string, string>)
        await revokeGrantsOfUser(deps, { userId: viewer.userId, clientId: params.client_id }, 'user')
        return seeOther('/account', [noticeCookie(deps, 'This app will ask you again before it connects.')])
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
    .post(
      '/account/signout-everywhere',
      async ({ request, server, viewer }) => {
        requireCsrf(deps, { request, server }, viewer, END_ALL, await readParams(request))
        // Sessions first, so that none of them can approve anything new.
        const cookie = await endAllSessions(deps, viewer)
        await revokeGrantsOfUser(deps, { userId: viewer.userId }, 'user')
        return seeOther('/', [
          cookie,
          noticeCookie(deps, 'You are signed out everywhere, and every app is disconnected.'),
        ])
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
  return accounts ? app.use(upstreamAccounts(deps, accounts)) : app
}
