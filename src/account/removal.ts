/** Removing a person, with everything that is theirs: at their own wish, or by an operator. */
import { listUpstreamAccounts } from '../../sql/upstream-accounts.ts'
import { deleteOfPrincipal } from '../../sql/upstreams.ts'
import { deleteUsers } from '../../sql/users.ts'
import { record } from '../audit/events.ts'
import type { OAuthDeps } from '../oauth/deps.ts'
import { revokeGrantsOfUser } from '../oauth/tokens.ts'
import { closeAccount } from '../signin/service.ts'

const UNLINKING_MS = 5_000
const LOOK_MS = 100

/** Waits for the servers to unlink the accounts of a disabled user, unless none runs. */
async function waitForUnlinking({ sql }: OAuthDeps, userId: string): Promise<void> {
  for (const until = performance.now() + UNLINKING_MS; performance.now() < until; await Bun.sleep(LOOK_MS))
    if ((await listUpstreamAccounts(sql, userId)).length === 0) return
}

/**
 * Removes a disabled user. The tokens of accounts that they linked are revoked by a server, which has heard that they are
 * disabled. Events in the audit log keep their id.
 *
 * @param detail `email` is for operators, who name people by it; what people remove themselves leaves none.
 */
export async function removeDisabled(
  deps: OAuthDeps,
  userId: string,
  detail: { by: 'user' } | { by: 'operator'; email: string },
): Promise<void> {
  await revokeGrantsOfUser(deps, { userId }, detail.by)
  await waitForUnlinking(deps, userId)
  await deleteUsers(deps.sql, [userId])
  await deleteOfPrincipal(deps.sql, `user:${userId}`)
  record(deps, 'user.removed', { userId, detail })
}

/** Removes a user at their own wish. @returns false if they are the only administrator, who stays. */
export async function removeOwnAccount(deps: OAuthDeps, userId: string): Promise<boolean> {
  if (!(await closeAccount(deps, userId))) return false
  await removeDisabled(deps, userId, { by: 'user' })
  return true
}
