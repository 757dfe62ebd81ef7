import type { OAuthDeps } from '../oauth/deps.ts'
import { revokeGrantsOfUser } from '../oauth/tokens.ts'
import { usersWithAddress } from '../signin/service.ts'

/** Ends all connections of the users with an address. @returns how many. */
export async function endConnectionsOfUsers(deps: OAuthDeps, email: string): Promise<number> {
  let count = 0
  for (const { id } of await usersWithAddress(deps, email))
    count += await revokeGrantsOfUser(deps, { userId: id }, 'operator')
  return count
}
