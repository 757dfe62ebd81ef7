import type { Queries } from './index.ts'

/** The status of the upstreams of one server process. */
export interface UpstreamStatusRow {
  /** The process: host name, process id, and a random part. */
  server: string
  status: unknown[]
  at: Date
}

/** Stores a server's status, replacing its earlier one. */
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

/** Deletes the status of at most `limit` servers that have stored none since `before`. @returns how many. */
export async function sweepUpstreamStatus(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from upstream_status
    where server in (select server from upstream_status where at < ${before} limit ${limit} for update skip locked)
    returning server`
  return rows.length
}
