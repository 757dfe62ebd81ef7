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
}

export async function findTools(sql: Queries, upstream: string, principal: string): Promise<ToolRow[]> {
  return sql<ToolRow[]>`
    select name, fingerprint, pending
    from upstream_tools
    where upstream = ${upstream}
      and principal = ${principal}`
}

/** Stores fingerprints, replacing both of a known tool. */
export async function upsertTools(
  sql: Queries,
  tools: { upstream: string; principal: string; now: Date; rows: readonly ToolRow[] },
): Promise<void> {
  const rows = tools.rows.map(({ name, fingerprint, pending }) => ({ name, fingerprint, pending }))
  await sql`
    insert into upstream_tools (upstream, principal, name, fingerprint, pending, seen_at)
    select ${tools.upstream}::text, ${tools.principal}::text, name, fingerprint, pending, ${tools.now}::timestamptz
    from jsonb_to_recordset(${sql.json(rows)}) as row (name text, fingerprint text, pending text)
    on conflict (upstream, principal, name) do update
    set fingerprint = excluded.fingerprint,
        pending = excluded.pending,
        seen_at = excluded.seen_at`
}

/** Accepts pending tool changes, and notifies every replica. @returns the names of the tools. */
export async function trustTools(sql: Queries, upstream: string): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    with trusted as (
      update upstream_tools
      set fingerprint = pending,
          pending = null
      where upstream = ${upstream}
        and pending is not null
      returning name
    ),
    told as (
      select pg_notify(${UPSTREAM_CHANNEL}, ${`trusted ${upstream}`})
      from trusted
      limit 1
    )
    select trusted.name
    from trusted
    left join told on true
    order by trusted.name`
  return rows.map(({ name }) => name)
}
