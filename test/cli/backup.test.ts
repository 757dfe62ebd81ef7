/** `backup` and `restore`: everything in one file, from and into either kind of database. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrations } from '../../sql/migrations/index.ts'
import { replaceAuthSecret, secretCheckOf } from '../../src/auth-secret.ts'
import { backUp, COPY, tablesOf } from '../../src/db/backup.ts'
import { createBackup } from '../../src/db/backup-file.ts'
import { connect } from '../../src/db/index.ts'
import { migrate } from '../../src/db/migrate.ts'
import { checkBackup, restore } from '../../src/db/restore.ts'
import { hashSecret } from '../../src/lib/crypto.ts'
import { UsageError } from '../../src/lib/errors.ts'
import { openLog } from '../../src/lib/log.ts'
import { removeClient } from '../../src/oauth/clients/index.ts'
import { listConnections, revokeGrant } from '../../src/oauth/tokens.ts'
import { ROOT, runCommand, startCommand } from '../support/command.ts'
import { emptyDatabase, type TestDatabase } from '../support/database.ts'
import { deviceTokens, registerClient, rpc, signIn, type TokenAnswer } from '../support/flows.ts'
import { onPostgres, startServer, type TestServer } from '../support/server.ts'
import { mountSmallDisk } from '../support/small-disk.ts'

setDefaultTimeout(300_000)

const dir = mkdtempSync(join(tmpdir(), 'mcp-oauth-backup-'))
afterAll(() => rmSync(dir, { recursive: true }))
const cleanup: (() => Promise<unknown> | unknown)[] = []
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo()
})

let names = 0
const newFile = () => join(dir, `${++names}.gz`)
const embedded = () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'mcp-oauth-'))
  cleanup.push(() => rmSync(dataDir, { recursive: true, force: true }))
  return { DATA_DIR: dataDir }
}
const otherDatabase = async (): Promise<TestDatabase> => {
  const database = await emptyDatabase()
  cleanup.push(database.drop)
  return database
}
/** A server on a restored database, under the address of the one that was backed up. */
const serve = async (of: TestServer, env: Record<string, string>) => {
  const started = await startServer({ BASE_URL: of.base, ...env })
  cleanup.push(() => started.stop())
  return started
}
const secretOf = (env: Record<string, string>) =>
  env.AUTH_SECRET ?? readFileSync(join(env.DATA_DIR!, 'auth-secret'), 'utf8')

type Env = Record<string, string>
const onProgress = () => {}
const databaseOf = ({ DATABASE_URL, DATA_DIR }: Env) => ({
  databaseUrl: DATABASE_URL,
  dataDir: DATA_DIR!,
  log: openLog('silent'),
})
/** What the command does, in this process: a start of the binary takes longer than a restore. @returns the file. */
const backedUp = async (env: Env) => {
  const path = newFile()
  await backUp({ ...databaseOf(env), path, secretCheck: secretCheckOf(secretOf(env)), secret: undefined, onProgress })
  return path
}
/** Likewise. @returns what the command would print: `restored`, or why not. */
const restoring = async (path: string, env: Env) => {
  try {
    const header = await checkBackup(path, onProgress)
    await restore({ ...databaseOf(env), path, header, replace: false, onProgress, confirm: async () => true })
    return 'restored'
  } catch (error) {
    if (error instanceof UsageError) return error.message
    throw error
  }
}

/** The lines of a backup. */
const read = (file: string) =>
  Buffer.from(Bun.gunzipSync(readFileSync(file)))
    .toString()
    .trimEnd()
    .split('\n')
const write = (file: string, lines: string[]) => writeFileSync(file, Bun.gzipSync(`${lines.join('\n')}\n`))

/** Writes lines with the right end, as somebody who forges a backup does. */
const forge = (file: string, lines: string[], rows: number) => {
  const sha256 = createHash('sha256')
    .update(`${lines.join('\n')}\n`)
    .digest('hex')
  write(file, [...lines, JSON.stringify({ rows, sha256 })])
}

test.each(onPostgres ? ['PostgreSQL to embedded', 'embedded to PostgreSQL'] : ['embedded to embedded'])(
  'a backup while 50 clients refresh is one moment of all tables, and all of them go on from there: %s',
  async direction => {
    const [from, to] = direction.split(' to ')
    const source = await startServer(from === 'PostgreSQL' ? {} : embedded())
    cleanup.push(() => source.close())
    const client = await registerClient(source)
    const ada = await signIn(source)
    const chains: TokenAnswer[][] = []
    for (let i = 0; i < 50; i++) chains.push([await deviceTokens(source, client, ada)])
    const refresh = async (server: TestServer, refresh_token: string): Promise<TokenAnswer> => {
      const form = { grant_type: 'refresh_token', client_id: client, refresh_token }
      const answer = await server.post('/api/oauth/token', form)
      // On a busy machine the copy of the embedded database may take longer than a request waits.
      if (answer.status === 503) return refresh(server, refresh_token)
      expect(answer.status).toBe(200)
      return (await answer.json()) as TokenAnswer
    }
    let isDone = false
    const busy = chains.map(async chain => {
      while (!isDone) {
        chain.push(await refresh(source, chain.at(-1)!.refresh_token))
        await Bun.sleep(100) // or they would take the time of the backup
      }
    })
    const file = newFile()
    const made = await runCommand(['backup', file, '--with-secret'], source.env)
    isDone = true
    await Promise.all(busy)
    expect(made).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^Wrote [\d,]+ rows to /),
      stderr: 'It includes AUTH_SECRET: whoever can read it can sign tokens. Keep it as safe as the server.\n',
    })
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(chains.every(chain => chain.length > 1)).toBe(true)
    await source.stop()
    cleanup.pop()

    const target = to === 'PostgreSQL' ? (await otherDatabase()).env : embedded()
    const env = { ...target, ...(to === 'PostgreSQL' ? { AUTH_SECRET: secretOf(source.env) } : {}) }
    expect(await runCommand(['restore', file], env)).toMatchObject({ code: 0 })
    const restored = await serve(source, env)
    const { sql } = restored.deps
    const current = await sql<{ hash: Buffer; grants: number }[]>`
      select token_hash as hash, (select count(*)::int from grants) as grants from refresh_tokens where consumed_at is null`
    expect([current.length, current[0]!.grants]).toEqual([50, 50])
    const hashes = new Set(current.map(({ hash }) => hash.toString('hex')))
    for (const chain of chains) {
      const held = chain.filter(({ refresh_token }) => hashes.has(hashSecret(refresh_token).toString('hex')))
      expect(held).toHaveLength(1)
      expect((await rpc(restored, held[0]!.access_token, 'tools/list')).status).toBe(200)
      const { access_token } = await refresh(restored, held[0]!.refresh_token)
      expect((await rpc(restored, access_token, 'tools/list')).status).toBe(200)
    }
    expect((await restored.get('/account', { Cookie: ada })).status).toBe(200)
    await signIn(restored, 'grace@example.com') // identities go on where they were
    await restored.deps.audit.flush()
  },
)

describe('with a server', () => {
  let server: TestServer
  let ada: string
  beforeAll(async () => {
    server = await startServer()
    ada = await signIn(server, 'ada@example.com')
  })
  afterAll(() => server.close())

  test('everything is in it: each table of the schema, whatever text its rows hold; and no secret', async () => {
    const tables = await server.deps.sql<{ name: string }[]>`
      select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace`
    expect(tablesOf(migrations).toSorted()).toEqual(
      tables
        .map(({ name }) => name)
        .filter(name => name !== 'schema_migrations')
        .toSorted(),
    )
    const odd = 'a "quoted"\nline, a \\ and “ünïcode” 🙂'
    await server.deps.sql`update users set name = ${odd} where email = 'ada@example.com'`
    const file = newFile()
    const made = await runCommand(['backup', file], server.env)
    expect(made.stderr).toStartWith('It does not include AUTH_SECRET, without which it is useless: back up ')
    const lines = read(file)
    expect(lines.filter(line => line.startsWith('{"table"')).map(line => JSON.parse(line).table)).toEqual(
      tablesOf(migrations),
    )
    expect(lines.join('\n')).not.toContain(secretOf(server.env))
    expect(await runCommand(['backup', file], server.env)).toEqual({
      code: 1,
      stdout: '',
      stderr: `${file} exists already; choose another name\n`,
    })
    expect((await runCommand(['backup', join(dir, 'none', 'x.gz')], server.env)).stderr).toBe(
      `${join(dir, 'none', 'x.gz')} cannot be written (ENOENT: no such file or directory)\n`,
    )
    const target = { ...(await otherDatabase()).env, AUTH_SECRET: secretOf(server.env) }
    expect(await runCommand(['restore', file], target)).toMatchObject({ code: 0 })
    const again = await backedUp(target)
    expect(read(again).slice(1, -1)).toEqual(lines.slice(1, -1))
    // Backups may be kept beside the database.
    const beside = join(server.env.DATA_DIR!, 'backup')
    mkdirSync(beside)
    for (const path of [join(beside, 'monday'), join(beside, 'tuesday')])
      expect(await runCommand(['backup', path], server.env)).toMatchObject({ code: 0 })
    expect(readdirSync(beside).sort()).toEqual(['monday', 'tuesday'])
    // None leaves anything behind.
    expect(readdirSync(dir).filter(name => name.endsWith('.partial'))).toEqual([])
    if (!onPostgres) expect(readdirSync(server.env.DATA_DIR!)).not.toContain(COPY)
  })

  test.skipIf(onPostgres)('an interrupted backup leaves no copy of the embedded database behind', async () => {
    const [file, dataDir] = [newFile(), server.env.DATA_DIR!]
    const options = { path: file, dataDir, secretCheck: 'x' }
    const script = `
      import { backUp } from ${JSON.stringify(join(ROOT, 'src/db/backup.ts'))}
      import { openLog } from ${JSON.stringify(join(ROOT, 'src/lib/log.ts'))}
      const onProgress = () => process.exit(7)
      await backUp({ ...${JSON.stringify(options)}, log: openLog('silent'), onProgress })`
    expect(await Bun.spawn([process.execPath, '-e', script]).exited).toBe(7)
    expect(readdirSync(dir).filter(name => name.endsWith('.partial'))).toEqual([])
    expect(readdirSync(dataDir)).not.toContain(COPY)
  })

  test('restore refuses a database in use or with rows, another secret, a damaged file and a newer schema', async () => {
    const file = await backedUp(server.env)
    const refused = (message: RegExp) => ({ code: 1, stdout: '', stderr: expect.stringMatching(message) })
    expect(await runCommand(['restore', file, '--replace', '--yes'], server.env)).toEqual(
      refused(onPostgres ? /^Servers are connected to this database/ : /is in use by process \d+/),
    )
    const target = { ...(await otherDatabase()).env, AUTH_SECRET: secretOf(server.env) }
    const otherwise = { ...target, AUTH_SECRET: 'another secret of the tests, long enough' }
    expect(await runCommand(['restore', file], otherwise)).toEqual(
      refused(/^The backup was made with another AUTH_SECRET,/),
    )

    const lines = read(file)
    const bad = newFile()
    const header = JSON.parse(lines[0]!) as { migrations: string[] }
    write(bad, [
      JSON.stringify({ ...header, migrations: [...migrations.map(({ name }) => name), '9999_more'] }),
      ...lines.slice(1),
    ])
    expect(await restoring(bad, target)).toContain(' has the schema 9999_more, and this version knows only ')
    const damages: [string, () => void][] = [
      [
        'a changed row',
        () =>
          write(
            bad,
            lines.map(line => line.replace('ada@example', 'eve@example')),
          ),
      ],
      ['no end', () => write(bad, lines.slice(0, -1))],
      ['more after the end', () => write(bad, [...lines, '{}'])],
      ['a file cut short', () => writeFileSync(bad, readFileSync(file).subarray(0, -30))],
      ['another file', () => writeFileSync(bad, 'no gzip')],
      ['an empty file', () => writeFileSync(bad, '')],
    ]
    for (const [what, damage] of damages) {
      damage()
      expect([what, await restoring(bad, target)]).toEqual([
        what,
        `${bad} is damaged or not a backup: its checksum is wrong. Nothing was changed.`,
      ])
    }
    expect(await restoring(join(dir, 'none.gz'), target)).toEndWith('none.gz cannot be read (ENOENT)')

    expect(await restoring(file, target)).toBe('restored')
    expect(await runCommand(['restore', file], target)).toEqual(refused(/^The database has rows\./))
  })

  test('a forged backup writes to no table but ours, and has a header that can be shown', async () => {
    const file = await backedUp(server.env)
    const target = (await otherDatabase()).env
    const forged = newFile()
    const lines = read(file).slice(0, -1)
    const header = JSON.parse(lines[0]!) as { rows: number }
    const damaged = (why: string) => `${forged} is damaged or not a backup: ${why}. Nothing was changed.`
    // The first hides from `--replace` what is revived, the second makes a role of a database that we are the superuser of.
    const hidden = { kind: 'administrator', id: crypto.randomUUID(), label: '' }
    const role = { oid: 99_999, rolname: 'backdoor', rolsuper: true, rolinherit: true, rolcreaterole: true }
    const rights = { rolcreatedb: true, rolcanlogin: true, rolreplication: true, rolbypassrls: true, rolconnlimit: -1 }
    for (const [table, row] of Object.entries({ before_restore: hidden, pg_authid: { ...role, ...rights } })) {
      forge(forged, [...lines, JSON.stringify({ table, rows: 1 }), JSON.stringify(row)], header.rows + 1)
      expect(await restoring(forged, target)).toBe(damaged(`it has rows of a table ${table}`))
    }
    for (const change of [
      { createdAt: 'now?\x1b[2K\rNothing will be replaced' },
      { migrations: undefined },
      { migrations: '0001_initial' },
    ]) {
      forge(forged, [JSON.stringify({ ...header, ...change }), ...lines.slice(1)], header.rows)
      expect(await restoring(forged, target)).toBe(damaged('its first line is wrong'))
    }
    for (const first of ['null', '[]', JSON.stringify({ ...header, program: '1\x1b[2J', formatVersion: 2 })]) {
      forge(forged, [first, ...lines.slice(1)], header.rows)
      expect(await restoring(forged, target)).toMatch(/^\S+ is (damaged or )?not a backup[ -~]*$/)
    }
    const users = lines.findIndex(line => line.startsWith('{"table":"users"'))
    const user = JSON.parse(lines[users + 1]!) as Record<string, unknown>
    for (const row of ['no JSON', 'null', `${lines[users + 1]}],[`]) {
      forge(forged, lines.with(users + 1, row), header.rows)
      expect(await restoring(forged, target)).toBe(damaged(`line ${users + 2} is not a JSON object`))
    }
    forge(forged, lines.with(users + 1, JSON.stringify({ ...user, email: null })), header.rows)
    expect(await restoring(forged, target)).toMatch(
      /^\S+ is damaged or not a backup: lines? \d+( to \d+ are not rows| is not a row) of users\. Nothing was changed\.$/,
    )
    forge(forged, [...lines, 'null'], header.rows)
    expect(await restoring(forged, target)).toBe(damaged(`line ${lines.length + 1} is not a JSON object`))
    expect(await restoring(file, target)).toBe('restored')
  })

  test('a small file that unpacks to an endless line is refused before it fills the memory', async () => {
    const file = await backedUp(server.env)
    const bomb = newFile()
    const part = Bun.gzipSync('x'.repeat(1024 * 1024))
    writeFileSync(bomb, Buffer.concat([Bun.gzipSync(`${read(file)[0]}\n`), ...Array.from({ length: 65 }, () => part)]))
    let shown = 0
    const error = await checkBackup(bomb, more => (shown += more)).catch((error: Error) => error.message)
    expect([error, shown]).toEqual([
      `${bomb} is damaged or not a backup: it has a line that is too long. Nothing was changed.`,
      0,
    ])
  })

  test('interrupted, killed or without room on the disk, there is no file of that name, and a sentence', async () => {
    await server.deps.sql`
      insert into audit_events (at, event, detail)
      select now(), 'tool.called', jsonb_build_object('n', n) from generate_series(1, 30000) as n`
    /** Ends a backup while it writes; one that was faster is made again. */
    const end = async (signal: 'SIGINT' | 'SIGKILL') => {
      for (;;) {
        const file = newFile()
        const child = startCommand(['backup', file], server.env)
        while (!existsSync(`${file}.partial`) && child.exitCode === null) await Bun.sleep(1)
        child.kill(signal)
        const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
        if (!stdout) return { file, code: child.exitCode, stderr }
      }
    }
    const leftovers = () => (onPostgres ? [] : readdirSync(server.env.DATA_DIR!).filter(name => name === COPY))
    const interrupted = await end('SIGINT')
    expect([interrupted.code, interrupted.stderr]).toEqual([1, 'Interrupted; no backup was written.\n'])
    expect([existsSync(interrupted.file), existsSync(`${interrupted.file}.partial`), leftovers()]).toEqual([
      false,
      false,
      [],
    ])
    // A killed process cannot tidy up; the next one does.
    const killed = await end('SIGKILL')
    expect(existsSync(killed.file)).toBe(false)
    expect(await runCommand(['backup', killed.file], server.env)).toMatchObject({ code: 0 })
    expect([existsSync(`${killed.file}.partial`), leftovers()]).toEqual([false, []])

    const disk = mountSmallDisk(1)
    if (disk) {
      const file = join(disk.path, 'backup.gz')
      disk.fill(64 * 1024)
      expect(await runCommand(['backup', file], server.env)).toEqual({
        code: 1,
        stdout: '',
        stderr: `${file} cannot be written (ENOSPC: no space left on device)\n`,
      })
      expect(readdirSync(disk.path)).toEqual(['filler'])
      disk.unmount()
    }
    await server.deps.sql`delete from audit_events where event = 'tool.called'`
  })

  test('two at once: both work on PostgreSQL, the second is refused on the embedded database, and none takes the name of another', async () => {
    const secretCheck = secretCheckOf(secretOf(server.env))
    const backUpTo = (path: string) =>
      backUp({ ...databaseOf(server.env), path, secretCheck, secret: undefined, onProgress })
    const left = onPostgres ? undefined : join(server.env.DATA_DIR!, COPY)
    if (left) {
      mkdirSync(left) // by a killed backup
      writeFileSync(join(left, 'postgres'), 'half')
    }
    const [first, second] = [newFile(), newFile()]
    const ends = await Promise.allSettled([backUpTo(first), backUpTo(second)])
    expect(ends[0]).toEqual({ status: 'fulfilled', value: expect.any(Number) })
    await checkBackup(first, onProgress)
    if (left) {
      const why = `Another backup of ${server.env.DATA_DIR} is being made; try again when it has ended`
      expect(ends[1]).toEqual({ status: 'rejected', reason: new UsageError(why) })
      expect([existsSync(left), existsSync(`${second}.partial`)]).toEqual([false, false])
      await backUpTo(second)
    }
    await checkBackup(second, onProgress)

    const path = newFile()
    writeFileSync(`${path}.partial`, 'half a backup of a killed process')
    const begin = () =>
      createBackup(path, { program: '1', createdAt: '2026-01-01T00:00:00Z', migrations: [], rows: 0, secretCheck })
    const one = begin()
    expect(begin).toThrow(new UsageError(`Another backup to ${path} is being made; choose another name`))
    one.finish(0)
    expect(begin).toThrow(new UsageError(`${path} exists already; choose another name`))
    one.discard()
    await checkBackup(path, onProgress)
    expect(existsSync(`${path}.partial`)).toBe(false)
  })

  test('--replace says what it revives', async () => {
    const client = await registerClient(server, { client_name: 'Editor' })
    const { access_token } = await deviceTokens(server, client, ada)
    const gone = await deviceTokens(server, client, ada)
    const file = await backedUp(server.env)
    const { id: userId } = (
      await server.deps.sql<{ id: string }[]>`select id from users where email = 'ada@example.com'`
    )[0]!
    const [connection] = await listConnections(server.deps, userId)
    await revokeGrant(server.deps, { grantId: connection!.id, by: 'operator' })
    await removeClient(server.deps, client)
    const later = await backedUp(server.env)

    const target = { ...(await otherDatabase()).env, AUTH_SECRET: secretOf(server.env) }
    expect(await restoring(later, target)).toBe('restored')
    const { code, stdout, stderr } = await runCommand(['restore', file, '--replace', '--yes'], target)
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^Restored [\d,]+ rows, the state of \S+Z\.\n$/)])
    expect(stderr).toStartWith(
      'It revives what has ended since:\n  connection: Editor of ada@example.com\n  connection: Editor of ada@example.com\n',
    )
    const restored = await serve(server, target)
    for (const token of [access_token, gone.access_token])
      expect((await rpc(restored, token, 'tools/list')).status).toBe(200)
  })
})

test('the secret of a backup replaces another one only when the restore has been done', async () => {
  const { DATA_DIR } = embedded()
  const path = join(DATA_DIR, 'auth-secret')
  writeFileSync(path, 'the old secret')
  const replace = (work: () => Promise<boolean>) => replaceAuthSecret(DATA_DIR, 'the new secret', work)
  await expect(replace(() => Promise.reject(new Error('lost')))).rejects.toThrow('lost')
  expect(await replace(async () => false)).toBe(false)
  expect([readdirSync(DATA_DIR), readFileSync(path, 'utf8')]).toEqual([['auth-secret'], 'the old secret'])
  expect(await replace(async () => readFileSync(path, 'utf8') === 'the old secret')).toBe(true)
  expect([readFileSync(path, 'utf8'), readFileSync(`${path}.old`, 'utf8'), readdirSync(DATA_DIR).length]).toEqual([
    'the new secret',
    'the old secret',
    2,
  ])
})

test('a backup of an earlier schema is brought up to date', async () => {
  const [old, target] = [await otherDatabase(), await otherDatabase()]
  const db = await connect({ ...databaseOf(old.env), serving: true })
  await migrate(db, migrations.slice(0, 2))
  await db.sql`insert into users (id, email, created_at) values (${crypto.randomUUID()}, 'ada@example.com', now())`
  await db.sql`insert into audit_events (at, event) values (now(), 'user.signed_in')`
  await db.close()
  const path = newFile()
  expect(await backUp({ ...databaseOf(old.env), path, secretCheck: '', secret: undefined, onProgress })).toBe(2)
  const header = await checkBackup(path, onProgress)
  const confirm = async () => true
  expect(await restore({ ...databaseOf(target.env), path, header, replace: false, onProgress, confirm })).toBe(true)
  const restored = await connect({ ...databaseOf(target.env), serving: true })
  cleanup.push(() => restored.close())
  expect(await migrate(restored)).toEqual([])
  expect(await restored.sql`select email from users`).toMatchObject([{ email: 'ada@example.com' }])
  // The next event does not get the number of one that is there.
  await restored.sql`insert into audit_events (at, event) values (now(), 'user.signed_out')`
  expect(await restored.sql`select event from audit_events order by id`).toHaveLength(2)
})
