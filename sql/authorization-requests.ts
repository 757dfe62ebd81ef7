import type { Queries } from './index.ts'

export interface AuthorizationRequestRow {
  parameters: Uint8Array
  created_at: Date
  decision: 'approved' | 'denied' | null
  /** The session that decided it. */
  session_hash: Uint8Array | null
}

export async function insertAuthorizationRequest(
  sql: Queries,
  request: { id: string; parameters: Uint8Array; now: Date; expiresAt: Date },
): Promise<void> {
  await sql`
    insert into authorization_requests (id, parameters, created_at, expires_at)
    values (${request.id}, ${request.parameters}, ${request.now}, ${request.expiresAt})`
}

/** Finds an unexpired request, decided or not. */
export async function findAuthorizationRequest(
  sql: Queries,
  id: string,
  now: Date,
): Promise<AuthorizationRequestRow | undefined> {
  const [row] = await sql<AuthorizationRequestRow[]>`
    select parameters, created_at, decision, session_hash
    from authorization_requests
    where id = ${id}
      and expires_at > ${now}`
  return row
}

/** @returns whether this call decided the request. */
export async function decideAuthorizationRequest(
  sql: Queries,
  decision: { id: string; decision: 'approved' | 'denied'; sessionHash: Uint8Array; now: Date },
): Promise<boolean> {
  const rows = await sql`
    update authorization_requests
    set
      decision = ${decision.decision},
      session_hash = ${decision.sessionHash}
    where id = ${decision.id}
      and decision is null
      and expires_at > ${decision.now}
    returning id`
  return rows.length === 1
}

/** Deletes at most `limit` requests that expired before `now`. @returns how many. */
export async function sweepExpiredRequests(sql: Queries, now: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from authorization_requests
    where id = any (array(
      select id
      from authorization_requests
      where expires_at <= ${now}
      order by expires_at
      limit ${limit}
      for update skip locked
    ))
    returning id`
  return rows.length
}

/** Deletes at most `limit` requests that are older than the newest `keep`. @returns how many. */
export async function sweepSurplusRequests(sql: Queries, keep: number, limit: number): Promise<number> {
  const rows = await sql`
    delete from authorization_requests
    where id = any (array(
      select id
      from authorization_requests
      where created_at < (
        select created_at
        from authorization_requests
        order by created_at desc
        offset ${keep}
        limit 1
      )
      order by created_at
      limit ${limit}
      for update skip locked
    ))
    returning id`
  return rows.length
}
