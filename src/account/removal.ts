/**
 * Removing a person, with everything that is theirs: at their own wish, or by an operator. They are disabled first, and marked
 * as leaving, so that a sweep finishes what a crash interrupts.
 */
import { lockGranted } from '../../sql/grants.ts'
import { haveUpstreamAccounts } from '../../sql/upstream-accounts.ts'
import { deleteOfPrincipal } from '../../sql/upstreams.ts'
import { deleteUser, listLeaving, type UserRow } from '../../sql/users.ts'
import { record } from '../audit/events.ts'
import type { Sweep } from '../base.ts'
import { inTransaction } from '../db/index.ts'
import type { OAuthDeps } from '../oauth/deps.ts'
import { revokeGrantsOfUser, revokeUser } from '../oauth/tokens.ts'
import { closeAccount } from '../signin/service.ts'

const UNLINKING_MS = 5_000
const LOOK_MS = 100

/** Waits for the servers to unlink the accounts of disabled users, unless none runs. */
async function waitForUnlinking({ sql }: OAuthDeps, userIds: readonly string[]): Promise<void> {
  for (const until = performance.now() + UNLINKING_MS; performance.now() < until; await Bun.sleep(LOOK_MS))
    if (!(await haveUpstreamAccounts(sql, userIds))) return
}

type Leaving = Pick<UserRow, 'id' | 'email'> & { leaving_by: 'user' | 'operator' }

/**
 * Removes disabled users. The tokens of accounts that they linked are revoked by a server, which has heard that they are
 * disabled. Events in the audit log keep their ids; of what people remove themselves, it keeps no address.
 */
export async function removeDisabled(deps: OAuthDeps, users: readonly Leaving[]): Promise<void> {
  for (const { id: userId, leaving_by: by } of users) await revokeGrantsOfUser(deps, { userId }, by)
  await waitForUnlinking(
    deps,
    users.map(({ id }) => id),
  )
  for (const user of users) await removeWithRows(deps, user)
}

async function removeWithRows(deps: OAuthDeps, { id: userId, email, leaving_by: by }: Leaving): Promise<void> {
  const removed = await inTransaction(deps, async sql => {
    await deleteOfPrincipal(sql, `user:${userId}`)
    await lockGranted(sql, { userId })
    await revokeUser(deps, sql, userId)
    return deleteUser(sql, userId)
  })
  // If not, another replica has finished it.
  if (removed) record(deps, 'user.removed', { userId, detail: by === 'user' ? { by } : { by, email } })
}

/** Removes a user at their own wish. @returns false if they are the only administrator, who stays. */
export async function removeOwnAccount(
  deps: OAuthDeps,
  { userId: id, email }: { userId: string; email: string },
): Promise<boolean> {
  if (!(await closeAccount(deps, id))) return false
  await removeDisabled(deps, [{ id, email, leaving_by: 'user' }])
  return true
}

/** Finishes removals that were interrupted. */
export function removalSweeps(deps: OAuthDeps): Sweep[] {
  return [
    async (_now, limit) => {
      const leaving = await listLeaving(deps.sql, limit)
      if (leaving.length > 0) await removeDisabled(deps, leaving)
      return leaving.length
    },
  ]
}
