/** One user: the browsers they are signed in with, their passkeys, tokens and linked accounts, and ending each. */
import { Elysia } from 'elysia'
import { z } from 'zod'
import { listUpstreamAccounts } from '../../sql/upstream-accounts.ts'
import { findUserById, type UserRow } from '../../sql/users.ts'
import { type PersonProps, personPage } from '../../views/admin/person.tsx'
import type { UserView } from '../../views/admin/users.tsx'
import { nameOf } from '../../views/sessions.tsx'
import { TEXTS } from '../../views/texts/index.ts'
import { browserName } from '../account/agents.ts'
import { queryParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { AppError } from '../lib/errors.ts'
import { printableText } from '../lib/text.ts'
import { listPersonalTokens, revokePersonalToken } from '../oauth/personal-tokens.ts'
import { listPasskeys, removePasskey } from '../signin/passkeys.ts'
import { endOtherSession, endSessionsOfUser, sessionsOf } from '../signin/sessions.ts'
import { type AdminDeps, type Asked, administrators, adminPage, asAdministrator, backTo, readForm } from './guard.ts'
import { address, USER_IDS } from './paging.ts'
import { exportUser } from './user-export.ts'

const personSchema = z.object({ user: z.uuid() })
const sessionSchema = personSchema.extend({ id: z.string().regex(/^[A-Za-z0-9_-]{43}$/) })
const tokenSchema = personSchema.extend({ id: z.uuid() })
const passkeySchema = personSchema.extend({ id: z.string().max(1400) })

type PersonDeps = AdminDeps & { providers: ReadonlyMap<string, unknown> }

const pageOf = (user: string) => address('/admin/users', { id: user })
/** To return to the person's page after a new sign-in. */
const dangerous = ({ user }: { user: string }) => ({ id: user })

export const person = (deps: PersonDeps) => {
  const form = { parse: 'none', administrator: true, ...PAGE } as const
  return new Elysia({ name: 'admin-person' })
    .use(administrators(deps))
    .get('/admin/users/export', asked => exportOne(deps, asked), { administrator: true, ...PAGE })
    .post(
      '/admin/users/end-session',
      async asked => {
        const { user, id } = await readForm(deps, asked, 'users', sessionSchema)
        const session = { userId: user, idHash: Buffer.from(id, 'base64url') }
        const ended = await endOtherSession(asAdministrator(deps, asked), session)
        return backTo(deps, pageOf(user), ended ? 'The browser is signed out.' : 'This browser was signed out already.')
      },
      form,
    )
    .post(
      '/admin/users/end-sessions',
      async asked => {
        const { user } = await readForm(deps, asked, 'users', personSchema, { dangerous })
        const count = await endSessionsOfUser(asAdministrator(deps, asked), user)
        return backTo(deps, pageOf(user), `Signed out of ${count === 1 ? 'one browser' : `${count} browsers`}.`)
      },
      form,
    )
    .post(
      '/admin/users/revoke-token',
      async asked => {
        const { user, id } = await readForm(deps, asked, 'users', tokenSchema)
        const revoked = await revokePersonalToken(asAdministrator(deps, asked), { id, userId: user, by: 'operator' })
        return backTo(deps, pageOf(user), revoked ? 'The token no longer works.' : 'This token had already ended.')
      },
      form,
    )
    .post(
      '/admin/users/remove-passkey',
      async asked => {
        const { user, id } = await readForm(deps, asked, 'users', passkeySchema, { dangerous })
        const hasProviders = deps.providers.size > 0
        const name = await removePasskey(asAdministrator(deps, asked), { id, userId: user, hasProviders })
        return backTo(
          deps,
          pageOf(user),
          name === undefined
            ? 'Nothing was removed: it is gone, or it is the only way in which they can sign in.'
            : `The passkey ${name} is removed.`,
        )
      },
      form,
    )
}

/** @throws AppError 404 if there is no such user. */
async function findPerson({ sql }: AdminDeps, id: string | undefined): Promise<UserRow> {
  const user = id !== undefined && new RegExp(`^${USER_IDS}$`).test(id) ? await findUserById(sql, id) : undefined
  if (!user)
    throw new AppError('There is no such user', 'The page of users lists those that there are.', { status: 404 })
  return user
}

async function exportOne(deps: AdminDeps, asked: Asked): Promise<Response> {
  const user = await findPerson(deps, queryParams(asked.request).id)
  return new Response(JSON.stringify(await exportUser(asAdministrator(deps, asked), user), null, 2), {
    headers: {
      'Content-Type': 'application/json',
      'Content-Disposition': 'attachment; filename="user.json"',
      'Cache-Control': 'no-store',
    },
  })
}

/** The page of one user. @throws AppError 404 if there is no such user. */
export async function showPerson(deps: AdminDeps, asked: Asked, id: string): Promise<Response> {
  const user = await findPerson(deps, id)
  const [sessions, tokens, passkeys, accounts] = await Promise.all([
    sessionsOf(deps, user.id),
    listPersonalTokens(deps, user.id),
    listPasskeys(deps, user.id),
    listUpstreamAccounts(deps.sql, user.id),
  ])
  const props: Omit<PersonProps, 'frame'> = {
    user: shownUser(user),
    sessions: sessions.map(({ id_hash, user_agent, ip, created_at, expires_at }) => ({
      id: Buffer.from(id_hash).toString('base64url'),
      name: nameOf(browserName(user_agent), TEXTS.en),
      ip: ip ?? 'an unknown address',
      signedInAt: created_at.toISOString(),
      endsAt: expires_at.toISOString(),
      isThis: asked.viewer.sessionHash.equals(id_hash),
    })),
    passkeys: passkeys.map(({ id, name, created_at, used_at }) => ({
      ...{ id, name },
      addedAt: created_at.toISOString(),
      usedAt: used_at?.toISOString(),
    })),
    tokens: tokens.map(({ id, name, scope, resource, expires_at, used_at }) => ({
      ...{ id, name, scope, resource },
      expiresAt: expires_at.toISOString(),
      isExpired: expires_at <= deps.now(),
      usedAt: used_at?.toISOString(),
    })),
    accounts: accounts.map(({ upstream, account, linked_at }) => ({
      upstream,
      account: account === null ? '' : printableText(account, 200),
      linkedAt: linked_at.toISOString(),
    })),
    exportHref: address('/admin/users/export', { id: user.id }),
  }
  return adminPage(deps, asked, 'users', frame => personPage({ frame, ...props }))
}

export function shownUser({ id, email, name, is_admin: isAdmin, disabled_at, signed_in_at }: UserRow): UserView {
  const state = disabled_at ? 'disabled' : signed_in_at ? 'active' : 'invited'
  return { id, email, name, isAdmin, state, signedInAt: signed_in_at?.toISOString() }
}
