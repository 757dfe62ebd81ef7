/** Exporting everything that is stored about a user, and deleting the account. */
import { Elysia } from 'elysia'
import { z } from 'zod'
import { dataPage } from '../../views/data.tsx'
import { record } from '../audit/events.ts'
import type { Gateway } from '../gateway/exchange.ts'
import { clientAddress, type Handled } from '../http/client-address.ts'
import { textsOf } from '../http/language.ts'
import { noticeCookie } from '../http/notice.ts'
import { seeOther } from '../http/pages.ts'
import { checkParams, readParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { csrfToken, requireCsrf, session, signedInRecently, type Viewer, type Viewers } from '../http/session.ts'
import { page } from '../http/shell.ts'
import { SignInRequired } from '../lib/errors.ts'
import { countHit, LIMITS, requireUnlimited } from '../limits.ts'
import type { OAuthDeps } from '../oauth/deps.ts'
import { withoutSession } from '../signin/sessions.ts'
import { everythingAbout } from './everything.ts'
import { removeOwnAccount } from './removal.ts'
import { serversOf } from './upstreams.ts'

const DELETE = 'delete-account'
const WHERE = '/account/data'
const deleteSchema = z.object({ email: z.string().max(300).default('') })

type DataDeps = OAuthDeps & { viewers: Viewers; gateway: Gateway | undefined }
type Asked = Handled & { viewer: Viewer }

export const data = (deps: DataDeps) =>
  new Elysia({ name: 'account-data' })
    .use(session(deps))
    .get(WHERE, asked => showData(deps, asked), { signedIn: true, ...PAGE })
    .get(
      '/account/export',
      async ({ viewer, request, server }) => {
        requireUnlimited(deps.limits, deps.now(), LIMITS.exports, viewer.userId)
        countHit(deps.limits, deps.now(), LIMITS.exports, viewer.userId)
        const linked = await serversOf(deps.gateway?.accounts, viewer)
        const everything = await everythingAbout(deps, viewer, linked)
        const ip = clientAddress(deps, request, server)
        record(deps, 'user.exported', { userId: viewer.userId, ip, detail: { by: 'user' } })
        return new Response(JSON.stringify(everything, null, 2), {
          headers: {
            'Content-Type': 'application/json',
            'Content-Disposition': 'attachment; filename="account.json"',
            'Cache-Control': 'no-store',
          },
        })
      },
      { signedIn: true, ...PAGE },
    )
    // Where a form with a mistake leaves the browser's address.
    .get(`${WHERE}/delete`, () => seeOther(WHERE), { signedIn: true, ...PAGE })
    .post(`${WHERE}/delete`, asked => deleteAccount(deps, asked), { parse: 'none', signedIn: true, ...PAGE })

async function deleteAccount(deps: DataDeps, asked: Asked): Promise<Response> {
  const { request, viewer } = asked
  const params = await readParams(request)
  requireCsrf(deps, asked, viewer, DELETE, params)
  if (!signedInRecently(deps, viewer)) throw new SignInRequired(WHERE, true)
  const { email } = checkParams(params, deleteSchema)
  const t = textsOf(request)
  if (email.trim().toLowerCase() !== viewer.email.toLowerCase()) return showData(deps, asked, t.wrongAddress)
  if (!(await removeOwnAccount(deps, viewer))) return showData(deps, asked, t.onlyAdministrator)
  return seeOther('/', [withoutSession(deps), noticeCookie(deps, t.accountDeleted)])
}

function showData(deps: DataDeps, { viewer, request }: Asked, problem?: string): Promise<Response> {
  return page(
    deps,
    request,
    shell =>
      dataPage({
        shell,
        csrf: csrfToken(deps, viewer, DELETE),
        email: viewer.email,
        recent: signedInRecently(deps, viewer),
        auditDays: deps.config.AUDIT_RETENTION,
        problem,
      }),
    { status: problem === undefined ? 200 : 400 },
  )
}
