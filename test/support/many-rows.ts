/** 100,000 rows in every table that grows. */
import type { Database } from '../../src/db/index.ts'

export const ROWS = 100_000

/**
 * One user, client and grant for every row of the other tables, so that none is special. Everything expired by 2022.
 * Resolves when the database is idle again.
 */
export async function fillTables(db: Database, rows = ROWS): Promise<void> {
  const time = "timestamptz '2020-01-01' + n * interval '10 minutes'"
  const hash = 'sha256(n::text::bytea)'
  const uuid = 'md5(n::text)::uuid'
  const series = `from generate_series(1, ${rows}) as n`
  const scope = "array['mcp:tools:read']"
  const inserts = [
    `users (id, email, created_at) select ${uuid}, n || '@example.com', ${time}`,
    `identities (issuer, subject, user_id, created_at) select 'https://issuer.example', n::text, ${uuid}, ${time}`,
    `sign_in_links (token_hash, user_id, created_at, expires_at) select ${hash}, ${uuid}, ${time}, ${time}`,
    `sessions (id_hash, user_id, created_at, expires_at) select ${hash}, ${uuid}, ${time}, ${time}`,
    `passkeys (id, user_id, public_key, counter, name, backed_up, created_at)
      select n::text, ${uuid}, ${hash}, 0, 'laptop', true, ${time}`,
    `clients (id, name, source, auth_method, grant_types, scope, created_at, used_at, fresh_until)
      select 'c_' || n, 'Client ' || n, case n % 3 when 0 then 'metadata' else 'dynamic' end, 'none', array['refresh_token'],
        ${scope}, ${time}, case n % 2 when 0 then ${time} end, case n % 3 when 0 then ${time} end`,
    `grants (id, client_id, user_id, scope, resource, created_at, used_at, expires_at, revoked_at)
      select ${uuid}, 'c_' || n, ${uuid}, ${scope}, 'https://mcp.example/mcp', ${time}, ${time}, ${time},
        case n % 2 when 0 then ${time} end`,
    `refresh_tokens (token_hash, grant_id, created_at, expires_at, consumed_at)
      select ${hash}, ${uuid}, ${time}, ${time}, case n % 2 when 0 then ${time} end`,
    `device_codes (id, device_code_hash, user_code, client_id, scope, resource, interval_seconds, created_at, expires_at, user_id)
      select ${uuid}, ${hash}, translate(lpad(n::text, 8, '0'), '0123456789', 'BCDFGHJKLM'), 'c_' || n, ${scope},
        'https://mcp.example/mcp', 5, ${time}, ${time}, case n % 2 when 0 then ${uuid} end`,
    `device_polls (device_code_hash, polled_at, interval_seconds, outcome, expires_at)
      select ${hash}, ${time}, 5, 'pending', ${time}`,
    `authorization_codes (code_hash, client_id, user_id, redirect_uri, scope, resource, code_challenge, created_at, expires_at)
      select ${hash}, 'c_' || n, ${uuid}, 'http://localhost/', ${scope}, 'https://mcp.example/mcp', repeat('x', 43), ${time}, ${time}`,
    `consents (user_id, client_id, redirect_host, resource, scope, created_at)
      select ${uuid}, 'c_' || n, 'client.example', 'https://mcp.example/mcp', ${scope}, ${time}`,
    `used_assertions (id_hash, expires_at) select ${hash}, ${time}`,
    `revocations (subject, revoked_at, expires_at) select 'grant:' || n, ${time}, ${time}`,
    `audit_events (at, event, user_id, client_id) select ${time}, 'tool.called', ${uuid}, 'c_' || n`,
    `event_counts (hour, event, failed, count) select ${time}, 'tool.called', false, n`,
    `authorization_requests (id, parameters, created_at, expires_at) select ${uuid}, ${hash}, ${time}, ${time}`,
    `upstream_catalogues (upstream, principal, kind, reached_hash, content, fetched_at)
      select 'upstream' || n, 'user:' || n, 'tools', ${hash}, '[]', ${time}`,
    `upstream_tools (upstream, principal, name, fingerprint, seen_at)
      select 'upstream' || n, '', 'tool', repeat('0', 64), ${time}`,
    `upstream_accounts (upstream, user_id, url, issuer, scope, tokens, linked_at, refreshed_at)
      select 'upstream' || n, ${uuid}, 'https://notes.example/mcp', 'https://notes.example', ${scope}, ${hash}, ${time}, ${time}`,
    `upstream_trips (state_hash, session_hash, user_id, upstream, request, expires_at)
      select ${hash}, ${hash}, ${uuid}, 'upstream' || n, ${hash}, ${time}`,
    `session_messages (id, session, content, created_at) select ${uuid}, 'session' || n, ${hash}, ${time}`,
    `personal_tokens (id, token_hash, user_id, name, scope, resource, created_at, expires_at)
      select ${uuid}, ${hash}, ${uuid}, 'Token', ${scope}, 'https://mcp.example/mcp', ${time}, ${time}`,
    `connection_steps (at, step, client_id, network, program, status, known)
      select ${time}, 'token', 'c_' || n, '192.0.2.1', 'test', 200, n % 2 = 0`,
    `throttles (key, failures, resets_at) select 'device:user:' || n, 1, ${time}`,
  ]
  for (const insert of inserts) {
    await answers(db)
    await db.begin(async sql => {
      await sql.unsafe('set local statement_timeout = 0')
      await sql.unsafe('set local session_replication_role = replica') // foreign keys are kept without being checked
      await sql.unsafe(`insert into ${insert} ${series}`)
    }, 250_000)
  }
  await answers(db)
}

/** The embedded database keeps others waiting for so long meanwhile that they may believe it to be away. */
async function answers(db: Database): Promise<void> {
  const asked = () => db.sql`select 1`.then(() => true)
  while (!(await asked().catch(() => false))) await Bun.sleep(100)
}
