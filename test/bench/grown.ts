/** Fills the tables that grow with use, and tells how large their rows are. */
import type { Queries } from '../../sql/index.ts'
import type { Database } from '../../src/db/index.ts'
import { runSeeds } from './seed.ts'

/** Beyond the rows of `seed.ts`. */
const FIRST = 1_000_000_000

let filled = 0

/** Adds users, clients, grants, refresh tokens and audit events, and as many rows of what is short-lived, until there are `rows` of each. */
export async function fillTo(db: Database, rows: number): Promise<void> {
  const uuid = "lpad(to_hex(n), 32, '0')::uuid"
  const hash = "sha256(('grown' || n)::bytea)"
  const times = "now() - interval '1 day', now() + interval '30 days'"
  const scope = "array['mcp:tools:read', 'mcp:tools:call']"
  const resource = "'https://mcp.example/mcp'"
  const inserts = [
    `users (id, email, name, created_at) select ${uuid}, 'person' || n || '@example.com', 'Person ' || n, now()`,
    `clients (id, name, source, auth_method, grant_types, redirect_uris, scope, created_at, used_at)
      select 'c_' || lpad(n::text, 16, '0'), 'Client', 'dynamic', 'none', array['authorization_code', 'refresh_token'],
        array['http://localhost/callback'], ${scope}, now() - interval '1 day', now()`,
    `grants (id, client_id, user_id, scope, resource, created_at, used_at, expires_at, rotated_hash, refreshed_network, refreshed_agent)
      select ${uuid}, 'c_' || lpad(n::text, 16, '0'), ${uuid}, ${scope}, ${resource}, now() - n % 100000 * interval '1 second',
        now(), now() + n % 100000 * interval '1 second' + interval '30 days', ${hash}, '192.0.2.1', 'some-cli/'`,
    `refresh_tokens (token_hash, grant_id, created_at, expires_at) select ${hash}, ${uuid}, ${times}`,
    `authorization_codes (code_hash, client_id, user_id, redirect_uri, scope, resource, code_challenge, created_at, expires_at)
      select ${hash}, 'c_' || lpad(n::text, 16, '0'), ${uuid}, 'http://localhost/callback', ${scope}, ${resource}, repeat('x', 43), ${times}`,
    `device_codes (id, device_code_hash, user_code, client_id, scope, resource, interval_seconds, request_ip, request_agent, created_at, expires_at)
      select ${uuid}, ${hash}, 'Z' || translate(lpad((n - ${FIRST})::text, 7, '0'), '0123456789', 'BCDFGHJKLM'),
        'c_' || lpad(n::text, 16, '0'), ${scope}, ${resource}, 5, '192.0.2.1', 'some-cli/1.2.3', ${times}`,
    `audit_events (at, event, user_id, client_id, grant_id, ip, detail)
      select now() - n % 1000000 * interval '1 second', 'tool.called', ${uuid}, 'c_' || lpad(n::text, 16, '0'), ${uuid}, '192.0.2.1',
        '{"tool": "whoami", "failed": false}'`,
    `revocations (subject, revoked_at, expires_at) select 'grant:' || ${uuid}, now(), now() + interval '2 days'`,
  ]
  const STEP = 100_000
  for (; filled < rows; filled += Math.min(STEP, rows - filled)) {
    const last = FIRST + Math.min(filled + STEP, rows) - 1
    const series = `from generate_series(${FIRST + filled}::bigint, ${last}) as n`
    for (const insert of inserts)
      await runSeeds(db, [
        `set local session_replication_role = replica; insert into ${insert} ${series} on conflict do nothing`, // foreign keys are kept without being checked
      ])
  }
  await db.sql`vacuum analyze`.catch(() => {}) // it may take longer than a statement may; then autovacuum does it
}

/** Bytes of a row, and of its entries in each index. */
export async function sizesOf(
  sql: Queries,
): Promise<{ table: string; rows: number; row: number; indexes: Record<string, number> }[]> {
  const tables = await sql<{ table: string; rows: number; row: number; indexes: Record<string, number> }[]>`
    select
      relname as table, reltuples::float8 as rows, round(pg_table_size(oid) / reltuples)::int as row,
      (
        select json_object_agg(indexrelid::regclass::text, round(pg_relation_size(indexrelid) / sized.reltuples))
        from pg_index
        where indrelid = sized.oid
      ) as indexes
    from pg_class as sized
    where relkind = 'r'
      and relnamespace = 'public'::regnamespace
      and reltuples > 500
    order by relname`
  return [...tables]
}
