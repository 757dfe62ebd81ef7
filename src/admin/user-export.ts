import { listUpstreamAccounts } from '../../sql/upstream-accounts.ts'
import type { UserRow } from '../../sql/users.ts'
import { everythingAbout } from '../account/everything.ts'
import { record } from '../audit/events.ts'
import type { OAuthDeps } from '../oauth/deps.ts'

/** Everything that is stored about a user, as an operator sees it: without secrets and their hashes. */
export async function storedAbout(deps: OAuthDeps, user: UserRow) {
  const { id: userId, email, name, is_admin, disabled_at, created_at, signed_in_at } = user
  const linked = (await listUpstreamAccounts(deps.sql, userId)).map(({ upstream, account, linked_at, used_at }) => ({
    name: upstream,
    account,
    linked_at,
    used_at,
  }))
  const everything = await everythingAbout(deps, { userId, email, name, isAdmin: is_admin }, linked)
  return { ...everything, user: { ...everything.user, disabled_at, created_at, signed_in_at } }
}

/** The same to take away, of which the audit log has an event, as of every export. */
export async function exportUser(deps: OAuthDeps, user: UserRow) {
  const stored = await storedAbout(deps, user)
  record(deps, 'user.exported', { userId: user.id, detail: { by: 'operator' } })
  return stored
}
