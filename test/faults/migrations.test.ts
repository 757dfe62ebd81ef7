/** Replicas of the binary that start at the same time, die while they migrate, or are older than the schema. */
import { afterEach, expect, setDefaultTimeout, test } from 'bun:test'
import postgres from 'postgres'
import { migrations } from '../../sql/migrations/index.ts'
import { binary } from '../support/binary.ts'
import { faultDatabase, runBinary, startBinary, times } from '../support/faults.ts'
import { freePort } from '../support/ports.ts'
import { type Program, start } from '../support/processes.ts'
import { until } from '../support/until.ts'

setDefaultTimeout(300_000)

const undo: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

async function emptyPostgres() {
  const { env, drop } = await faultDatabase('PostgreSQL')
  undo.push(drop)
  const admin = postgres(env.DATABASE_URL!, { max: 1, onnotice: () => {} })
  undo.push(() => admin.end())
  const applied = async () =>
    (await admin`select name from schema_migrations order by id`.catch(() => [])).map(row => row.name as string)
  return { env: { ...env, BASE_URL: 'http://localhost:3000' }, admin, applied }
}

/** Starts replicas at the same moment. */
async function startTogether(env: Record<string, string>, count: number) {
  const replicas = await Promise.all(Array.from({ length: count }, () => startBinary(env)))
  undo.push(async () => {
    for (const replica of replicas) {
      replica.kill('SIGTERM')
      expect(await replica.exited).toBe(0)
    }
  })
  return replicas
}

const NAMES = migrations.map(migration => migration.name)

test.each([2, 5].slice(0, times(2, 1)))(
  '%d replicas that start on an empty database migrate it once, and sign with one key',
  async count => {
    const { env, applied } = await emptyPostgres()
    const replicas = await startTogether(env, count)
    expect(await applied()).toEqual(NAMES)
    const keys = await Promise.all(replicas.map(async of => (await of.get('/.well-known/jwks.json')).text()))
    expect(new Set(keys).size).toBe(1)
  },
)

test('a replica that is killed inside a migration leaves nothing of it, and the next ones finish', async () => {
  const { env, admin, applied } = await emptyPostgres()
  await admin.unsafe(`
    create function take_time() returns event_trigger language plpgsql as $$ begin perform pg_sleep(0.05); end $$;
    create event trigger take_time on ddl_command_start execute function take_time()`)
  for (let kill = 0; kill < times(5, 2); kill++) {
    const before = (await applied()).length
    const replica: Program = start([binary(), 'serve'], { ...env, PORT: String(await freePort()) })
    await until(async () => (await applied()).length > before) // and so it is inside the next one
    replica.kill('SIGKILL')
    await replica.exited
  }
  await admin`drop event trigger take_time`
  await startTogether(env, 2)
  expect(await applied()).toEqual(NAMES)
})

test('a binary that is older than the schema refuses to start, and says so', async () => {
  const { env, admin } = await emptyPostgres()
  await runBinary(['migrate'], env)
  await admin`insert into schema_migrations (id, name) values (${NAMES.length + 1}, 'of the future')`
  await expect(runBinary(['serve'], { ...env, PORT: String(await freePort()) })).rejects.toThrow(
    `The database is at version ${NAMES.length + 1}, but this binary knows only ${NAMES.length}: a newer mcp-oauth-server has migrated it. Use that version.`,
  )
})
