/** The embedded database's files do not outgrow their data: PGlite neither vacuums nor checkpoints by itself. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { checkpointIfDue } from '../../src/db/upkeep.ts'
import { sweep } from '../../src/sweeper.ts'
import type { TestDatabase } from '../support/database.ts'
import { faultDatabase } from '../support/faults.ts'
import { registerClient } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

const MB = 1024 * 1024

describe('the embedded database (a PostgreSQL does both by itself)', () => {
  let database: TestDatabase
  let server: TestServer
  beforeAll(async () => {
    database = await faultDatabase('the embedded database')
    server = await startServer(database.env)
  })
  afterAll(async () => {
    await server.close()
    await database.drop()
  })

  test('uses the room of device codes that were swept again', async () => {
    const { sql, db } = server.deps
    const id = await registerClient(server)
    const codes = async () => {
      const [row] = await sql<{ rows: number; bytes: number; changes: number }[]>`
        select
          (select count(*)::int from device_codes) as rows,
          pg_total_relation_size('device_codes')::int as bytes,
          n_dead_tup + n_ins_since_vacuum as changes
        from pg_stat_user_tables
        where relname = 'device_codes'`
      return row!
    }
    const sizes: number[] = []
    for (let cycle = 0; cycle < 5; cycle++) {
      await db.begin(
        sql => sql`
          insert into device_codes
            (id, device_code_hash, user_code, client_id, scope, resource, interval_seconds, created_at, expires_at)
          select gen_random_uuid(), sha256(gen_random_uuid()::text::bytea),
            translate(lpad((${cycle * 100_000} + n)::text, 8, '0'), '0123456789', 'BCDFGHJKLM'), ${id}, array['mcp'],
            'https://mcp.example/mcp', 5, '2020-01-01', '2020-01-01'
          from generate_series(1, 20000) as n`,
        60_000,
      )
      // The counters come late, and others' turn may come first.
      let rounds = 0
      do await sweep(server.deps)
      while ((await codes()).changes > 10_000 && ++rounds < 50)
      const { rows, bytes } = await codes()
      expect(rows).toBe(0)
      sizes.push(bytes)
    }
    expect(sizes.at(-1)).toBeLessThan(2 * sizes[1]!)
    expect(sizes.at(-1)).toBeLessThan(12 * MB) // 39 MB without
  })

  test('keeps no more of its write-ahead log than a start after a crash can read fast', async () => {
    const { sql } = server.deps
    const directory = join(server.env.DATA_DIR!, 'postgres/pg_wal')
    const megabytes = () =>
      readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0) / MB
    for (let written = 0; written < 10; written++) {
      await sql`
        insert into audit_events (at, event, detail)
        select '2020-01-01', 'tool.called', jsonb_build_object('n', repeat(n::text, 200))
        from generate_series(10001, 20000) as n`
      await sql`update audit_events set ip = '192.0.2.1'`
      await checkpointIfDue(server.deps)
    }
    const [row] = await sql<{ bytes: number }[]>`select (pg_current_wal_lsn() - '0/0')::float8 as bytes`
    expect(row!.bytes).toBeGreaterThan(200 * MB)
    expect(megabytes()).toBeLessThan(128)
  })
})
