import type { Queries } from './index.ts'

export interface ServerRow {
  /** The process: host name, process id, and a random part. */
  name: string
  state: unknown
  at: Date
}

/** Stores the state of a server, replacing its earlier one. @returns how many have stored theirs since then. */
export async function upsertServer(sql: Queries, row: ServerRow, since: Date): Promise<number> {
  const [found] = await sql<{ count: number }[]>`
    with stored as (
      insert into servers (name, state, at)
      values (${row.name}, ${sql.json(row.state as never)}, ${row.at})
      on conflict (name) do update
      set
        state = excluded.state,
        at = excluded.at
    )
    select count(*)::int + 1 as count
    from servers
    where at > ${since}
      and name <> ${row.name}`
  return found!.count
}

export function listServers(sql: Queries, since: Date): Promise<ServerRow[]> {
  return sql<ServerRow[]>`
    select name, state, at
    from servers
    where at > ${since}
    order by name`
}

export async function deleteServer(sql: Queries, name: string): Promise<void> {
  await sql`
    delete from servers
    where name = ${name}`
}

/** Deletes at most `limit` servers that have stored nothing since `before`. @returns how many. */
export async function sweepServers(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from servers
    where name in (select name from servers where at < ${before} limit ${limit} for update skip locked)
    returning name`
  return rows.length
}
