/** Which accounts end, and when: one by one, and in the background those of upstreams and people that are gone. */
import {
  type AccountKey,
  listAccountsAt,
  listAccountsOfDisabled,
  listLeftAccounts,
} from '../../../sql/upstream-accounts.ts'
import type { Base } from '../../base.ts'
import type { UpstreamConfig } from '../config.ts'
import { type Ending, endAccount } from './end.ts'
import type { AccountMemory } from './memory.ts'

/** Accounts at an upstream that a starting server does not know end after a day without use. */
const UNUSED_MS = 86_400_000
const BATCH = 100

export interface Endings {
  end(key: AccountKey, by: Ending, ip?: string | null): Promise<void>
  /** Those at upstreams that are no longer configured. */
  endRemoved(upstreams: string[]): Promise<void>
  /**
   * What ended while no server was running. Other replicas may have a newer file, so accounts in use stay.
   *
   * @param known The upstreams that are configured.
   */
  endLeft(known: string[]): Promise<void>
  /** Resolves when the tokens of all that have ended are revoked. */
  settled(): Promise<void>
}

export function openEndings(
  base: Base,
  memory: AccountMemory,
  configOf: (upstream: string) => UpstreamConfig | undefined,
): Endings {
  const ending = new Set<Promise<void>>()

  async function end(key: AccountKey, by: Ending, ip: string | null = null): Promise<void> {
    const ended = await endAccount(base, configOf(key.upstream), key, by, ip)
    memory.forget(key.upstream, key.userId)
    if (!ended) return
    const { revoked } = ended
    ending.add(revoked)
    void revoked.finally(() => ending.delete(revoked))
  }

  /** Ends what a query finds, batch by batch. */
  async function endAll(by: Ending, find: (limit: number) => Promise<{ upstream: string; user_id: string }[]>) {
    try {
      for (let found = BATCH; found === BATCH; ) {
        const rows = await find(BATCH)
        found = rows.length
        for (const row of rows) await end({ upstream: row.upstream, userId: row.user_id }, by)
      }
    } catch (error) {
      base.log.warn({ detail: (error as Error).message }, 'could not end accounts at upstreams that were removed')
    }
  }

  return {
    end,
    endRemoved: upstreams => endAll('removed', limit => listAccountsAt(base.sql, upstreams, limit)),
    async endLeft(known) {
      const before = new Date(base.now().getTime() - UNUSED_MS)
      await endAll('removed', limit => listLeftAccounts(base.sql, { upstreams: known, before, limit }))
      await endAll('disabled', limit => listAccountsOfDisabled(base.sql, limit))
    },
    async settled() {
      await Promise.all(ending)
    },
  }
}
