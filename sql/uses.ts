import type { Queries } from './index.ts'

export interface Use {
  /** Of a grant or a personal access token. */
  id: string
  at: Date
  network: string
}

/**
 * Stores last uses; a later one that is already stored stays. A row that is locked at the moment is left out: waiting for it
 * could deadlock with a revocation, or with another replica that stores its uses in another order.
 *
 * @returns the ids whose rows were locked.
 */
export async function updateUses(sql: Queries, uses: readonly Use[]): Promise<string[]> {
  const ids = uses.map(({ id }) => id)
  const locked = await sql<{ id: string }[]>`
    with used as (
      select
        unnest(${ids}::uuid[]) as id,
        unnest(${uses.map(({ at }) => at.toISOString())}::text[])::timestamptz as at,
        unnest(${uses.map(({ network }) => network)}::text[]) as network
    ),
    free_tokens as (
      select id
      from personal_tokens
      where id = any (${ids}::uuid[])
      for no key update skip locked
    ),
    tokens as (
      update personal_tokens
      set used_at = greatest(used_at, used.at)
      from used
      join free_tokens on free_tokens.id = used.id
      where personal_tokens.id = used.id
    ),
    free as (
      select id
      from grants
      where id = any (${ids}::uuid[])
      for no key update skip locked
    ),
    stored as (
      update grants
      set
        called_at = used.at,
        called_from = used.network
      from used
      join free on free.id = used.id
      where grants.id = used.id
        and coalesce(grants.called_at < used.at, true)
    )
    select id
    from (
      select id from grants where id = any (${ids}::uuid[])
      union all
      select id from personal_tokens where id = any (${ids}::uuid[])
    ) as known
    where id not in (select id from free)
      and id not in (select id from free_tokens)`
  return locked.map(({ id }) => id)
}
