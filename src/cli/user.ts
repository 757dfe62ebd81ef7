import type { Deps } from '../deps.ts'
import { UsageError } from '../lib/errors.ts'
import { revokeGrantsOfUser } from '../oauth/tokens.ts'
import {
  createSignInLink,
  demoteUsers,
  disableUsers,
  enableUsers,
  inviteUser,
  LINK_MINUTES,
  promoteUsers,
} from '../signin/service.ts'
import { readArgs, withDeps } from './environment.ts'

const USAGE =
  'Usage: mcp-oauth-server user link EMAIL [--admin] | invite EMAIL [--admin] | promote EMAIL | demote EMAIL | disable EMAIL | enable EMAIL'

const ACTIONS: Record<string, (deps: Deps, email: string, isAdmin: boolean) => Promise<void>> = {
  async link(deps, email, isAdmin) {
    const user = await inviteEnabled(deps, email, isAdmin)
    console.log(await createSignInLink(deps, email, { isAdmin }))
    const role = isAdmin || user.is_admin ? 'an administrator' : 'not an administrator; use --admin to make them one'
    console.error(`Signs in ${email} (${role}). Works once, for ${LINK_MINUTES} minutes.`)
  },
  async invite(deps, email, isAdmin) {
    await inviteEnabled(deps, email, isAdmin)
    console.log(`${email} can now sign in with any provider that has verified this address.`)
    if (deps.providers.size === 0)
      console.error('No provider is configured; create a one-time link with: mcp-oauth-server user link')
  },
  async promote(deps, email) {
    someone(await promoteUsers(deps, email), email)
    console.log(`${email} is an administrator now.`)
  },
  async demote(deps, email) {
    for (const { id } of someone(await demoteUsers(deps, email), email))
      await revokeGrantsOfUser(deps, { userId: id, scope: 'admin' }, 'operator')
    console.log(`${email} is no longer an administrator; their apps with the scope admin are disconnected.`)
    if (deps.config.ADMIN_EMAILS.includes(email.toLowerCase()))
      console.error(
        `${email} is listed in ADMIN_EMAILS: remove it, or the next start or sign-in makes them an administrator again.`,
      )
  },
  async disable(deps, email) {
    // Also for a user who is already disabled, to complete an earlier command that was interrupted.
    for (const { id } of someone(await disableUsers(deps, email), email))
      await revokeGrantsOfUser(deps, { userId: id }, 'operator')
    console.log(`${email} is signed out everywhere and cannot sign in; their apps are disconnected.`)
  },
  async enable(deps, email) {
    someone(await enableUsers(deps, email), email)
    console.log(`${email} can sign in again, and has to reconnect their apps.`)
  },
}

export async function run(args: string[]): Promise<void> {
  const { values, positionals } = readArgs(args, { admin: { type: 'boolean', default: false } })
  const [name = '', email, ...more] = positionals
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined
  const isAdmin = values.admin === true
  if (!action || !email || more.length > 0 || (isAdmin && name !== 'link' && name !== 'invite'))
    throw new UsageError(USAGE)
  if (!/^[^\s@]+@[^\s@]+$/.test(email)) throw new UsageError(`${email} is not an e-mail address`)
  await withDeps(deps => action(deps, email, isAdmin))
}

async function inviteEnabled(deps: Deps, email: string, isAdmin: boolean) {
  const user = await inviteUser(deps, email, isAdmin)
  if (user.disabled_at)
    throw new UsageError(`${email} is disabled and cannot sign in; first run: mcp-oauth-server user enable ${email}`)
  return user
}

function someone<T>(users: T[], email: string): T[] {
  if (users.length === 0) throw new UsageError(`There is no user with the address ${email}`)
  return users
}
