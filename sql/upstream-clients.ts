import type { Queries } from './index.ts'

export interface ClientAt {
  issuer: string
  redirectUri: string
}

/** Our sealed client registration at an authorization server. */
export async function findUpstreamClient(sql: Queries, at: ClientAt): Promise<Uint8Array | undefined> {
  const [row] = await sql<{ client: Uint8Array }[]>`
    select client
    from upstream_clients
    where issuer = ${at.issuer}
      and redirect_uri = ${at.redirectUri}`
  return row?.client
}

/** Stores a registration. @returns the stored one, which is another replica's if that was first. */
export async function insertUpstreamClient(
  sql: Queries,
  client: ClientAt & { client: Uint8Array; now: Date },
): Promise<Uint8Array> {
  const [row] = await sql<{ client: Uint8Array }[]>`
    insert into upstream_clients (issuer, redirect_uri, client, registered_at)
    values (${client.issuer}, ${client.redirectUri}, ${client.client}, ${client.now})
    on conflict (issuer, redirect_uri) do update
    set client = upstream_clients.client
    returning client`
  return row!.client
}

/** Deletes a registration that its server no longer knows. */
export async function deleteUpstreamClient(sql: Queries, at: ClientAt): Promise<void> {
  await sql`
    delete from upstream_clients
    where issuer = ${at.issuer}
      and redirect_uri = ${at.redirectUri}`
}
