import type { Queries } from './index.ts'

/** What one server process says of its upstreams. */
export interface UpstreamStatusRow {
  /** The process: host name and process id. */
  server: string
  status: unknown[]
  at: Date
}

/** Replaces what a server said before. */
export async function upsertUpstreamStatus(sql: Queries, row: UpstreamStatusRow): Promise<void> {
  await sql`
    insert into upstream_status (server, status, at)
    values (${row.server}, ${sql.json(row.status as never)}, ${row.at})
    on conflict (server) do update
    set
      status = excluded.status,
      at = excluded.at`
}

export function listUpstreamStatus(sql: Queries, since: Date): Promise<UpstreamStatusRow[]> {
  return sql<UpstreamStatusRow[]>`
    select server, status, at
    from upstream_status
    where at > ${since}
    order by server`
}

export async function deleteUpstreamStatus(sql: Queries, server: string): Promise<void> {
  await sql`
    delete from upstream_status
    where server = ${server}`
}

/** Deletes at most `limit` of servers that have said nothing since `before`. @returns how many. */
export async function sweepUpstreamStatus(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from upstream_status
    where server in (select server from upstream_status where at < ${before} limit ${limit} for update skip locked)
    returning server`
  return rows.length
}
