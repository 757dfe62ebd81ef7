/** Databases for tests, of the kind that the suite runs on: the embedded one, or TEST_DATABASE_URL's server. */
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { connect } from '../../src/db/index.ts'
import { migrate } from '../../src/db/migrate.ts'
import { openLog } from '../../src/lib/log.ts'

export const onPostgres = process.env.TEST_DATABASE_URL !== undefined

/** How often a race is run; the embedded database has one connection, so little can vary there. */
export const RACES = onPostgres ? 100 : 20

export interface TestDatabase {
  /** The settings with which a server or a command finds it. */
  env: Record<string, string>
  drop(): Promise<void>
}

/**
 * A database as the first start finds it: the embedded one has no directory yet, PostgreSQL's has no tables.
 *
 * @param server The address of a PostgreSQL; without one it is the embedded database.
 */
export async function emptyDatabase(server = process.env.TEST_DATABASE_URL): Promise<TestDatabase> {
  const dataDir = mkdtempSync(join(tmpdir(), 'mcp-oauth-'))
  const remove = () => rm(dataDir, { recursive: true, force: true })
  if (!server) return { env: { DATA_DIR: dataDir }, drop: remove }
  const name = `test_${crypto.randomUUID().replaceAll('-', '')}`
  const run = async (statement: string) => {
    const sql = postgres(server, { max: 1, onnotice: () => {} })
    await sql.unsafe(statement)
    await sql.end()
  }
  await run(`create database ${name}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  return {
    env: { DATABASE_URL: url.href, AUTH_SECRET: 'a secret of the tests, 32 characters or more', DATA_DIR: dataDir },
    async drop() {
      await run(`drop database ${name} with (force)`)
      await remove()
    },
  }
}

/** A database as a second start finds it: the embedded one is made and migrated. Saves three quarters of a start. */
export async function migratedDatabase(): Promise<TestDatabase> {
  const database = await emptyDatabase()
  if (!onPostgres) {
    template ??= packTemplate()
    await (await template).extract(database.env.DATA_DIR!)
  }
  return database
}

let template: Promise<Bun.Archive> | undefined

async function packTemplate(): Promise<Bun.Archive> {
  const { env, drop } = await emptyDatabase()
  const dataDir = env.DATA_DIR!
  const db = await connect({ databaseUrl: undefined, dataDir, serving: true, log: openLog('silent') })
  await migrate(db)
  await db.close()
  // Less the databases that PostgreSQL copies for a new one, which are most of the files.
  const tar = Bun.spawn(['tar', '-C', dataDir, '--exclude=postgres/base/[14]/*', '-cf', '-', 'postgres'], {
    stderr: 'inherit',
  })
  const bytes = await tar.stdout.bytes()
  if ((await tar.exited) !== 0) throw new Error('tar failed')
  await drop()
  return new Bun.Archive(bytes)
}
