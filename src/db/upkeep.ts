/**
 * Upkeep of the embedded database. A PostgreSQL server vacuums and checkpoints in background processes; PGlite is a
 * single process without them. Unvacuumed, its tables grow with every deleted row (0.4 KB for a device code); without
 * checkpoints, its write-ahead log grows with every write. Both block all other statements, so little is done at a time.
 */
import { bytesSinceCheckpoint, checkpoint, findTableToVacuum, vacuum } from '../../sql/upkeep.ts'
import type { Base, Sweep } from '../base.ts'

/** Rows deleted or inserted. Vacuuming 100,000 takes about 0.1 s. */
const WORTH_A_VACUUM = 10_000
/** Bytes of write-ahead log; a start after a crash has to replay them. */
const WORTH_A_CHECKPOINT = 32 * 1024 * 1024

/** Per round of sweeps, vacuums one table and writes one checkpoint at most. */
export function upkeepSweeps({ db, sql }: Base): Sweep[] {
  if (!db.embedded) return []
  return [
    async () => {
      const table = await findTableToVacuum(sql, WORTH_A_VACUUM)
      if (table !== undefined) await vacuum(sql, table)
      return 0
    },
    async () => {
      if ((await bytesSinceCheckpoint(sql)) > WORTH_A_CHECKPOINT) await checkpoint(sql)
      return 0
    },
  ]
}
