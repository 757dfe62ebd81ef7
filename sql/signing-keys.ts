import type { Queries } from './index.ts'
import { CHANNEL } from './notifications.ts'

export interface SigningKeyRow {
  kid: string
  public_jwk: Record<string, string>
  private_key: Uint8Array
  created_at: Date
  /** It is published earlier, so that cached key sets contain it by then. */
  signs_at: Date
  retired_at: Date | null
}

/** The keys that may have signed unexpired tokens, newest first. */
export function listSigningKeys(sql: Queries, retiredAfter: Date): Promise<SigningKeyRow[]> {
  return sql<SigningKeyRow[]>`
    select kid, public_jwk, private_key, created_at, signs_at, retired_at
    from signing_keys
    where retired_at is null or retired_at > ${retiredAfter}
    order by signs_at desc, created_at desc`
}

/** Serializes key creation for the rest of the transaction, so that replicas that start together agree on one key. */
export async function lockSigningKeys(sql: Queries): Promise<void> {
  await sql`lock table signing_keys in share row exclusive mode`
}

export async function insertSigningKey(
  sql: Queries,
  key: { kid: string; publicJwk: Record<string, string>; privateKey: Uint8Array; now: Date; signsAt: Date },
): Promise<void> {
  await sql`
    insert into signing_keys (kid, public_jwk, private_key, created_at, signs_at)
    values (${key.kid}, ${sql.json(key.publicJwk)}, ${key.privateKey}, ${key.now}, ${key.signsAt})`
}

/** Retires every key except the new one at the time it starts to sign, and notifies every replica. */
export async function retireSigningKeys(sql: Queries, retire: { except: string; at: Date }): Promise<void> {
  await sql`
    with retired as (
      update signing_keys
      set retired_at = ${retire.at}
      where kid <> ${retire.except}
        and retired_at is null
    )
    select pg_notify(${CHANNEL}, 'keys')`
}

/**
 * Deletes every key except the new one, records their revocation, so that replicas with cached tokens refuse them, and
 * notifies every replica.
 *
 * @returns the deleted keys.
 */
export function dropSigningKeys(
  sql: Queries,
  drop: { except: string; now: Date; rememberUntil: Date },
): Promise<{ kid: string }[]> {
  return sql<{ kid: string }[]>`
    with dropped as (
      delete from signing_keys
      where kid <> ${drop.except}
      returning kid
    ),
    remembered as (
      insert into revocations (subject, revoked_at, expires_at)
      select 'key:' || kid, ${drop.now}, ${drop.rememberUntil}
      from dropped
      on conflict (subject) do nothing
    )
    select
      kid,
      pg_notify(${CHANNEL}, 'revoked key:' || kid) as revoked,
      pg_notify(${CHANNEL}, 'keys') as notified
    from dropped`
}

/** Deletes at most `limit` keys that were retired before `before`. @returns how many. */
export async function sweepSigningKeys(sql: Queries, before: Date, limit: number): Promise<number> {
  const rows = await sql`
    delete from signing_keys
    where kid in (select kid from signing_keys where retired_at < ${before} limit ${limit} for update skip locked)
    returning kid`
  return rows.length
}

/** Whether there is any key, including retired ones, so that AUTH_SECRET has already been used. */
export async function hasSigningKeys(sql: Queries): Promise<boolean> {
  const [row] = await sql<{ found: boolean }[]>`select exists (select from signing_keys) as found`
  return row!.found
}
