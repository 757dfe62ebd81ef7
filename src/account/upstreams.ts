/** The pages where a user links and unlinks their account at an upstream server. The logic is in `gateway/accounts`. */
import { Elysia } from 'elysia'
import { onwardPage } from '../../views/signin.tsx'
import { fill } from '../../views/texts/index.ts'
import { linkedPage, linkPage, type ServerAccount } from '../../views/upstream-accounts.tsx'
import type { Base } from '../base.ts'
import type { LinkableServer, PersonAccounts } from '../gateway/accounts/types.ts'
import { clientAddress, type Handled } from '../http/client-address.ts'
import { textsOf } from '../http/language.ts'
import { noticeCookie } from '../http/notice.ts'
import { seeOther } from '../http/pages.ts'
import { queryParams, readParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { csrfToken, requireCsrf, session, type Viewer, type Viewers } from '../http/session.ts'
import { onward, page } from '../http/shell.ts'
import { AppError, SignInRequired } from '../lib/errors.ts'

const LINK = 'link-account'
const UNLINK = 'unlink-account'

export const unlinkToken = (base: Base, viewer: Viewer): string => csrfToken(base, viewer, UNLINK)

const personOf = ({ userId, email }: Viewer) => ({ id: userId, email })

const notYours = (email: string) =>
  new AppError(
    'This link is for somebody else',
    `You are signed in as ${email}, and it was made for another person. Nothing was linked. If you use both, sign out and open it again.`,
    { status: 403 },
  )

export async function serversOf(accounts: PersonAccounts | undefined, viewer: Viewer): Promise<ServerAccount[]> {
  return ((await accounts?.list(personOf(viewer))) ?? []).map(shown)
}

function shown({ account, linkedAt, usedAt, ...server }: LinkableServer): ServerAccount {
  return {
    ...server,
    account: account ?? undefined,
    linkedAt: linkedAt?.toISOString(),
    usedAt: usedAt?.toISOString(),
  }
}

export const upstreamAccounts = (deps: Base & { viewers: Viewers }, accounts: PersonAccounts) => {
  const traveller = ({ request, server }: Handled, { userId, sessionHash }: Viewer) => ({
    userId,
    sessionHash,
    ip: clientAddress(deps, request, server),
  })
  return new Elysia({ name: 'upstream-accounts' })
    .use(session(deps))
    .get('/.well-known/mcp-oauth-server/client.json', () =>
      Response.json(accounts.document(), { headers: { 'Cache-Control': 'public, max-age=300' } }),
    )
    .get(
      '/account/upstreams/:name',
      async ({ viewer, request, params: { name } }) => {
        const { email } = viewer
        const { for: tag, again } = queryParams(request)
        if (tag !== undefined && !accounts.isFor(personOf(viewer), tag)) throw notYours(email)
        const server = (await serversOf(accounts, viewer)).find(known => known.name === name)
        if (server?.state === 'linked' && again === undefined)
          return page(deps, request, shell => linkedPage({ shell, csrf: unlinkToken(deps, viewer), server }))
        const question = await accounts.question(personOf(viewer), name)
        return page(deps, request, shell =>
          linkPage({ ...question, shell, email, csrf: csrfToken(deps, viewer, LINK) }),
        )
      },
      { signedIn: true, ...PAGE },
    )
    .post(
      '/account/upstreams/:name/link',
      async ({ viewer, request, server, params: { name } }) => {
        const handled = { request, server }
        const form = await readParams(request)
        requireCsrf(deps, handled, viewer, LINK, form)
        if (form.decision === 'deny') return seeOther('/account')
        const { href, host } = await accounts.begin(personOf(viewer), traveller(handled, viewer), name)
        return onward(deps, request, shell => onwardPage({ shell, href, to: host }), href)
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
    .get(
      '/account/upstreams/:name/callback',
      async ({ request, server, params: { name } }) => {
        const viewer = await deps.viewers.find(request)
        // Do not return to this address: its parameters belong to the session that started the trip.
        if (!viewer) throw new SignInRequired('/account')
        const query = new URLSearchParams(request.url.split('?')[1] ?? '')
        await accounts.finish(personOf(viewer), traveller({ request, server }, viewer), name, query)
        return seeOther(`/account/upstreams/${encodeURIComponent(name)}`)
      },
      PAGE,
    )
    .post(
      '/account/upstreams/:name/unlink',
      async ({ viewer, request, server, params: { name } }) => {
        requireCsrf(deps, { request, server }, viewer, UNLINK, await readParams(request))
        await accounts.unlink(personOf(viewer), name, clientAddress(deps, request, server))
        return seeOther('/account', [noticeCookie(deps, fill(textsOf(request).unlinked, { name }))])
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
}
