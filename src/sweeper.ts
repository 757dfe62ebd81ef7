/** Deletes what nobody can use any more, in small batches. Rows are skipped while another replica sweeps them. */
import { sweepAuthorizationCodes } from '../sql/authorization-codes.ts'
import { sweepUnusedClients } from '../sql/clients.ts'
import { sweepDeviceCodes } from '../sql/device-codes.ts'
import { sweepGrants } from '../sql/grants.ts'
import { sweepRefreshTokens } from '../sql/refresh-tokens.ts'
import { sweepRevocations } from '../sql/revocations.ts'
import { sweepSessions, sweepSignInLinks } from '../sql/sessions.ts'
import { sweepSigningKeys } from '../sql/signing-keys.ts'
import { sweepThrottles } from '../sql/throttles.ts'
import { sweepUsedAssertions } from '../sql/used-assertions.ts'
import { isOutage } from './db/index.ts'
import type { Deps } from './deps.ts'
import { CHANNEL } from './oauth/model.ts'

const INTERVAL_MS = 60_000
const BATCH = 500
const DAY_MS = 86_400_000
/** Ended codes and grants are kept this long, so that their late users get a precise answer. */
const KEEP_MS = DAY_MS
const UNUSED_CLIENT_MS = 7 * DAY_MS

/** One round of sweeping. @returns how many rows went. */
export async function sweep(deps: Deps): Promise<number> {
  const now = deps.now()
  const before = new Date(now.getTime() - KEEP_MS)
  const tasks = [
    () => sweepDeviceCodes(deps.sql, before, BATCH),
    () => sweepAuthorizationCodes(deps.sql, before, BATCH),
    () => sweepGrants(deps.sql, before, BATCH),
    () => sweepRefreshTokens(deps.sql, before, BATCH),
    () => sweepSessions(deps.sql, now, BATCH),
    () => sweepSignInLinks(deps.sql, before, BATCH),
    () => sweepThrottles(deps.sql, now, BATCH),
    () => sweepRevocations(deps.sql, now, BATCH),
    () => sweepUsedAssertions(deps.sql, now, BATCH),
    () => sweepSigningKeys(deps.sql, new Date(before.getTime() - deps.config.ACCESS_TOKEN_TTL * 1000), BATCH),
    () =>
      sweepUnusedClients(deps.sql, {
        before: new Date(now.getTime() - UNUSED_CLIENT_MS),
        now,
        limit: BATCH,
        channel: CHANNEL,
      }),
  ]
  let total = 0
  for (const task of tasks) {
    for (let swept = BATCH; swept === BATCH; ) {
      swept = await task()
      total += swept
    }
  }
  return total
}

/** Sweeps once a minute, until it is stopped; a round that runs then ends with its statement. */
export function startSweeper(deps: Deps): { stop(): void } {
  let stopped = false
  const timer = setInterval(() => {
    sweep(deps).catch(error => {
      if (stopped) return
      if (isOutage(error)) deps.log.warn('could not sweep: the database is away')
      else deps.log.error({ err: { message: (error as Error).message } }, 'could not sweep')
    })
  }, INTERVAL_MS)
  return {
    stop() {
      stopped = true
      clearInterval(timer)
    },
  }
}
