/** Users: who they are, and letting them in or out. What belongs to one of them is in `person`. */
import { Elysia } from 'elysia'
import { z } from 'zod'
import { linkPage, type UsersProps, usersPage } from '../../views/admin/users.tsx'
import { seeOther } from '../http/pages.ts'
import { queryParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { AppError } from '../lib/errors.ts'
import { LINK_MINUTES, usersAfter } from '../signin/service.ts'
import {
  type AdminDeps,
  type Asked,
  administrators,
  adminPage,
  asAdministrator,
  backTo,
  readForm,
  typedBefore,
} from './guard.ts'
import { address, placeAfter } from './paging.ts'
import { shownUser, showPerson } from './person.ts'
import { invite, isAddress, link, remove, stillAllowed, USER_CHANGES } from './user-changes.ts'

const LIMIT = 50
const CHANGES = { ...USER_CHANGES, remove }
type Change = keyof typeof CHANGES
const addSchema = z.object({
  email: z.string().max(300).default(''),
  admin: z.literal('yes').optional(),
  how: z.enum(['invite', 'link']),
})
const changeSchema = z.object({
  email: z.string().refine(isAddress),
  change: z.enum(Object.keys(CHANGES) as [Change]),
})

const SAID: Record<Change, (email: string) => string> = {
  promote: email => `${email} is an administrator now.`,
  demote: email => `${email} is no longer an administrator; their apps with the scope admin are disconnected.`,
  disable: email => `${email} is signed out everywhere and cannot sign in; their apps are disconnected.`,
  enable: email => `${email} can sign in again, and has to reconnect their apps.`,
  remove: email => `${email} is removed, with their connections, access tokens and linked accounts.`,
}

const ALLOWED =
  'But the configuration allows this address: they can sign in again, as a new user. To prevent that, disable them.'
const LISTED = ' But ADMIN_EMAILS lists them: the next start or sign-in makes them an administrator again.'

export const users = (deps: AdminDeps) =>
  new Elysia({ name: 'admin-users' })
    .use(administrators(deps))
    .get(
      '/admin/users',
      async asked => {
        const { id } = queryParams(asked.request)
        return id === undefined ? showUsers(deps, asked) : showPerson(deps, asked, id)
      },
      { administrator: true, ...PAGE },
    )
    // Where the form leaves the browser's address.
    .get('/admin/users/add', () => seeOther('/admin/users'), { administrator: true, ...PAGE })
    .post(
      '/admin/users/add',
      async asked => {
        const { email, admin, how } = await readForm(deps, asked, 'users', addSchema, { dangerous: () => ({}) })
        if (!isAddress(email))
          return showUsers(deps, asked, { email, isAdmin: admin === 'yes', problem: 'This is not an e-mail address.' })
        const acting = asAdministrator(deps, asked)
        if (how === 'invite') {
          if (await invite(acting, email, admin === 'yes'))
            return backTo(deps, '/admin/users', `${email} can sign in with a provider that has verified this address.`)
        } else {
          const created = await link(acting, email, admin === 'yes')
          if (created)
            return adminPage(deps, asked, 'users', frame =>
              linkPage({ frame, email, minutes: LINK_MINUTES, ...created }),
            )
        }
        return showUsers(deps, asked, {
          email,
          isAdmin: admin === 'yes',
          problem: `${email} is disabled; enable them first.`,
        })
      },
      { parse: 'none', administrator: true, ...PAGE },
    )
    .post(
      '/admin/users/change',
      async asked => {
        const { email, change } = await readForm(deps, asked, 'users', changeSchema, {
          dangerous: ({ email }) => ({ prefix: email }),
        })
        if (email.toLowerCase() === asked.viewer.email.toLowerCase())
          throw new AppError('You cannot change yourself here', 'Ask another administrator, or use the command line.', {
            status: 409,
          })
        const changed = await CHANGES[change](asAdministrator(deps, asked), email)
        if (changed.length === 0) return backTo(deps, '/admin/users', `There is no user ${email}.`)
        const listed = change === 'demote' && deps.config.ADMIN_EMAILS.includes(email.toLowerCase())
        const allowed = change === 'remove' && stillAllowed(deps.config, email)
        return backTo(deps, '/admin/users', SAID[change](email) + (listed ? LISTED : allowed ? ` ${ALLOWED}` : ''))
      },
      { parse: 'none', administrator: true, ...PAGE },
    )

async function showUsers(deps: AdminDeps, asked: Asked, again?: UsersProps['typed']): Promise<Response> {
  const before = typedBefore(deps, asked, 'users', addSchema)
  const kept = before && { email: before.email, isAdmin: before.admin === 'yes', problem: undefined }
  const typed = again ?? kept
  const { prefix = '', after } = asked.request.method === 'GET' ? queryParams(asked.request) : {}
  const found = await usersAfter(deps, { prefix, after: placeAfter(after), limit: LIMIT + 1 })
  const last = found.length > LIMIT ? found[LIMIT - 1] : undefined
  return adminPage(
    deps,
    asked,
    'users',
    frame =>
      usersPage({
        frame,
        users: found.slice(0, LIMIT).map(shownUser),
        viewerId: asked.viewer.userId,
        prefix,
        next: last && address('/admin/users', { prefix, after: `${last.id} ${last.email}` }),
        ...(typed ? { typed } : {}),
      }),
    typed?.problem ? 400 : 200,
  )
}
