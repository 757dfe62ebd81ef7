// Not on PostgreSQL: it is about the embedded database.
import { afterEach, describe, expect, setDefaultTimeout, spyOn, test } from 'bun:test'
import fs, {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { connect, type Database } from '../../src/db/index.ts'
import { lockDataDir, lockOrShare } from '../../src/db/lock.ts'
import { UsageError } from '../../src/lib/errors.ts'
import { openLog } from '../../src/lib/log.ts'
import { registerClient } from '../support/flows.ts'
import { run, serve, start } from '../support/processes.ts'
import { emptyDatabase, migratedDatabase, onPostgres, startServer } from '../support/server.ts'

// Generous, for a busy machine.
setDefaultTimeout(300_000)

const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (const undo of cleanup.splice(0).reverse()) await undo()
})

async function newDataDir(make = migratedDatabase): Promise<string> {
  const { env, drop } = await make()
  cleanup.push(drop)
  return env.DATA_DIR!
}

async function open(dataDir: string): Promise<Database> {
  const db = await connect({ databaseUrl: undefined, dataDir, serving: true, log: openLog('silent') })
  cleanup.push(() => db.close())
  return db
}

const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8)

describe.skipIf(onPostgres)('the embedded database', () => {
  test('a second server on the same data directory refuses to start and names the process that holds it', async () => {
    const server = await startServer()
    cleanup.push(() => server.close())
    const { code, output } = await run(['serve'], { DATA_DIR: server.env.DATA_DIR!, LOG_LEVEL: 'silent', PORT: '1' })
    expect(output.trim()).toBe(
      `${server.env.DATA_DIR} is in use by process ${process.pid} (serve); stop it, or set DATA_DIR to another directory`,
    )
    expect(code).toBe(1)
    expect((await server.get('/readyz')).status).toBe(200)
  })

  test('a second server refuses to start even if the first one’s lock files were removed', async () => {
    const server = await startServer()
    cleanup.push(() => server.close())
    const dir = server.env.DATA_DIR!
    for (const name of readdirSync(dir)) if (name !== 'postgres') rmSync(join(dir, name))
    const { code, output } = await run(['serve'], { DATA_DIR: dir, LOG_LEVEL: 'silent', PORT: '1' })
    expect([code, output.trim()]).toEqual([
      1,
      `${dir} is in use by another process; stop it, or set DATA_DIR to another directory`,
    ])
    expect((await server.get('/readyz')).status).toBe(200)
  })

  test('a child that outlives a killed server does not keep its lock', async () => {
    const dir = await newDataDir(emptyDatabase)
    const lock = join(import.meta.dir, '../../src/db/lock.ts')
    const script = `import { lockDataDir } from ${JSON.stringify(lock)}
      await lockDataDir(${JSON.stringify(dir)}, 'test')
      const { pid } = Bun.spawn(['sleep', '60'], { stdio: ['ignore', 'ignore', 'ignore'] })
      console.log('child', pid)
      setInterval(() => {}, 1000)`
    const path = join(dir, 'holder-with-child.ts')
    writeFileSync(path, script)
    const parent = start([process.execPath, path], {})
    cleanup.push(() => parent.kill('SIGKILL'))
    await parent.printed('child')
    const child = Number(/child (\d+)/.exec(parent.output())![1])
    cleanup.push(() => process.kill(child))
    expect(await lockDataDir(dir, 'second')).toEqual({ heldBy: `process ${parent.pid} (test)` })
    parent.kill('SIGKILL')
    await parent.exited
    const lockedNow = await lockDataDir(dir, 'second', 1_000)
    expect(lockedNow).toHaveProperty('release')
    if ('release' in lockedNow) lockedNow.release()
  })

  test('a command waits for a server that is still starting, and says so if that takes long', async () => {
    const dir = await newDataDir(emptyDatabase)
    const lock = await lockDataDir(dir, 'serve')
    if (!('release' in lock)) throw new Error(`held by ${lock.heldBy}`)
    const socket = join(dir, 'postgres.sock')
    await expect(lockOrShare(dir, socket, 50)).rejects.toThrow(
      `${dir} is in use by process ${process.pid} (serve), which does not answer: it is still starting, or stopping. Try again in a moment.`,
    )
    const waiting = lockOrShare(dir, socket)
    const listener = Bun.listen({ unix: socket, socket: { data() {} } })
    expect(await waiting).toEqual({ heldBy: `process ${process.pid} (serve)` })
    // A killed server leaves its socket behind; one that stops leaves the directory to the command.
    listener.stop(true)
    const next = lockOrShare(dir, socket)
    lock.release()
    const taken = await next
    expect(taken).toHaveProperty('release')
    if ('release' in taken) taken.release()
  })

  test('auth-secret is created with a new database only: its loss beside existing keys is explained in one sentence', async () => {
    const dir = await newDataDir(emptyDatabase)
    await (await startServer({ DATA_DIR: dir })).close()
    const path = join(dir, 'auth-secret')
    const secret = readFileSync(path, 'utf8')
    const refusal = () =>
      startServer({ DATA_DIR: dir }).then(
        () => 'started',
        error => (error instanceof UsageError ? error.message : Promise.reject(error)),
      )
    rmSync(path)
    expect(await run(['serve'], { DATA_DIR: dir, LOG_LEVEL: 'silent', PORT: '1' })).toEqual({
      code: 1,
      output: `${path} is missing, but the database beside it was created with that secret: restore the file from a backup, or set AUTH_SECRET to its content. If it is lost, move DATA_DIR away to start over.\n`,
    })
    expect(existsSync(path)).toBe(false)
    const unreadable = (code: string) =>
      `${path} cannot be read (${code}); it must be a file with the secret, readable by the user who runs the server`
    mkdirSync(path)
    expect(await refusal()).toBe(unreadable('EISDIR'))
    rmdirSync(path)
    symlinkSync(join(dir, 'nowhere'), path)
    expect(await refusal()).toBe(unreadable('ENOENT'))
    rmSync(path)
    writeFileSync(path, '')
    expect(await refusal()).toBe(
      `${path} does not contain a secret of at least 32 characters; restore it from a backup`,
    )
    const set = await startServer({ DATA_DIR: dir, AUTH_SECRET: secret })
    await set.close()
    writeFileSync(path, secret)
    await (await startServer({ DATA_DIR: dir })).close()
  })

  test('a command beside a running server shares it, and the server notices what the command revokes', async () => {
    const server = await startServer()
    cleanup.push(() => server.close())
    const env = { DATA_DIR: server.env.DATA_DIR!, BASE_URL: server.base }
    const added = await run(['client', 'add', 'Robot', '--grant', 'client_credentials'], env)
    expect(added.code).toBe(0)
    const [, id] = /CLIENT_ID=(\S+)/.exec(added.output)!
    const [, secret] = /CLIENT_SECRET=(\S+)/.exec(added.output)!
    const credentials = { grant_type: 'client_credentials', client_id: id!, client_secret: secret! }
    const answer = await server.post('/api/oauth/token', credentials)
    expect(answer.status).toBe(200)
    const { access_token } = (await answer.json()) as { access_token: string }
    const validate = () => server.post('/api/oauth/validate', {}, { Authorization: `Bearer ${access_token}` })
    expect((await validate()).status).toBe(200)

    expect(await run(['client', 'remove', id!], env)).toEqual({
      code: 0,
      output: `Removed ${id}; its tokens no longer work.\n`,
    })
    expect((await validate()).status).toBe(401)
    expect((await server.post('/api/oauth/token', credentials)).status).toBe(401)
  })

  test('leftovers of a killed server (socket, holder) do not keep the next one from starting', async () => {
    const dataDir = await newDataDir()
    const killed = await serve({ DATA_DIR: dataDir, LOG_LEVEL: 'silent' })
    cleanup.push(() => killed.kill('SIGKILL'))
    const answer = await fetch(`${killed.base}/api/oauth/register`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ token_endpoint_auth_method: 'none', redirect_uris: ['http://localhost/callback'] }),
    })
    const { client_id } = (await answer.json()) as { client_id: string }
    killed.kill('SIGKILL')
    await killed.exited
    expect(existsSync(join(dataDir, 'postgres.sock'))).toBe(true)
    expect(readFileSync(join(dataDir, 'holder'), 'utf8')).toBe(`process ${killed.pid} (serve)`)

    const server = await startServer({ DATA_DIR: dataDir })
    cleanup.push(() => server.close())
    expect([...(await server.deps.sql`select id from clients`)]).toEqual([{ id: client_id }])
    expect(readFileSync(join(dataDir, 'holder'), 'utf8')).toBe(`process ${process.pid} (serve)`)
  })

  test('only its owner can read it, whatever the umask: directory 0700, socket and secret 0600', async () => {
    const parent = await newDataDir()
    const dataDir = join(parent, 'data')
    mkdirSync(dataDir, { mode: 0o755 })
    const before = process.umask(0)
    cleanup.push(() => process.umask(before))
    const server = await startServer({ DATA_DIR: dataDir })
    cleanup.push(() => server.close())
    expect(modeOf(dataDir)).toBe('700')
    expect(modeOf(join(dataDir, 'postgres.sock'))).toBe('600')
    expect(modeOf(join(dataDir, 'auth-secret'))).toBe('600')
    expect(readFileSync(join(dataDir, 'auth-secret'), 'utf8')).toMatch(/^[A-Za-z0-9_-]{64}$/)
  })

  test('an interrupted first start begins again', async () => {
    const dataDir = await newDataDir(emptyDatabase)
    const partial = join(dataDir, 'postgres.partial')
    mkdirSync(partial)
    writeFileSync(join(partial, 'PG_VERSION'), 'half')
    const db = await open(dataDir)
    expect([...(await db.sql`select 1 as one`)]).toEqual([{ one: 1 }])
    expect(existsSync(partial)).toBe(false)
  })

  test.skipIf(!existsSync('/proc/net/tcp'))('opens no TCP port', async () => {
    const before = listeningPorts()
    const db = await open(await newDataDir())
    await db.sql`select 1`
    expect(listeningPorts()).toEqual(before)
    const server = await startServer()
    cleanup.push(() => server.close())
    expect(listeningPorts()).toHaveLength(before.length + 1) // the measure itself sees ports
  })

  test('every commit is synced to the disk before it is acknowledged', async () => {
    const sync = spyOn(fs, 'fdatasyncSync')
    cleanup.push(() => sync.mockRestore())
    const db = await open(await newDataDir())
    await db.sql`create table synced (number integer)`
    for (let number = 0; number < 20; number++) {
      const before = sync.mock.calls.length
      await db.sql`insert into synced values (${number})`
      expect(sync.mock.calls.length).toBeGreaterThan(before)
    }
    const before = sync.mock.calls.length
    await db.sql`select count(*) from synced`
    expect(sync.mock.calls.length).toBe(before)
  })

  test('kill -9 of a writing process, twice, loses no acknowledged row', async () => {
    const dataDir = await newDataDir()
    const writer = join(import.meta.dir, '../support/pglite-writer.ts')
    let last = 0
    for (let round = 0; round < 2; round++) {
      const program = start([process.execPath, writer], { DATA_DIR: dataDir })
      cleanup.push(() => program.kill('SIGKILL'))
      await program.printed(`stored ${last + 10 + round * 7}\n`)
      program.kill('SIGKILL')
      await program.exited
      last = Number([...program.output().matchAll(/^stored (\d+)\n/gm)].at(-1)![1])
    }
    const db = await open(dataDir)
    const [row] = await db.sql<{ count: number; max: number }[]>`
      select count(*)::int as count, max(number) as max from written`
    expect(row!.count).toBe(row!.max) // none is missing in between
    expect(row!.max).toBeGreaterThanOrEqual(last)
  })

  test('an overlong data directory is refused with the reason, before anything is created', async () => {
    const dataDir = join(await newDataDir(emptyDatabase), 'x'.repeat(100))
    await expect(open(dataDir)).rejects.toThrow('too long for a Unix socket')
    expect(existsSync(dataDir)).toBe(false)
  })

  test('a stopped server has written everything: the next start needs no recovery', async () => {
    const dataDir = await newDataDir()
    const server = await startServer({ DATA_DIR: dataDir })
    const id = await registerClient(server)
    await server.close()
    const db = await open(dataDir)
    expect([...(await db.sql`select id from clients`)]).toEqual([{ id }])
    const [event] = await db.sql`select event, client_id from audit_events`
    expect(event).toEqual({ event: 'client.registered', client_id: id })
  })
})

/** TCP sockets on which this process listens, by the inode that both /proc/net and its file descriptors show. */
function listeningPorts(): string[] {
  const mine = new Set(
    readdirSync('/proc/self/fd').map(fd => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`)
      } catch {
        return '' // closed meanwhile
      }
    }),
  )
  return ['/proc/net/tcp', '/proc/net/tcp6'].filter(existsSync).flatMap(path =>
    readFileSync(path, 'utf8')
      .split('\n')
      .map(line => line.trim().split(/\s+/))
      .filter(fields => fields[3] === '0A' && mine.has(`socket:[${fields[9]}]`))
      .map(fields => fields[1]!),
  )
}
