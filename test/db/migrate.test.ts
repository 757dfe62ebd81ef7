import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Migration, migrations } from '../../sql/migrations/index.ts'
import { parseConfig } from '../../src/config.ts'
import { connect, type Database } from '../../src/db/index.ts'
import { migrate } from '../../src/db/migrate.ts'
import { openDeps } from '../../src/deps.ts'
import { UsageError } from '../../src/lib/errors.ts'
import { openLog } from '../../src/lib/log.ts'
import { emptyDatabase, onPostgres } from '../support/server.ts'

// Generous, for a busy machine.
setDefaultTimeout(300_000)

const log = openLog('silent')
const cleanup: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo()
})

/** One connection pool after another to one new database. */
async function newDatabase() {
  const { env, drop } = await emptyDatabase()
  cleanup.push(drop)
  return async (): Promise<Database> => {
    const db = await connect({ databaseUrl: env.DATABASE_URL, dataDir: env.DATA_DIR!, serving: false, log })
    cleanup.push(() => db.close())
    return db
  }
}

async function tables(db: Database): Promise<string[]> {
  const rows = await db.sql<{ name: string }[]>`
    select table_name as name from information_schema.tables where table_schema = 'public' order by 1`
  return rows.map(row => row.name)
}

const first: Migration = { name: '0001_first', text: 'create table first (id integer)' }

/** Those that have landed, with the first half of a SHA-256: databases have them, so they are never edited. */
const LANDED: Record<string, string> = {
  '0001_initial': 'e8288834b136fb22',
  '0002_indexes': 'e4a02672b8956e43',
  '0003_gateway': 'c4b0940aa91487aa',
  '0004_rights': '5923bc794ee1e370',
  '0005_authorization_requests': '90a88804046b776d',
  '0006_administrators': 'f9daf3b32f31a668',
  '0007_upstream_accounts': 'cd1317ae1de11e19',
  '0008_session_messages': 'fa645200219401f9',
  '0009_personal_tokens': '4438ae6b1143e655',
  '0010_administration': 'f8a70e6119524c69',
}

describe('migrations', () => {
  test('that have landed are as they were', () => {
    const hashes = migrations.map(({ name, text }) => [name, new Bun.CryptoHasher('sha256').update(text).digest('hex')])
    const landed = hashes.slice(0, Object.keys(LANDED).length).map(([name, hash]) => [name, hash!.slice(0, 16)])
    expect(landed).toEqual(Object.entries(LANDED))
  })

  test('the list names every file, in order, without a gap', () => {
    const files = readdirSync(join(import.meta.dir, '../../sql/migrations')).filter(name => name.endsWith('.sql'))
    expect(migrations.map(migration => `${migration.name}.sql`)).toEqual(files.sort())
    migrations.forEach((migration, i) => {
      expect(migration.name).toMatch(new RegExp(`^${String(i + 1).padStart(4, '0')}_[a-z0-9_]+$`))
      expect(migration.text).toContain(';')
    })
  })

  test('are applied once; a second run applies nothing', async () => {
    const db = await (await newDatabase())()
    expect(await migrate(db)).toEqual(migrations.map(migration => migration.name))
    expect(await migrate(db)).toEqual([])
    expect(await tables(db)).toContain('device_codes')
  })

  test('a later version applies only what is new', async () => {
    const db = await (await newDatabase())()
    expect(await migrate(db, [first])).toEqual(['0001_first'])
    const second = { name: '0002_second', text: 'create table second (id integer)' }
    expect(await migrate(db, [first, second])).toEqual(['0002_second'])
    expect(await tables(db)).toEqual(['first', 'schema_migrations', 'second'])
  })

  test('a failed one is rolled back, keeps those before it, and can be tried again', async () => {
    const db = await (await newDatabase())()
    const broken = { name: '0002_broken', text: 'create table half (id integer); insert into nowhere values (1);' }
    await expect(migrate(db, [first, broken])).rejects.toThrow('"nowhere" does not exist')
    expect(await tables(db)).toEqual(['first', 'schema_migrations'])
    expect([...(await db.sql`select id, name from schema_migrations`)]).toEqual([{ id: 1, name: '0001_first' }])
    const mended = { name: '0002_mended', text: 'create table whole (id integer)' }
    expect(await migrate(db, [first, mended])).toEqual(['0002_mended'])
  })

  test('a database of a newer version is refused, with what to do, and is not touched', async () => {
    const { env, drop } = await emptyDatabase()
    cleanup.push(drop)
    const config = parseConfig({ ...env, LOG_LEVEL: 'silent' }, () => '')
    const open = () => openDeps(config, { log, serving: true })
    const deps = await open()
    const version = migrations.length + 1
    await deps.sql`insert into schema_migrations (id, name) values (${version}, 'of the future')`
    await deps.close()
    const refusal = await open().then(
      () => undefined,
      (error: unknown) => error,
    )
    expect(refusal).toBeInstanceOf(UsageError)
    expect((refusal as UsageError).message).toBe(
      `The database is at version ${version}, but this binary knows only ${migrations.length}: a newer mcp-oauth-server has migrated it. Use that version.`,
    )
  })

  test.skipIf(!onPostgres)(
    'replicas that start together on one empty database migrate it once, 10 times over',
    async () => {
      for (let round = 0; round < 10; round++) {
        const { env, drop } = await emptyDatabase()
        const config = parseConfig({ ...env, LOG_LEVEL: 'silent' }, () => '')
        const replicas = await Promise.all(Array.from({ length: 3 }, () => openDeps(config, { log, serving: true })))
        const rows = await replicas[0]!.sql`select id from schema_migrations`
        expect(rows).toHaveLength(migrations.length)
        // And they agree on one signing key.
        expect(new Set(replicas.map(replica => replica.memory.keys.signing[0]!.kid)).size).toBe(1)
        await Promise.all(replicas.map(replica => replica.close()))
        await drop()
      }
    },
  )

  test.skipIf(!onPostgres)(
    'when replicas migrate at the same time, each migration is applied by one of them',
    async () => {
      const open = await newDatabase()
      const replicas = await Promise.all(Array.from({ length: 4 }, open))
      const applied = await Promise.all(replicas.map(db => migrate(db)))
      expect(applied.flat().sort()).toEqual(migrations.map(migration => migration.name))
    },
  )
})
