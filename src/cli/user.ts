import { findAdministrator } from '../../sql/users.ts'
import { invite, isAddress, link, remove, stillAllowed, USER_CHANGES, type UserChange } from '../admin/user-changes.ts'
import type { Deps } from '../deps.ts'
import { UsageError } from '../lib/errors.ts'
import { LINK_MINUTES, listUsers } from '../signin/service.ts'
import { withDeps } from './environment.ts'
import { isConfirmed, print, printJson, printTable, say } from './terminal.ts'

const ACTIONS: Record<string, (deps: Deps, email: string, isAdmin: boolean) => Promise<void>> = {
  async link(deps, email, isAdmin) {
    const created = enabled(await link(deps, email, isAdmin), email)
    print(created.href)
    const role = created.isAdmin ? 'an administrator' : 'not an administrator; use --admin to make them one'
    say(`Signs in ${email} (${role}). Works once, for ${LINK_MINUTES} minutes.`)
  },
  async invite(deps, email, isAdmin) {
    enabled(await invite(deps, email, isAdmin), email)
    const role = isAdmin ? ', as an administrator' : ''
    print(`${email} can now sign in with any provider that has verified this address${role}.`)
    if (deps.providers.size === 0)
      say(`No provider is configured; create a one-time link with: mcp-oauth-server user link ${email}`)
  },
  async promote(deps, email) {
    await apply(deps, 'promote', email)
    print(`${email} is an administrator now.`)
  },
  async demote(deps, email) {
    await apply(deps, 'demote', email)
    print(`${email} is no longer an administrator; their apps with the scope admin are disconnected.`)
    if (deps.config.ADMIN_EMAILS.includes(email.toLowerCase()))
      say(
        `${email} is listed in ADMIN_EMAILS: remove it, or the next start or sign-in makes them an administrator again.`,
      )
  },
  async disable(deps, email) {
    await apply(deps, 'disable', email)
    print(`${email} is signed out everywhere and cannot sign in; their apps are disconnected.`)
  },
  async remove(deps, email) {
    someone(await remove(deps, email), email)
    print(`${email} is removed, with their connections, access tokens and linked accounts.`)
    if (stillAllowed(deps.config, email))
      say(
        'The configuration still allows this address: they can sign in again, as a new user. To prevent that, disable them.',
      )
  },
  async enable(deps, email) {
    await apply(deps, 'enable', email)
    print(`${email} can sign in again, and has to reconnect their apps.`)
  },
}

/** @param name An action of {@link ACTIONS}. */
export async function change(
  name: string,
  email: string,
  { admin = false, yes }: { admin?: boolean; yes?: boolean },
): Promise<void> {
  if (!isAddress(email)) throw new UsageError(`${email} is not an e-mail address`)
  if (name === 'remove' && !yes && !(await isConfirmed(`Remove ${email}, with everything that is theirs?`)))
    throw new UsageError('Nothing was changed.')
  await withDeps(async deps => {
    const before = await findAdministrator(deps.sql)
    await ACTIONS[name]!(deps, email, admin)
    if (before && !(await findAdministrator(deps.sql)))
      say(
        'That was the last administrator: nobody can open the pages below /admin now. To make somebody one: mcp-oauth-server user promote EMAIL',
      )
  })
}

export async function list({ json }: { json?: boolean }): Promise<void> {
  await withDeps(async deps => {
    const users = listUsers(deps)
    if (json) return printJson(await Array.fromAsync(users))
    async function* rows() {
      for await (const { email, is_admin, disabled_at, signed_in_at, name } of users) {
        const state = disabled_at ? 'disabled' : signed_in_at ? 'active' : 'invited'
        yield [email, is_admin ? 'administrator' : 'user', state, signed_in_at, name]
      }
    }
    await printTable({ columns: ['address', 'role', 'state', 'signed in', 'name'], rows: rows() }, deps.now())
  })
}

async function apply(deps: Deps, change: UserChange, email: string): Promise<void> {
  someone(await USER_CHANGES[change](deps, email), email)
}

function someone(users: readonly unknown[], email: string): void {
  if (users.length === 0) throw new UsageError(`There is no user with the address ${email}`)
}

function enabled<T>(outcome: T | undefined, email: string): T {
  if (outcome === undefined)
    throw new UsageError(`${email} is disabled and cannot sign in; first run: mcp-oauth-server user enable ${email}`)
  return outcome
}
