import type { Queries } from './index.ts'

export interface NewStep {
  at: Date
  step: string
  clientId: string | null
  network: string
  program: string
  status: number
  answer: string | null
  known: boolean
}

/**
 * Appends steps in one statement. A call counts as a step only if its client got a token after `since`, or among these steps: it
 * is then the first call.
 */
export async function insertConnectionSteps(sql: Queries, steps: NewStep[], since: Date): Promise<void> {
  await sql`
    with batch as materialized (
      select *
      from jsonb_to_recordset(${sql.json(
        steps.map(({ at, clientId, ...step }) => ({ ...step, at: at.toISOString(), client_id: clientId })),
      )}) as row (
        at timestamptz, step text, client_id text, network text, program text, status smallint, answer text, known boolean
      )
    )
    insert into connection_steps (at, step, client_id, network, program, status, answer, known)
    select at, step, client_id, network, program, status, answer, known
    from batch
    where step <> 'call'
      or status >= 400
      or client_id in (select client_id from batch where step = 'token')
      or (
        select true
        from connection_steps as earlier
        where earlier.client_id = batch.client_id
          and earlier.at > ${since}
          and earlier.step = 'token'
        limit 1
      )`
}

export interface StepRow {
  at: Date
  step: string
  client_id: string | null
  network: string
  program: string
  status: number
  answer: string | null
}

/** The newest steps, in the order in which they were stored. */
export async function listConnectionSteps(sql: Queries, limit: number): Promise<StepRow[]> {
  const rows = await sql<StepRow[]>`
    select at, step, client_id, network, program, status, answer
    from connection_steps
    order by id desc
    limit ${limit}`
  return rows.toReversed()
}

/** Deletes at most `limit` steps older than `before`. @returns how many. */
export async function sweepOldSteps(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from connection_steps
    where id = any (array(
      select id
      from connection_steps
      where at < ${before}
      order by at
      limit ${limit}
      for update skip locked
    ))
    returning id`
  return rows.length
}

/** Deletes at most `limit` steps beyond the newest `keep` of those that are known, or of those that are not. @returns how many. */
export async function sweepSurplusSteps(sql: Queries, known: boolean, keep: number, limit: number): Promise<number> {
  const rows = await sql`
    delete from connection_steps
    where id = any (array(
      select id
      from connection_steps
      where known = ${known}
      order by id desc
      limit ${limit}
      offset ${keep}
    ))
    returning id`
  return rows.length
}

/** The names of clients. */
export function listClientNames(sql: Queries, ids: string[]): Promise<{ id: string; name: string }[]> {
  return sql<{ id: string; name: string }[]>`
    select id, name
    from clients
    where id = any (${ids}::text[])`
}
