import type { Queries } from './index.ts'
import { CHANNEL } from './notifications.ts'

export interface SigningKeyRow {
  kid: string
  public_jwk: Record<string, string>
  private_key: Uint8Array
  created_at: Date
  retired_at: Date | null
}

/** The keys whose tokens may be alive: the current one first. */
export function listSigningKeys(sql: Queries, retiredAfter: Date): Promise<SigningKeyRow[]> {
  return sql<SigningKeyRow[]>`
    select kid, public_jwk, private_key, created_at, retired_at
    from signing_keys
    where retired_at is null or retired_at > ${retiredAfter}
    order by retired_at desc nulls first, created_at desc`
}

/** Serialises key creation, so that replicas that start together agree on one key. For the rest of the transaction. */
export async function lockSigningKeys(sql: Queries): Promise<void> {
  await sql`lock table signing_keys in share row exclusive mode`
}

export async function insertSigningKey(
  sql: Queries,
  key: { kid: string; publicJwk: Record<string, string>; privateKey: Uint8Array; now: Date },
): Promise<void> {
  await sql`
    insert into signing_keys (kid, public_jwk, private_key, created_at)
    values (${key.kid}, ${sql.json(key.publicJwk)}, ${key.privateKey}, ${key.now})`
}

/** Retires every key but the new one, and tells every replica. */
export async function retireSigningKeys(sql: Queries, retire: { except: string; now: Date }): Promise<void> {
  await sql`
    with retired as (
      update signing_keys
      set retired_at = ${retire.now}
      where kid <> ${retire.except}
        and retired_at is null
    )
    select pg_notify(${CHANNEL}, 'keys')`
}

/** Deletes at most `limit` keys that were retired before `before`: private halves need not outlive their use. @returns how many. */
export async function sweepSigningKeys(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from signing_keys
    where kid in (select kid from signing_keys where retired_at < ${before} limit ${limit} for update skip locked)
    returning kid`
  return rows.length
}

/** Whether the database has any key, retired ones included: whether anything in it is sealed with AUTH_SECRET. */
export async function hasSigningKeys(sql: Queries): Promise<boolean> {
  const [row] = await sql<{ found: boolean }[]>`select exists (select from signing_keys) as found`
  return row!.found
}
