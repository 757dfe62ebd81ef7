/** What fault tests share: the compiled binary on either database, and how often to break it. */
import { expect } from 'bun:test'
import { runCommand } from './command.ts'
import { emptyDatabase, type TestDatabase } from './database.ts'
import { type Http, rpc, signInByLink, type TokenAnswer } from './flows.ts'
import { type Program, serve } from './processes.ts'
import { requestsTo } from './server.ts'
import { until } from './until.ts'

/** How often a fault is repeated: `long` for `bun run test:faults`, `short` in continuous integration. */
export const times = (long: number, short: number): number => (process.env.CI ? short : long)

export const DATABASES = ['the embedded database', 'PostgreSQL'] as const

/** @param kind PostgreSQL is that of TEST_DATABASE_URL, which `test:faults` starts. */
export function faultDatabase(kind: (typeof DATABASES)[number]): Promise<TestDatabase> {
  return emptyDatabase(kind === 'PostgreSQL' ? process.env.TEST_DATABASE_URL : '')
}

export interface Replica extends Http, Program {
  port: number
}

/** Starts the binary and waits until it listens. */
export async function startBinary(env: Record<string, string>): Promise<Replica> {
  const program = await serve({ LOG_LEVEL: 'warn', SHUTDOWN_GRACE: '0', ...env })
  const base = env.BASE_URL ?? `http://localhost:${program.port}`
  return { ...program, base, ...requestsTo(`http://127.0.0.1:${program.port}`) }
}

/** Runs a command of the binary. @returns what it printed. @throws if it failed. */
export async function runBinary(args: string[], env: Record<string, string>): Promise<string> {
  const { code, stdout, stderr } = await runCommand(args, env)
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`)
  return stdout
}

/** Signs somebody in with a link that a command prints. @returns the Cookie header of their browser. */
export async function signInAt(
  server: Http,
  env: Record<string, string>,
  email = 'ada@example.com',
  flags: string[] = [],
): Promise<string> {
  const [link] = /http\S+\/auth\/signin\/link\?token=\S+/.exec(
    await runBinary(['user', 'link', email, ...flags], { BASE_URL: server.base, ...env }),
  )!
  return signInByLink(server, link)
}

/** A machine that a command adds. @returns its token request. */
export async function addMachine(env: Record<string, string>): Promise<Record<string, string>> {
  const added = await runBinary(['client', 'add', 'Machine', '--grant', 'client_credentials'], env)
  const [, client_id] = /CLIENT_ID=(\S+)/.exec(added)!
  const [, client_secret] = /CLIENT_SECRET=(\S+)/.exec(added)!
  return { grant_type: 'client_credentials', client_id: client_id!, client_secret: client_secret! }
}

/** Two replicas with these settings. `close` stops them in order. */
export async function startReplicas(settings: Record<string, string>) {
  const env = {
    AUTH_SECRET: 'a secret of the tests, 32 characters or more',
    BASE_URL: 'http://localhost:3000',
    ...settings,
  }
  const replicas = [await startBinary(env), await startBinary(env)] as [Replica, Replica]
  const close = async () => {
    for (const replica of replicas) {
      replica.kill('SIGTERM')
      expect(await replica.exited).toBe(0)
    }
  }
  return { env, replicas, close }
}

export const statusOf = async (answer: Promise<Response>): Promise<number> => {
  const { status, body } = await answer
  await body?.cancel()
  return status
}
export const ping = (of: Http, token: string): Promise<number> => statusOf(rpc(of, token, 'ping'))

/** A token that is revoked on one replica is refused on the other. @returns that token. */
export async function revokesOn([one, other]: [Replica, Replica], machine: Record<string, string>): Promise<string> {
  const token = async () => ((await (await one.post('/api/oauth/token', machine)).json()) as TokenAnswer).access_token
  const { grant_type: _, ...credentials } = machine
  const [ended, alive] = [await token(), await token()]
  await until(async () => (await ping(other, ended)) === 200)
  expect(await statusOf(one.post('/api/oauth/revoke', { ...credentials, token: ended }))).toBe(200)
  await until(async () => (await ping(other, ended)) === 401)
  expect(await ping(other, alive)).toBe(200)
  return ended
}
