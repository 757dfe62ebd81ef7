/**
 * Upkeep of the embedded database. A PostgreSQL server vacuums and checkpoints in background processes; PGlite is a
 * single process without them. Unvacuumed, its tables grow with every deleted row (0.4 KB for a device code); without
 * checkpoints, its write-ahead log grows with every write. Both block all other statements, so little is done at a time.
 */
import { bytesSinceCheckpoint, checkpoint, findTableToVacuum, vacuum } from '../../sql/upkeep.ts'
import type { Base, Sweep } from '../base.ts'

/** Rows deleted or inserted. Vacuuming 100,000 takes about 0.1 s. */
const WORTH_A_VACUUM = 10_000
/** Bytes of write-ahead log. A start after a crash replays them, 40 MB in a second. */
const WORTH_A_CHECKPOINT = 8 * 1024 * 1024
const LOOK_MS = 5_000

/** Per round of sweeps, vacuums one table at most. */
export function upkeepSweeps({ db, sql }: Base): Sweep[] {
  if (!db.embedded) return []
  return [
    async () => {
      const table = await findTableToVacuum(sql, WORTH_A_VACUUM)
      if (table !== undefined) await vacuum(sql, table)
      return 0
    },
  ]
}

/** Writes a checkpoint if it is worth one. */
export async function checkpointIfDue({ sql }: Pick<Base, 'sql'>): Promise<void> {
  if ((await bytesSinceCheckpoint(sql)) > WORTH_A_CHECKPOINT) await checkpoint(sql)
}

/** Keeps the write-ahead log of the embedded database short until stopped. */
export function startCheckpoints({ db, sql, log }: Pick<Base, 'db' | 'sql' | 'log'>): { stop(): Promise<void> } {
  let running: Promise<void> | undefined
  const look = () => {
    running ??= checkpointIfDue({ sql })
      .catch(error => log.warn({ detail: (error as Error).message }, 'no checkpoint was written; it is tried again'))
      .finally(() => {
        running = undefined
      })
  }
  const timer = db.embedded ? setInterval(look, LOOK_MS) : undefined
  return {
    async stop() {
      clearInterval(timer)
      await running
    },
  }
}
