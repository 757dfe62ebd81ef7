import type { Queries } from './index.ts'
import { UPSTREAM_CHANNEL } from './notifications.ts'

export interface EraRow {
  speaks: '2026' | '2025' | '2025-sse'
  found_at: Date
}

export async function findEra(sql: Queries, reachedHash: Uint8Array): Promise<EraRow | undefined> {
  const [row] = await sql<EraRow[]>`
    select speaks, found_at
    from upstream_eras
    where reached_hash = ${reachedHash}`
  return row
}

export async function upsertEra(
  sql: Queries,
  era: { reachedHash: Uint8Array; speaks: EraRow['speaks']; now: Date },
): Promise<void> {
  await sql`
    insert into upstream_eras (reached_hash, speaks, found_at)
    values (${era.reachedHash}, ${era.speaks}, ${era.now})
    on conflict (reached_hash) do update
    set speaks = excluded.speaks,
        found_at = excluded.found_at`
}

export interface CatalogueKey {
  upstream: string
  /** Empty: shared by all. */
  principal: string
  reachedHash: Uint8Array
}

/** The stored lists of one upstream for one principal, fetched with the same command line or URL. */
export async function findCatalogues(sql: Queries, key: CatalogueKey): Promise<{ kind: string; content: string }[]> {
  return sql<{ kind: string; content: string }[]>`
    select kind, content
    from upstream_catalogues
    where upstream = ${key.upstream}
      and principal = ${key.principal}
      and reached_hash = ${key.reachedHash}`
}

export async function upsertCatalogue(
  sql: Queries,
  catalogue: CatalogueKey & { kind: string; content: string; now: Date },
): Promise<void> {
  await sql`
    insert into upstream_catalogues (upstream, principal, kind, reached_hash, content, fetched_at)
    values (${catalogue.upstream}, ${catalogue.principal}, ${catalogue.kind}, ${catalogue.reachedHash}, ${catalogue.content}, ${catalogue.now})
    on conflict (upstream, principal, kind) do update
    set reached_hash = excluded.reached_hash,
        content = excluded.content,
        fetched_at = excluded.fetched_at`
}

export async function deleteCatalogues(sql: Queries, upstream: string, principal: string): Promise<void> {
  await sql`
    delete from upstream_catalogues
    where upstream = ${upstream}
      and principal = ${principal}`
}

/** Deletes what is stored of every upstream for one principal. */
export async function deleteOfPrincipal(sql: Queries, principal: string): Promise<void> {
  await sql`
    with tools as (
      delete from upstream_tools
      where principal = ${principal}
    )
    delete from upstream_catalogues
    where principal = ${principal}`
}

/** Deletes at most `limit` catalogues of single principals that were fetched before `before`. @returns how many. */
export async function sweepCatalogues(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from upstream_catalogues
    where ctid = any (array(
      select ctid
      from upstream_catalogues
      where fetched_at < ${before}
        and principal <> ''
      order by fetched_at
      limit ${limit}
      for update skip locked
    ))
    returning kind`
  return rows.length
}

export interface ToolRow {
  name: string
  fingerprint: string
  pending: string | null
  /** Whether the text of the newest of both is stored. */
  hasText: boolean
}

export async function findTools(sql: Queries, upstream: string, principal: string): Promise<ToolRow[]> {
  return sql<ToolRow[]>`
    select
      name, fingerprint, pending,
      case when pending is null then accepted is not null else offered is not null end as "hasText"
    from upstream_tools
    where upstream = ${upstream}
      and principal = ${principal}`
}

export interface OfferedTool {
  name: string
  fingerprint: string
  /** What the fingerprint is of, if that is to be shown. */
  text: string | null
}

/**
 * Stores fingerprints of tools. One that differs from what is stored replaces it, or with `blocking` waits to be accepted. What
 * another replica has stored since it was read is compared here, too.
 *
 * @returns whether each waits.
 */
export function offerTools(
  sql: Queries,
  tools: { upstream: string; principal: string; now: Date; blocking: boolean; offered: readonly OfferedTool[] },
): Promise<{ name: string; waits: boolean }[]> {
  return sql<{ name: string; waits: boolean }[]>`
    insert into upstream_tools as tool (upstream, principal, name, fingerprint, accepted, seen_at)
    select ${tools.upstream}::text, ${tools.principal}::text, name, fingerprint, text, ${tools.now}::timestamptz
    from jsonb_to_recordset(${sql.json(tools.offered as never)}) as row (name text, fingerprint text, text text)
    order by name
    on conflict (upstream, principal, name) do update
    set fingerprint = case
          when ${tools.blocking}::boolean and tool.fingerprint <> excluded.fingerprint then tool.fingerprint
          else excluded.fingerprint
        end,
        pending = case
          when ${tools.blocking}::boolean and tool.fingerprint <> excluded.fingerprint then excluded.fingerprint
        end,
        accepted = case
          when ${tools.blocking}::boolean and tool.fingerprint <> excluded.fingerprint then tool.accepted
          when tool.fingerprint = excluded.fingerprint then coalesce(excluded.accepted, tool.accepted)
          else excluded.accepted
        end,
        offered = case
          when ${tools.blocking}::boolean and tool.fingerprint <> excluded.fingerprint then excluded.accepted
        end,
        seen_at = excluded.seen_at
    returning name, pending is not null as waits`
}

export interface PendingTool {
  name: string
  /** The fingerprint of what is offered. */
  pending: string
  accepted: string | null
  offered: string | null
  /** For how many principals. */
  principals: number
}

/** Tools of an upstream that wait to be accepted. */
export function listPendingTools(sql: Queries, upstream: string, limit: number): Promise<PendingTool[]> {
  return sql<PendingTool[]>`
    select name, pending, accepted, offered, count(*)::int as principals
    from upstream_tools
    where upstream = ${upstream}
      and pending is not null
    group by name, fingerprint, pending, accepted, offered
    order by name, pending
    limit ${limit}`
}

/** How many tools of each upstream wait to be accepted. */
export function countPendingTools(sql: Queries): Promise<{ upstream: string; count: number }[]> {
  return sql<{ upstream: string; count: number }[]>`
    select upstream, count(distinct name)::int as count
    from upstream_tools
    where pending is not null
    group by upstream`
}

/**
 * Accepts pending tool changes, and notifies every replica.
 *
 * @param seen Only those with these fingerprints. @returns what was accepted; a tool may differ from person to person.
 */
export function trustTools(
  sql: Queries,
  upstream: string,
  seen: string[] | null,
): Promise<{ name: string; fingerprint: string }[]> {
  return sql<{ name: string; fingerprint: string }[]>`
    with trusted as (
      update upstream_tools
      set fingerprint = pending,
          pending = null,
          accepted = offered,
          offered = null
      where upstream = ${upstream}
        and pending is not null
        and (${seen}::text[] is null or pending = any (${seen}::text[]))
      returning name, fingerprint
    ),
    told as (
      select pg_notify(${UPSTREAM_CHANNEL}, ${`trusted ${upstream}`})
      from trusted
      limit 1
    )
    select distinct trusted.name, trusted.fingerprint
    from trusted
    left join told on true
    order by trusted.name, trusted.fingerprint`
}

/** Tells every replica but the one called `sender` to restart an upstream. */
export async function notifyRestart(sql: Queries, upstream: string, sender: string): Promise<void> {
  await sql`select pg_notify(${UPSTREAM_CHANNEL}, ${`restart ${sender} ${upstream}`})`
}
