import type { Queries } from './index.ts'
import { CHANNEL } from './notifications.ts'

/** Records a revoked subject and notifies every replica. */
export async function insertRevocation(
  sql: Queries,
  revocation: { subject: string; now: Date; expiresAt: Date },
): Promise<void> {
  await sql`
    with remembered as (
      insert into revocations (subject, revoked_at, expires_at)
      values (${revocation.subject}, ${revocation.now}, ${revocation.expiresAt})
      on conflict (subject) do nothing
    )
    select pg_notify(${CHANNEL}, ${`revoked ${revocation.subject}`})`
}

/** All stored revocations. Expired ones are included; only the sweeper removes them. */
export function listRevocations(sql: Queries): Promise<{ subject: string; expires_at: Date }[]> {
  return sql<{ subject: string; expires_at: Date }[]>`
    select subject, expires_at
    from revocations`
}

/** At most `limit` revocations, the newest, of those that expire after a time. */
export function listNewRevocations(
  sql: Queries,
  { expiringAfter, limit }: { expiringAfter: Date; limit: number },
): Promise<{ subject: string; expires_at: Date }[]> {
  return sql<{ subject: string; expires_at: Date }[]>`
    select subject, expires_at
    from revocations
    where expires_at > ${expiringAfter}
    order by expires_at desc
    limit ${limit}`
}

/** @returns whether any of the subjects is revoked. */
export async function anyRevoked(sql: Queries, subjects: readonly string[]): Promise<boolean> {
  const rows = await sql`
    select
    from revocations
    where subject = any (${subjects}::text[])
    limit 1`
  return rows.length > 0
}

/** Deletes at most `limit` revocations of tokens that have expired by themselves. @returns how many. */
export async function sweepRevocations(sql: Queries, now: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from revocations
    where subject = any (array(
      select subject
      from revocations
      where expires_at <= ${now}
      order by expires_at
      limit ${limit}
      for update skip locked
    ))
    returning subject`
  return rows.length
}
