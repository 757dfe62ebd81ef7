/** Rows that requests can use once, with secrets that the benchmark knows. */
import { createHash } from 'node:crypto'
import type { Database } from '../../src/db/index.ts'
import { type CaseName, VERIFIER } from './cases.ts'

const hashOf = (kind: string) => `sha256(convert_to('${kind}_' || lpad(n::text, 43, 'A'), 'UTF8'))`
const uuid = "lpad(to_hex(n), 32, '0')::uuid"
const scope = "array['mcp']"
/** Eight letters of the alphabet of user codes. */
const userCode = "translate(lpad(n::text, 8, '0'), '0123456789', 'BCDFGHJKLM')"

export interface SeedFor {
  client: string
  userId: string
  resource: string
}

/** The statements that make the rows `from` to `from + count - 1` for a case; none for most. */
export function seedsOf(name: CaseName, { client, userId, resource }: SeedFor, from: number, count: number): string[] {
  const series = `from generate_series(${from}, ${from + count - 1}) as n`
  const times = "now(), now() + interval '1 day'"
  const challenge = createHash('sha256').update(VERIFIER).digest('base64url')
  if (name === 'poll')
    return [
      `insert into device_codes (id, device_code_hash, user_code, client_id, scope, resource, interval_seconds, created_at, expires_at)
        select ${uuid}, ${hashOf('mdc')}, ${userCode}, '${client}', ${scope}, '${resource}', 5, ${times} ${series}`,
    ]
  if (name === 'exchange')
    return [
      `insert into authorization_codes (code_hash, client_id, user_id, redirect_uri, scope, resource, code_challenge, created_at, expires_at)
        select ${hashOf('mac')}, '${client}', '${userId}', 'http://localhost/', ${scope}, '${resource}', '${challenge}', ${times} ${series}`,
    ]
  if (name === 'refresh')
    return [
      `insert into grants (id, client_id, user_id, scope, resource, created_at, used_at, expires_at)
        select ${uuid}, '${client}', '${userId}', ${scope}, '${resource}', now(), ${times} ${series}`,
      `insert into refresh_tokens (token_hash, grant_id, created_at, expires_at)
        select ${hashOf('mrt')}, ${uuid}, ${times} ${series}`,
    ]
  return []
}

/** The statements that make people, and a connection of each with the same id. */
export function peopleOf({ client, resource }: Omit<SeedFor, 'userId'>, count: number): string[] {
  const series = `from generate_series(0, ${count - 1}) as n`
  const id = "lpad(n::text, 32, '0')::uuid"
  return [
    `insert into users (id, email, name, created_at) select ${id}, 'n' || n || '@example.com', 'Person ' || n, now() ${series}`,
    `insert into grants (id, client_id, user_id, scope, resource, created_at, used_at, expires_at)
      select ${id}, '${client}', ${id}, ${scope}, '${resource}', now(), now(), now() + interval '1 day' ${series}`,
  ]
}

/** {@link seedsOf} for `floor.ts`. */
export function floorSeedsOf(name: CaseName, from: number, count: number): string[] {
  const series = `from generate_series(${from}, ${from + count - 1}) as n`
  if (name === 'poll') return [`insert into floor_polls (hash) select ${hashOf('mdc')} ${series}`]
  const kind = { exchange: 'mac', refresh: 'mrt' }[name as string]
  return kind ? [`insert into floor_secrets (hash, id) select ${hashOf(kind)}, ${uuid} ${series}`] : []
}

/** @param pause Milliseconds after each statement: the embedded database has one connection, which others wait for. */
export async function runSeeds(db: Database, statements: readonly string[]): Promise<void> {
  for (const statement of statements)
    await db.begin(async sql => {
      await sql.unsafe('set local statement_timeout = 0')
      await sql.unsafe(statement)
    }, 60_000)
}
