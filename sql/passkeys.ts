import type { Queries } from './index.ts'

export interface PasskeyRow {
  id: string
  user_id: string
  public_key: Uint8Array
  counter: number
  transports: string[]
  name: string
  backed_up: boolean
  created_at: Date
  used_at: Date | null
}

/** Adds a passkey, unless the user has `limit`, or somebody has it already. @returns whether it was added. */
export async function insertPasskey(
  sql: Queries,
  passkey: {
    id: string
    userId: string
    publicKey: Uint8Array
    counter: number
    transports: string[]
    name: string
    backedUp: boolean
    now: Date
  },
  limit: number,
): Promise<boolean> {
  const rows = await sql`
    insert into passkeys (id, user_id, public_key, counter, transports, name, backed_up, created_at)
    select
      ${passkey.id}, ${passkey.userId}::uuid, ${passkey.publicKey}, ${passkey.counter}, ${passkey.transports}::text[],
      ${passkey.name}, ${passkey.backedUp}, ${passkey.now}
    where (select count(*) from passkeys where user_id = ${passkey.userId}::uuid) < ${limit}::int
    on conflict (id) do nothing
    returning id`
  return rows.length === 1
}

export async function findPasskey(sql: Queries, id: string): Promise<PasskeyRow | undefined> {
  const [row] = await sql<PasskeyRow[]>`
    select *, counter::float8 as counter
    from passkeys
    where id = ${id}`
  return row
}

/** A user's passkeys, oldest first. */
export function listPasskeys(sql: Queries, userId: string): Promise<PasskeyRow[]> {
  return sql<PasskeyRow[]>`
    select *, counter::float8 as counter
    from passkeys
    where user_id = ${userId}
    order by created_at, id`
}

/**
 * Stores that a passkey was used, unless it has been used since `counter` was read.
 *
 * @returns its user, unless they are disabled.
 */
export async function usePasskey(
  sql: Queries,
  use: { id: string; counter: number; newCounter: number; backedUp: boolean; now: Date },
): Promise<{ user_id: string } | undefined> {
  const [row] = await sql<{ user_id: string }[]>`
    with used as (
      update passkeys
      set
        counter = ${use.newCounter},
        backed_up = ${use.backedUp},
        used_at = ${use.now}
      where id = ${use.id}
        and counter = ${use.counter}
      returning user_id
    )
    update users
    set signed_in_at = ${use.now}
    from used
    where users.id = used.user_id
      and users.disabled_at is null
    returning users.id as user_id`
  return row
}

/** @returns whether the user has this passkey. */
export async function renamePasskey(
  sql: Queries,
  passkey: { id: string; userId: string; name: string },
): Promise<boolean> {
  const rows = await sql`
    update passkeys
    set name = ${passkey.name}
    where id = ${passkey.id}
      and user_id = ${passkey.userId}
    returning id`
  return rows.length === 1
}

/** Deletes a user's passkey, but not the last one, unless `evenLast` or they have another way to sign in. @returns its name. */
export async function deletePasskey(
  sql: Queries,
  passkey: { id: string; userId: string; evenLast: boolean },
): Promise<string | undefined> {
  const [row] = await sql<{ name: string }[]>`
    with mine as materialized (
      select id, name
      from passkeys
      where user_id = ${passkey.userId}
      for update
    )
    delete from passkeys
    using mine
    where passkeys.id = mine.id
      and mine.id = ${passkey.id}
      and (${passkey.evenLast} or (select count(*) from mine) > 1)
    returning passkeys.name`
  return row?.name
}

/** Whether a user can sign in through a provider. */
export async function hasIdentity(sql: Queries, userId: string): Promise<boolean> {
  const rows = await sql`
    select issuer
    from identities
    where user_id = ${userId}
    limit 1`
  return rows.length === 1
}
