import type { Queries, UserRights } from './index.ts'
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

/**
 * Revokes grants, records the revocations, and notifies every replica. Grants are locked in the order of their ids, so that this
 * and a statement that refreshes several of them do not wait for each other.
 *
 * @returns the grants that were active.
 */
export function revokeGrants(
  sql: Queries,
  revoke: { ids: string[]; userId?: string; now: Date; rememberUntil: Date },
): Promise<{ id: string; client_id: string; user_id: string }[]> {
  return sql<{ id: string; client_id: string; user_id: string }[]>`
    with ended as (
      update grants
      set revoked_at = ${revoke.now}
      where id = any (array(
        select id
        from grants
        where id = any (${revoke.ids}::uuid[])
          and (${revoke.userId ?? null}::uuid is null or user_id = ${revoke.userId ?? null}::uuid)
          and revoked_at is null
        order by id
        for no key update
      ))
      returning id, client_id, user_id
    ),
    remembered as (
      insert into revocations (subject, revoked_at, expires_at)
      select 'grant:' || id, ${revoke.now}, ${revoke.rememberUntil}
      from ended
      on conflict (subject) do nothing
    )
    select id, client_id, user_id, pg_notify(${CHANNEL}, 'revoked grant:' || id) as notified
    from ended`
}

/**
 * Revokes a user's grants, like {@link revokeGrants}.
 *
 * @returns the grants that were active.
 */
export function revokeGrantsOfUser(
  sql: Queries,
  { userId, clientId, scope, ...revoke }: UserRights & { now: Date; rememberUntil: Date },
): Promise<{ id: string; client_id: string }[]> {
  return sql<{ id: string; client_id: string }[]>`
    with ended as (
      update grants
      set revoked_at = ${revoke.now}
      where id = any (array(
        select id
        from grants
        where user_id = ${userId}
          and revoked_at is null
          and expires_at > ${revoke.now}
          and (${clientId ?? null}::text is null or client_id = ${clientId ?? null})
          and (${scope ?? null}::text is null or ${scope ?? null} = any (scope))
        order by id
        for no key update
      ))
      returning id, client_id
    ),
    remembered as (
      insert into revocations (subject, revoked_at, expires_at)
      select 'grant:' || id, ${revoke.now}, ${revoke.rememberUntil}
      from ended
      on conflict (subject) do nothing
    )
    select id, client_id, pg_notify(${CHANNEL}, 'revoked grant:' || id) as notified
    from ended`
}
