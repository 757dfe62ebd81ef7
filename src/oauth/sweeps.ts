/** The rows of the authorization server that the sweeper deletes, and when. */
import { sweepAuthorizationCodes } from '../../sql/authorization-codes.ts'
import { sweepExpiredRequests, sweepSurplusRequests } from '../../sql/authorization-requests.ts'
import { type ClientPlace, deleteUnusedClients, lockUnusedClients, lockUnusedDocuments } from '../../sql/clients.ts'
import { sweepDeviceCodes } from '../../sql/device-codes.ts'
import { sweepDevicePolls } from '../../sql/device-polls.ts'
import { sweepExpiredGrants, sweepRevokedGrants } from '../../sql/grants.ts'
import { sweepPersonalTokens } from '../../sql/personal-tokens.ts'
import { sweepRefreshTokens } from '../../sql/refresh-tokens.ts'
import { sweepRevocations } from '../../sql/revocations.ts'
import { sweepSigningKeys } from '../../sql/signing-keys.ts'
import { sweepThrottles } from '../../sql/throttles.ts'
import { sweepUsedAssertions } from '../../sql/used-assertions.ts'
import type { Sweep } from '../base.ts'
import { inTransaction } from '../db/index.ts'
import type { OAuthDeps } from './deps.ts'
import { sweepRevoked } from './memory.ts'
import { storeUses } from './uses.ts'

const DAY_MS = 86_400_000
/** How long ended codes and grants are kept, so that a late client gets a precise error. */
const KEEP_MS = DAY_MS
/** Anyone can request device codes, so they are kept only as long as a client might still poll. */
const KEEP_DEVICE_CODES_MS = DAY_MS / 24
/** People look here for why a script stopped working. */
const KEEP_PERSONAL_TOKENS_MS = 30 * DAY_MS
/** Maximum number of pending authorization requests; beyond it the oldest are deleted. */
const MAX_WAITING = 20_000
const UNUSED_CLIENT_MS = 7 * DAY_MS
/** Maximum number of metadata documents of clients without tokens; older ones are fetched again when needed. */
const UNUSED_DOCUMENTS = 2_000

/** From the oldest on, so that those whose codes are open do not hide those behind them. */
function unusedClients(deps: OAuthDeps, before: (now: Date) => Date): Sweep {
  let after: ClientPlace | undefined
  return (now, limit) =>
    inTransaction(deps, async sql => {
      const locked = await lockUnusedClients(sql, { before: before(now), after, limit })
      after = locked.length === limit ? locked.at(-1) : undefined
      await deleteUnusedClients(
        sql,
        locked.map(({ id }) => id),
      )
      return locked.length
    })
}

/** Metadata documents beyond the newest `keep` are fetched again when needed. */
export function sweepUnusedDocuments(deps: OAuthDeps, keep: number, limit: number): Promise<number> {
  return inTransaction(deps, async sql => {
    const locked = await lockUnusedDocuments(sql, keep, limit)
    return deleteUnusedClients(
      sql,
      locked.map(({ id }) => id),
    )
  })
}

export function oauthSweeps(deps: OAuthDeps): Sweep[] {
  const { sql, config, memory } = deps
  const ago = (now: Date, ms: number) => new Date(now.getTime() - ms)
  return [
    (now, limit) => sweepDeviceCodes(sql, ago(now, KEEP_DEVICE_CODES_MS), limit),
    (now, limit) => sweepDevicePolls(sql, now, limit),
    (now, limit) => sweepAuthorizationCodes(sql, ago(now, KEEP_MS), limit),
    (now, limit) => sweepExpiredGrants(sql, ago(now, KEEP_MS), limit),
    (now, limit) => sweepRevokedGrants(sql, ago(now, KEEP_MS), limit),
    (now, limit) => sweepExpiredRequests(sql, now, limit),
    (_now, limit) => sweepSurplusRequests(sql, MAX_WAITING, limit),
    (now, limit) => sweepRefreshTokens(sql, ago(now, KEEP_MS), limit),
    (now, limit) => sweepThrottles(sql, now, limit),
    (now, limit) => sweepRevocations(sql, now, limit),
    sweepRevoked(memory),
    (now, limit) => sweepPersonalTokens(sql, ago(now, KEEP_PERSONAL_TOKENS_MS), limit),
    (_now, limit) => storeUses(deps, limit),
    (now, limit) => sweepUsedAssertions(sql, now, limit),
    (now, limit) => sweepSigningKeys(sql, ago(now, KEEP_MS + config.ACCESS_TOKEN_TTL * 1000), limit),
    unusedClients(deps, now => ago(now, UNUSED_CLIENT_MS)),
    (_, limit) => sweepUnusedDocuments(deps, UNUSED_DOCUMENTS, limit),
  ]
}
