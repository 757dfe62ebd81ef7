/** What operators do to users, by commands and on the administrator's pages. */
import type { UserRow } from '../../sql/users.ts'
import { removeDisabled } from '../account/removal.ts'
import { record } from '../audit/events.ts'
import type { OAuthDeps } from '../oauth/deps.ts'
import { revokeGrantsOfUser } from '../oauth/tokens.ts'
import {
  createSignInLink,
  demoteUsers,
  disableUsers,
  enableUsers,
  inviteUser,
  promoteUsers,
} from '../signin/service.ts'

export const isAddress = (text: string) => text.length <= 254 && /^[^\s@]+@[^\s@]+$/.test(text)

/** Lets somebody sign in with a provider that has verified this address. @returns undefined if they are disabled. */
export async function invite(deps: OAuthDeps, email: string, isAdmin: boolean): Promise<UserRow | undefined> {
  const user = await inviteUser(deps, email, isAdmin)
  if (user.disabled_at) return undefined
  record(deps, 'user.invited', { userId: user.id })
  return user
}

/** Creates a one-time sign-in link. @returns undefined if the user is disabled. */
export async function link(
  deps: OAuthDeps,
  email: string,
  isAdmin: boolean,
): Promise<{ href: string; isAdmin: boolean } | undefined> {
  const user = await inviteUser(deps, email, isAdmin)
  if (user.disabled_at) return undefined
  return { href: await createSignInLink(deps, email, { isAdmin }), isAdmin: isAdmin || user.is_admin }
}

/** Each changes all users with an address. @returns these users. */
export const USER_CHANGES = {
  promote: (deps: OAuthDeps, email: string) => promoteUsers(deps, email),
  async demote(deps: OAuthDeps, email: string) {
    const users = await demoteUsers(deps, email)
    for (const { id } of users) await revokeGrantsOfUser(deps, { userId: id, scope: 'admin' }, 'operator')
    return users
  },
  async disable(deps: OAuthDeps, email: string) {
    // Also for a user who is already disabled, to complete an earlier change that was interrupted.
    const users = await disableUsers(deps, email)
    for (const { id } of users) await revokeGrantsOfUser(deps, { userId: id }, 'operator')
    return users
  },
  enable: (deps: OAuthDeps, email: string) => enableUsers(deps, email),
}
export type UserChange = keyof typeof USER_CHANGES

/** Whether somebody with this address could sign in again after their removal. */
export function stillAllowed(
  { ADMIN_EMAILS, ALLOWED_EMAILS, ALLOWED_DOMAINS }: OAuthDeps['config'],
  email: string,
): boolean {
  const address = email.toLowerCase()
  return [...ADMIN_EMAILS, ...ALLOWED_EMAILS].includes(address) || ALLOWED_DOMAINS.includes(address.split('@')[1]!)
}

/** Removes all users with an address, with everything that is theirs. @returns these users. */
export async function remove(deps: OAuthDeps, email: string): Promise<{ id: string }[]> {
  const users = await disableUsers(deps, email, { leaving: true })
  await removeDisabled(
    deps,
    users.map(({ id }) => ({ id, email, leaving_by: 'operator' as const })),
  )
  return users
}
