/** A user's credential for one upstream. */
import { touchUpstreamAccount, wantScopes } from '../../../sql/upstream-accounts.ts'
import type { Base } from '../../base.ts'
import type { UpstreamConfig } from '../config.ts'
import { fail } from '../connection.ts'
import type { Credential } from '../credential.ts'
import type { Account, AccountMemory } from './memory.ts'
import type { Refreshes } from './refresh.ts'

export interface CredentialDeps {
  base: Base
  memory: AccountMemory
  refreshes: Refreshes
}

/** A token refused within this time after it was issued is not refreshed again. */
const YOUNG_MS = 10_000
/** Resolution of the time of last use. */
const USED_MS = 600_000
/** Maximum number of additional scopes that are stored. */
const MOST_SCOPES = 50

export function personCredential(
  { base, memory, refreshes }: CredentialDeps,
  config: UpstreamConfig,
  userId: string,
): Credential {
  const key = { upstream: config.name, userId }

  function noteUse({ row }: Account, now: number): void {
    if (row.used_at && now - row.used_at.getTime() < USED_MS) return
    row.used_at = new Date(now)
    touchUpstreamAccount(base.sql, key, row.used_at).catch(error => {
      base.log.debug({ detail: (error as Error).message }, 'could not store the last use of an account')
    })
  }

  async function fresh(account: Account | null): Promise<string> {
    if (!account?.tokens) throw fail('unlinked', 'no account is linked')
    const now = base.now().getTime()
    if (now < account.refreshAt) return account.header
    const refreshing = refreshes.refresh(config, account)
    if (now >= account.expiresAt) return (await refreshing).header
    // It is still valid for a while.
    refreshing.catch(() => {})
    return account.header
  }

  return {
    header() {
      const account = memory.now(config, userId)
      const now = base.now().getTime()
      if (account?.tokens && now < account.refreshAt) {
        noteUse(account, now)
        return account.header
      }
      return account === undefined ? memory.find(config, userId).then(fresh) : fresh(account)
    },
    async renewed(refused) {
      const account = await memory.find(config, userId)
      if (!account?.tokens) throw fail('unlinked', 'no account is linked')
      if (account.header !== refused) return account.header
      if (base.now().getTime() - account.row.refreshed_at.getTime() < YOUNG_MS) return undefined
      if (account.tokens.refreshToken !== undefined) return (await refreshes.refresh(config, account)).header
      await refreshes.end(config, account, 'refused')
      throw fail('unlinked', 'the token was refused, and there is no refresh token')
    },
    async wants(scope) {
      const account = await memory.find(config, userId)
      if (!account?.tokens) return false
      const { row } = account
      const missing = scope.filter(name => !row.scope.includes(name))
      // If all were already granted, asking the user again would not help.
      if (missing.length === 0) return false
      const wanted = [...new Set([...row.wanted_scope, ...missing])].slice(0, MOST_SCOPES)
      if (wanted.length > row.wanted_scope.length) {
        await wantScopes(base.sql, { ...key, scope: wanted })
        memory.forget(config.name, userId)
      }
      return true
    },
  }
}
