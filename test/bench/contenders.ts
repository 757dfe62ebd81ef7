/** What is compared: the floor, and this server's binary on both databases, each as a process of its own. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { parseConfig } from '../../src/config.ts'
import type { Database } from '../../src/db/index.ts'
import { openDeps } from '../../src/deps.ts'
import { openLog } from '../../src/lib/log.ts'
import { addClient } from '../../src/oauth/clients/index.ts'
import { DEVICE_CODE_GRANT } from '../../src/oauth/grants/types.ts'
import { issueAccessToken } from '../../src/oauth/tokens.ts'
import { freePort } from '../support/ports.ts'
import type { Cluster } from '../support/with-postgres.ts'
import { type CaseName, initializeRequest, type Target } from './cases.ts'
import { floorSeedsOf, peopleOf, runSeeds, seedsOf } from './seed.ts'

export interface Contender extends AsyncDisposable {
  name: string
  process: Process
  /** The database server whose time counts, too. */
  postmaster?: number | undefined
  url: string
  target: Target
  /** Absent: all cases. */
  cases?: readonly CaseName[]
  /** How many requests that can be sent once it answers in a second, at most. */
  fastest: number
  /** Absent: `credentials`. What it answers first after a start. */
  first?: CaseName
  seed(name: CaseName, from: number, count: number): Promise<void>
}

/** This server. */
export interface Ours extends Contender {
  db: Database
  /** An access token of the n-th person. */
  tokenOf(n: number): string
  /** Adds the first people of {@link tokenOf} and their connections to the database, which does not know them otherwise. */
  addPeople(count: number): Promise<void>
}

const SESSIONS = 8
const SECRET = 'a secret of the benchmark, 32 characters or more'

/** A process that can be started again. */
export interface Process {
  readonly pid: number
  /** Milliseconds until it answered. */
  firstStart: number
  /** @param answers Whether it is ready. @returns the milliseconds until it was. */
  restart(answers: () => Promise<boolean>): Promise<number>
  stop(): Promise<void>
}

/** Starts a process and waits until it answers. */
export async function start(
  command: string[],
  url: string,
  env: Record<string, string>,
  cwd: string,
): Promise<Process> {
  const spawn = () =>
    Bun.spawn(command, {
      cwd,
      env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: 'ignore',
    })
  let child = spawn()
  const wait = async (answers: () => Promise<boolean>) => {
    const began = performance.now()
    while (!(await answers().catch(() => false))) {
      if (child.exitCode !== null) throw new Error(`${command.join(' ')} ended with ${child.exitCode}`)
      await Bun.sleep(2)
    }
    return performance.now() - began
  }
  const stop = async () => {
    child.kill()
    await child.exited
  }
  const firstStart = await wait(async () => {
    const { ok, status } = await fetch(url)
    return ok || status === 404
  })
  return {
    firstStart,
    get pid() {
      return child.pid
    },
    async restart(answers) {
      await stop()
      child = spawn()
      return wait(answers)
    },
    stop,
  }
}

/** Sends a request of a case as a client would. */
export async function send(url: string, raw: string): Promise<Response> {
  const [head = '', body] = raw.split('\r\n\r\n')
  const [line = '', ...fields] = head.split('\r\n')
  const [method = '', path] = line.split(' ')
  const headers = fields.map(field => field.split(': ') as [string, string])
  return fetch(`${url}${path}`, { method, headers, ...(body ? { body } : {}) })
}

export async function newDatabase(cluster: Cluster, name: string): Promise<string> {
  const sql = postgres(cluster.url, { max: 1, onnotice: () => {} })
  await sql.unsafe(`create database ${name}`)
  await sql.end()
  return new URL(`/${name}`, cluster.url).href
}

export async function postmasterOf(cluster: Cluster): Promise<number> {
  const sql = postgres(cluster.url, { max: 1 })
  const [row] = await sql`select current_setting('data_directory') as dir`
  await sql.end()
  return Number(readFileSync(join(row!.dir, 'postmaster.pid'), 'utf8').split('\n')[0])
}

export async function startFloor(cluster: Cluster): Promise<Contender> {
  const databaseUrl = await newDatabase(cluster, 'floor')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const env = { PORT: String(port), DATABASE_URL: databaseUrl }
  const running = await start([process.execPath, join(import.meta.dir, 'floor.ts')], `${url}/healthz`, env, tmpdir())
  const sql = postgres(databaseUrl, { max: 1 })
  return {
    name: 'floor',
    process: running,
    postmaster: await postmasterOf(cluster),
    url,
    fastest: 12_000,
    target: {
      host: `localhost:${port}`,
      basic: `Basic ${btoa(`bench:${'s'.repeat(47)}`)}`,
      client: 'bench',
      accessToken: 'x'.repeat(600),
      sessions: ['x'.repeat(200)],
    },
    async seed(name, from, count) {
      for (const statement of floorSeedsOf(name, from, count)) await sql.unsafe(statement)
    },
    async [Symbol.asyncDispose]() {
      await sql.end()
      await running.stop()
    },
  }
}

/** @param cluster Absent: the embedded database. */
export async function startOurs(
  binary: string,
  cluster: Cluster | undefined,
  more: Record<string, string> = {},
): Promise<Ours> {
  const dir = mkdtempSync(join(tmpdir(), 'bench-'))
  const port = await freePort()
  const base = `http://localhost:${port}`
  const url = `http://127.0.0.1:${port}`
  const env = {
    BASE_URL: base,
    PORT: String(port),
    DATA_DIR: join(dir, 'data'),
    AUTH_SECRET: SECRET,
    SHUTDOWN_GRACE: '0',
    // So that requests for device codes can come from different networks.
    TRUSTED_PROXIES: '127.0.0.1',
    ...(cluster ? { DATABASE_URL: await newDatabase(cluster, `ours_${port}`) } : {}),
    ...more,
  }
  const running = await start([binary, 'serve'], `${url}/readyz`, env, dir)
  const deps = await openDeps(
    parseConfig(env, () => ''),
    { log: openLog('silent'), serving: false },
  )
  const machine = await addClient(deps, {
    name: 'Bench',
    grantTypes: ['client_credentials'],
    redirectUris: [],
    scope: ['mcp'],
  })
  const app = await addClient(deps, {
    name: 'Bench app',
    grantTypes: ['authorization_code', DEVICE_CODE_GRANT, 'refresh_token'],
    redirectUris: ['http://localhost/'],
    scope: ['mcp'],
    authMethod: 'none',
  })
  const userId = crypto.randomUUID()
  const grantId = crypto.randomUUID()
  const resource = deps.resources.hub.url
  await runSeeds(deps.db, [
    `insert into users (id, email, name, created_at) values ('${userId}', 'ada@example.com', 'Ada', now())`,
    `insert into grants (id, client_id, user_id, scope, resource, created_at, used_at, expires_at)
      values ('${grantId}', '${app.id}', '${userId}', array['mcp'], '${resource}', now(), now(), now() + interval '1 day')`,
  ])
  const grant = { clientId: app.id, userId, grantId, scope: ['mcp'], resource }
  const { access_token: accessToken } = issueAccessToken(deps, grant)
  return {
    name: cluster ? 'PostgreSQL' : 'embedded',
    process: running,
    postmaster: cluster && (await postmasterOf(cluster)),
    url,
    fastest: cluster ? 12_000 : 6_000,
    target: {
      host: `localhost:${port}`,
      basic: `Basic ${btoa(`${machine.id}:${machine.secret}`)}`,
      client: app.id,
      accessToken,
      sessions: await Promise.all(Array.from({ length: SESSIONS }, () => openSession(url, accessToken))),
    },
    seed: (name, from, count) => runSeeds(deps.db, seedsOf(name, { client: app.id, userId, resource }, from, count)),
    db: deps.db,
    tokenOf(n) {
      const id = `00000000-0000-0000-0000-${String(n).padStart(12, '0')}`
      return issueAccessToken(deps, { ...grant, userId: id, grantId: id }).access_token
    },
    addPeople: count => runSeeds(deps.db, peopleOf({ client: app.id, resource }, count)),
    async [Symbol.asyncDispose]() {
      await deps.close()
      await running.stop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

export async function openSession(url: string, accessToken: string): Promise<string> {
  const headers = {
    'X-Open-Session': 'yes', // for the SDK, which is asked for sessions and for single requests
    Authorization: `Bearer ${accessToken}`,
    'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream',
  }
  const answer = await fetch(`${url}/mcp`, { method: 'POST', headers, body: JSON.stringify(initializeRequest) })
  await answer.text()
  return answer.headers.get('mcp-session-id')!
}
