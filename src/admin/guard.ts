/** What every administrator's page shares: who may see it, what its forms need, and who acts in the audit log. */
import { Elysia, NotFoundError } from 'elysia'
import type { z } from 'zod'
import type { AdminFrame, Section } from '../../views/admin/frame.tsx'
import { actingAs } from '../audit/events.ts'
import type { CheckedUpstream } from '../gateway/check.ts'
import type { Gateway } from '../gateway/exchange.ts'
import { clientAddress, type Handled } from '../http/client-address.ts'
import { keepForm, keptForm, LOST } from '../http/kept-form.ts'
import { noticeCookie } from '../http/notice.ts'
import { seeOther } from '../http/pages.ts'
import { checkParams, queryParams, readParams } from '../http/params.ts'
import { csrfToken, requireCsrf, signedInRecently, type Viewer, type Viewers } from '../http/session.ts'
import { page } from '../http/shell.ts'
import { SignInRequired } from '../lib/errors.ts'
import type { OAuthDeps } from '../oauth/deps.ts'
import type { Setting } from '../settings.ts'
import { address } from './paging.ts'

export interface AdminDeps extends OAuthDeps {
  viewers: Viewers
  gateway: Gateway | undefined
  checkUpstream(name: string): Promise<CheckedUpstream | undefined>
  settings: readonly Setting[]
}

/** A request of an administrator. */
export type Asked = Handled & { viewer: Viewer }

/** `{ administrator: true }` on a route adds `viewer`; for other users there is no such page. */
export const administrators = ({ viewers }: AdminDeps) =>
  new Elysia({ name: 'administrators' }).macro({
    administrator: {
      async resolve({ request, path }) {
        const viewer = await viewers.find(request)
        if (!viewer) throw new SignInRequired(request.method === 'GET' ? path + queryOf(request) : '/admin')
        if (!viewer.isAdmin) throw new NotFoundError()
        return { viewer }
      },
    },
  })

function queryOf({ url }: Request): string {
  const at = url.indexOf('?')
  return at < 0 ? '' : url.slice(at)
}

const pathOf = (section: Section) => (section === 'overview' ? '/admin' : `/admin/${section}`)

const interactionOf = (section: Section) => `admin ${section}`

/** A page of a section. */
export function adminPage(
  deps: AdminDeps,
  { request, viewer }: Asked,
  section: Section,
  view: (frame: AdminFrame) => string | Promise<string>,
  status = 200,
): Promise<Response> {
  const csrf = csrfToken(deps, viewer, interactionOf(section))
  const recent = signedInRecently(deps, viewer)
  const here = pathOf(section) + (request.method === 'GET' ? queryOf(request) : '')
  const lost = request.method === 'GET' && queryParams(request).kept === LOST
  return page(deps, request, shell => view({ shell, section, here, csrf, recent, lost }), { status })
}

/** Back to a page, which says what has been done. */
export function backTo(deps: AdminDeps, location: string, notice: string): Response {
  return seeOther(location, [noticeCookie(deps, notice)])
}

/**
 * Reads a form of a section's pages.
 *
 * @param dangerous Whether it needs a recent sign-in, and the parameters of the page to return to after it. What was typed is
 *   kept, for {@link typedBefore}.
 * @throws AppError 403 if it is forged, SignInRequired if the sign-in is too long ago, OAuthError if it is invalid.
 */
export async function readForm<T extends z.ZodType>(
  deps: AdminDeps,
  asked: Asked,
  section: Section,
  schema: T,
  { dangerous }: { dangerous?: (form: z.output<T>) => Record<string, string> } = {},
): Promise<z.output<T>> {
  const params = await readParams(asked.request)
  requireCsrf(deps, asked, asked.viewer, interactionOf(section), params)
  const form = checkParams(params, schema)
  if (dangerous && !signedInRecently(deps, asked.viewer)) {
    const { csrf: _, ...fields } = params
    const kept = keepForm(deps, asked.viewer.userId, section, fields)
    throw new SignInRequired(address(pathOf(section), { ...dangerous(form), kept }), true)
  }
  return form
}

/** What was typed into a form of a section's pages before its administrator had to sign in again. */
export function typedBefore<T extends z.ZodType>(
  deps: AdminDeps,
  { request, viewer }: Asked,
  section: Section,
  schema: T,
): z.output<T> | undefined {
  if (request.method !== 'GET') return undefined
  return schema.safeParse(keptForm(deps, viewer.userId, section, queryParams(request).kept)).data
}

/** The same dependencies, with which every event that a service records names the administrator and their address. */
export function asAdministrator<T extends AdminDeps>(deps: T, { request, server, viewer }: Asked): T {
  return actingAs(deps, { administrator: viewer.userId }, clientAddress(deps, request, server))
}
