/**
 * The account page. `connections` has the user's connected apps, `upstreams` their accounts at upstream servers; `tokens`,
 * `passkeys`, `sessions` and `data` have pages of their own. This file has the page itself, and Sign out everywhere.
 */
import { Elysia } from 'elysia'
import { accountPage } from '../../views/account.tsx'
import type { Gateway } from '../gateway/exchange.ts'
import { textsOf } from '../http/language.ts'
import { noticeCookie } from '../http/notice.ts'
import { seeOther } from '../http/pages.ts'
import { readParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { csrfToken, requireCsrf, session } from '../http/session.ts'
import { page } from '../http/shell.ts'
import { listIdleConsents } from '../oauth/consents.ts'
import { revokeGrantsOfUser } from '../oauth/tokens.ts'
import { endAllSessions } from '../signin/sessions.ts'
import { type ConnectionsDeps, connectionProps, connections, labelOf } from './connections.ts'
import { data } from './data.ts'
import { passkeys } from './passkeys.ts'
import { permissionsOf } from './permissions.ts'
import { sessions } from './sessions.ts'
import { tokens } from './tokens.ts'
import { serversOf, unlinkToken, upstreamAccounts } from './upstreams.ts'

const END_ALL = 'end-everything'

type AccountDeps = ConnectionsDeps & {
  gateway: Gateway | undefined
  providers: ReadonlyMap<string, unknown>
}

export const account = (deps: AccountDeps) => {
  const accounts = deps.gateway?.accounts
  const app = new Elysia({ name: 'account' })
    .use(session(deps))
    .use(connections(deps))
    .use(passkeys(deps))
    .use(sessions(deps))
    .use(tokens(deps))
    .use(data(deps))
    .get(
      '/account',
      async ({ viewer, request }) => {
        const [connected, idle, servers] = await Promise.all([
          connectionProps(deps, viewer, request),
          listIdleConsents(deps, viewer.userId),
          serversOf(accounts, viewer),
        ])
        return page(deps, request, shell =>
          accountPage({
            ...connected,
            shell,
            signOutEverywhereCsrf: csrfToken(deps, viewer, END_ALL),
            servers,
            unlinkCsrf: unlinkToken(deps, viewer),
            remembered: idle.map(consent => ({
              client: labelOf(consent),
              clientId: consent.client_id,
              permissions: permissionsOf(deps, consent.scope),
            })),
          }),
        )
      },
      { signedIn: true, ...PAGE },
    )
    .post(
      '/account/signout-everywhere',
      async ({ request, server, viewer }) => {
        requireCsrf(deps, { request, server }, viewer, END_ALL, await readParams(request))
        // Sessions first, so that none of them can approve anything new.
        const cookie = await endAllSessions(deps, viewer)
        await revokeGrantsOfUser(deps, { userId: viewer.userId }, 'user')
        return seeOther('/', [cookie, noticeCookie(deps, textsOf(request).signedOutEverywhere)])
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
  return accounts ? app.use(upstreamAccounts(deps, accounts)) : app
}
