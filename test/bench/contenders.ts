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
import { ROOT } from '../support/command.ts'
import { freePort } from '../support/ports.ts'
import type { Cluster } from '../support/with-postgres.ts'
import { type CaseName, initializeRequest, type Target } from './cases.ts'
import { floorSeedsOf, runSeeds, seedsOf } from './seed.ts'

export interface Contender extends AsyncDisposable {
  name: string
  pid: number
  /** The database server whose time counts, too. */
  postmaster?: number | undefined
  url: string
  target: Target
  /** Absent: all cases. */
  cases?: readonly CaseName[]
  /** How many requests that can be sent once it answers in a second, at most. */
  fastest: number
  seed(name: CaseName, from: number, count: number): Promise<void>
}

/** This server. */
export interface Ours extends Contender {
  db: Database
  /** An access token of the n-th person. */
  tokenOf(n: number): string
}

const SESSIONS = 8
const SECRET = 'a secret of the benchmark, 32 characters or more'

/** Starts a process and waits until it answers. @returns also the milliseconds that took. */
export async function start(command: string[], url: string, env: Record<string, string>, cwd: string) {
  const began = performance.now()
  const child = Bun.spawn(command, {
    cwd,
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'ignore',
  })
  const answers = () =>
    fetch(url).then(
      response => response.ok || response.status === 404,
      () => false,
    )
  while (!(await answers())) {
    if (child.exitCode !== null) throw new Error(`${command.join(' ')} ended with ${child.exitCode}`)
    await Bun.sleep(5)
  }
  const stop = async () => {
    child.kill()
    await child.exited
  }
  return { pid: child.pid, ms: performance.now() - began, stop }
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
  const { pid, stop } = await start(
    [process.execPath, join(import.meta.dir, 'floor.ts')],
    `${url}/healthz`,
    env,
    tmpdir(),
  )
  const sql = postgres(databaseUrl, { max: 1 })
  return {
    name: 'floor',
    pid,
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
      await stop()
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
    ...(cluster ? { DATABASE_URL: await newDatabase(cluster, 'ours') } : {}),
    ...more,
  }
  const { pid, stop } = await start([binary, 'serve'], `${url}/readyz`, env, dir)
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
    pid,
    postmaster: cluster && (await postmasterOf(cluster)),
    url,
    fastest: cluster ? 10_000 : 3_000,
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
    async [Symbol.asyncDispose]() {
      await deps.close()
      await stop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** node-oidc-provider, which knows the operations of a device and a machine. */
export async function startOidcProvider(cluster: Cluster): Promise<Contender> {
  const databaseUrl = await newDatabase(cluster, 'oidc')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const program = [process.execPath, join(import.meta.dir, 'oidc-provider.ts')]
  const { pid, stop } = await start(program, `${url}/jwks`, { PORT: String(port), DATABASE_URL: databaseUrl }, ROOT)
  const body = new URLSearchParams({ client_id: 'app' })
  const asked = await fetch(`${url}/api/oauth/device`, { method: 'POST', body })
  const { device_code: deviceCode } = (await asked.json()) as { device_code: string }
  return {
    name: 'oidc-provider',
    pid,
    postmaster: await postmasterOf(cluster),
    url,
    fastest: 3_000,
    cases: ['metadata', 'credentials', 'device', 'poll'],
    target: {
      host: `localhost:${port}`,
      basic: `Basic ${btoa(`machine:${'s'.repeat(47)}`)}`,
      client: 'app',
      accessToken: '',
      sessions: [],
      deviceCode,
    },
    seed: async () => {},
    [Symbol.asyncDispose]: stop,
  }
}

/** The MCP SDK without authorization. */
export async function startSdk(): Promise<Contender> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const program = [process.execPath, join(import.meta.dir, 'sdk.ts')]
  const { pid, stop } = await start(program, `${url}/healthz`, { PORT: String(port) }, ROOT)
  return {
    name: 'MCP SDK 2',
    pid,
    url,
    fastest: 3_000,
    cases: ['callModern', 'callSession', 'callAlone', 'listModern'],
    target: {
      host: `localhost:${port}`,
      basic: '',
      client: '',
      accessToken: 'none',
      sessions: await Promise.all(Array.from({ length: SESSIONS }, () => openSession(url, 'none'))),
    },
    seed: async () => {},
    [Symbol.asyncDispose]: stop,
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
