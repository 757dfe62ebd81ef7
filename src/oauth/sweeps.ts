/** What the authorization server leaves behind and the sweeper may delete. */
import { sweepAuthorizationCodes } from '../../sql/authorization-codes.ts'
import { sweepAuthorizationRequests } from '../../sql/authorization-requests.ts'
import { sweepUnusedClients } from '../../sql/clients.ts'
import { sweepDeviceCodes } from '../../sql/device-codes.ts'
import { sweepGrants } from '../../sql/grants.ts'
import { sweepRefreshTokens } from '../../sql/refresh-tokens.ts'
import { sweepRevocations } from '../../sql/revocations.ts'
import { sweepSigningKeys } from '../../sql/signing-keys.ts'
import { sweepThrottles } from '../../sql/throttles.ts'
import { sweepUsedAssertions } from '../../sql/used-assertions.ts'
import type { Base, Sweep } from '../base.ts'

const DAY_MS = 86_400_000
/** Codes and grants that have ended are kept this long, so that a client that comes late gets a precise answer. */
const KEEP_MS = DAY_MS
/** Authorization requests that wait at once; beyond that the oldest go. */
const MAX_WAITING = 20_000
const UNUSED_CLIENT_MS = 7 * DAY_MS

export function oauthSweeps({ sql, config }: Base): Sweep[] {
  const ago = (now: Date, ms: number) => new Date(now.getTime() - ms)
  return [
    (now, limit) => sweepDeviceCodes(sql, ago(now, KEEP_MS), limit),
    (now, limit) => sweepAuthorizationCodes(sql, ago(now, KEEP_MS), limit),
    (now, limit) => sweepAuthorizationRequests(sql, { now, keep: MAX_WAITING, limit }),
    (now, limit) => sweepGrants(sql, ago(now, KEEP_MS), limit),
    (now, limit) => sweepRefreshTokens(sql, ago(now, KEEP_MS), limit),
    (now, limit) => sweepThrottles(sql, now, limit),
    (now, limit) => sweepRevocations(sql, now, limit),
    (now, limit) => sweepUsedAssertions(sql, now, limit),
    (now, limit) => sweepSigningKeys(sql, ago(now, KEEP_MS + config.ACCESS_TOKEN_TTL * 1000), limit),
    (now, limit) => sweepUnusedClients(sql, { before: ago(now, UNUSED_CLIENT_MS), now, limit }),
  ]
}
