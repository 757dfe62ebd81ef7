import { findBackend, hasPrepared, type Queries } from '../../sql/index.ts'
import { UsageError } from '../lib/errors.ts'

/** A pooler need not give the other client the same session at once. */
const TRIES = 5

/**
 * In transaction mode a pooler gives one session of PostgreSQL to several clients in turn. Unless it keeps their prepared
 * statements apart, a client gets rows of another's statement, or none, or waits forever.
 *
 * @param dial Opens another connection.
 * @throws UsageError if that is how DATABASE_URL is reached.
 */
export async function refuseMixedStatements(
  sql: Queries,
  dial: () => Queries & { end(options: { timeout: number }): Promise<void> },
): Promise<void> {
  const { pid, announcedPid, statement } = await findBackend(sql)
  if (statement === '' || announcedPid === pid) return
  const other = dial()
  try {
    for (let tries = 0; tries < TRIES; tries++)
      if (await hasPrepared(other, statement))
        throw new UsageError(
          'DATABASE_URL leads to a pooler that mixes up prepared statements: add ?prepare=false to it, or set max_prepared_statements (PgBouncer 1.21 or newer)',
        )
  } finally {
    await other.end({ timeout: 0 }).catch(() => {})
  }
}
