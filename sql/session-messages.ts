import type { Queries } from './index.ts'
import { SESSION_CHANNEL } from './notifications.ts'

/** Stores a message for the replica that waits for it, and notifies every replica. */
export async function insertSessionMessage(
  sql: Queries,
  message: { id: string; session: string; content: Uint8Array; now: Date },
): Promise<void> {
  await sql`
    with stored as (
      insert into session_messages (id, session, content, created_at)
      values (${message.id}, ${message.session}, ${message.content}, ${message.now})
    )
    select pg_notify(${SESSION_CHANNEL}, ${`${message.session} ${message.id}`})`
}

export async function findSessionMessage(sql: Queries, id: string): Promise<Uint8Array | undefined> {
  const [row] = await sql<{ content: Uint8Array }[]>`
    select content
    from session_messages
    where id = ${id}`
  return row?.content
}

/** The messages for some sessions since a time, oldest first. */
export function listSessionMessages(
  sql: Queries,
  sessions: string[],
  since: Date,
): Promise<{ session: string; content: Uint8Array }[]> {
  return sql<{ session: string; content: Uint8Array }[]>`
    select session, content
    from session_messages
    where session = any (${sessions}::text[])
      and created_at >= ${since}
    order by created_at`
}

/** Deletes at most `limit` messages that were stored before `before`. @returns how many. */
export async function sweepSessionMessages(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from session_messages
    where id = any (array(
      select id
      from session_messages
      where created_at < ${before}
      order by created_at
      limit ${limit}
      for update skip locked
    ))
    returning id`
  return rows.length
}
