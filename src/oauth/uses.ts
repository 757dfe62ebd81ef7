/**
 * Last uses of connections and personal access tokens by calls: remembered in memory, so that a call needs no database, and
 * stored once a minute and at shutdown.
 */
import type { Connection } from '../../sql/grants.ts'
import { updateUses } from '../../sql/uses.ts'
import { networkOf } from '../lib/networks.ts'
import type { OAuthDeps } from './deps.ts'
import type { Principal } from './principal.ts'

/** Notes a call. Machines have no connection. */
export function noteUse({ memory: { uses }, now }: OAuthDeps, { grantId }: Principal, ip: string | null): void {
  if (grantId === null) return
  const at = now().getTime()
  const use = uses.get(grantId)
  if (!use) uses.set(grantId, { at, ip })
  else {
    use.at = at
    use.ip = ip
  }
}

/** When a connection was last used: called, or else refreshed. */
export const lastUseOf = ({ called_at, used_at }: Pick<Connection, 'called_at' | 'used_at'>): Date =>
  called_at ?? used_at

/** Stores at most `limit` last uses; those whose rows are locked wait for the next time. @returns how many are stored. */
export async function storeUses({ sql, memory: { uses } }: OAuthDeps, limit: number): Promise<number> {
  const batch = [...uses.entries().take(limit)].map(([id, { at, ip }]) => ({
    id,
    at: new Date(at),
    network: networkOf(ip),
  }))
  if (batch.length === 0) return 0
  const locked = new Set(await updateUses(sql, batch))
  for (const { id, at } of batch) {
    const use = uses.get(id)
    // A use meanwhile is stored the next time.
    if (use?.at !== at.getTime()) continue
    uses.delete(id)
    // Behind the others, so that these are stored even if it stays locked.
    if (locked.has(id)) uses.set(id, use)
  }
  return batch.length - locked.size
}
