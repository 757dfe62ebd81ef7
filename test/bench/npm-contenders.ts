/** What npm has to compare with, each as a process of its own. */
import { join } from 'node:path'
import { ROOT } from '../support/command.ts'
import { freePort } from '../support/ports.ts'
import type { Cluster } from '../support/with-postgres.ts'
import { type CaseName, MACHINE_SECRET, type Target } from './cases.ts'
import { type Contender, newDatabase, openSession, postmasterOf, start } from './contenders.ts'

const NO_TARGET = { basic: '', client: '', accessToken: 'none', sessions: [] }
const SESSIONS = 8

/** An authorization server in PostgreSQL, which knows the operations of a device and a machine. */
async function startOAuth(
  cluster: Cluster,
  peer: {
    name: string
    program: string
    ready: string
    cases: CaseName[]
    env?: Record<string, string>
    target?: Partial<Target>
  },
): Promise<Contender> {
  const databaseUrl = await newDatabase(cluster, peer.program.replaceAll('-', '_'))
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const command = [process.execPath, join(import.meta.dir, `${peer.program}.ts`)]
  const env = { ...peer.env, PORT: String(port), DATABASE_URL: databaseUrl }
  const running = await start(command, `${url}${peer.ready}`, env, ROOT)
  const target: Target = {
    ...NO_TARGET,
    host: `localhost:${port}`,
    basic: `Basic ${btoa(`machine:${MACHINE_SECRET}`)}`,
    client: 'app',
    ...peer.target,
    resource: `http://localhost:${port}/mcp`,
  }
  const body = new URLSearchParams({ client_id: 'app', scope: 'mcp' })
  const asked = await fetch(`${url}${target.devicePath ?? '/api/oauth/device'}`, { method: 'POST', body })
  const { device_code: deviceCode } = (await asked.json()) as { device_code: string }
  return {
    name: peer.name,
    process: running,
    postmaster: await postmasterOf(cluster),
    url,
    fastest: 3_000,
    cases: peer.cases,
    target: { ...target, deviceCode },
    seed: async () => {},
    [Symbol.asyncDispose]: running.stop,
  }
}

export const startOidcProvider = (cluster: Cluster) =>
  startOAuth(cluster, {
    name: 'oidc-provider',
    program: 'oidc-provider',
    ready: '/jwks',
    cases: ['metadata', 'credentials', 'device', 'poll'],
  })

/** @param directory For its packages, which are no dependencies. @throws if npm does not have them. */
export function startBetterAuth(cluster: Cluster, directory: string): Promise<Contender> {
  const packages = ['better-auth@1.7.5', '@better-auth/oauth-provider@1.7.5', 'pg@8']
  const flags = ['--no-audit', '--no-fund', '--ignore-scripts', '--legacy-peer-deps', '--prefix', directory]
  const { success } = Bun.spawnSync(['npm', 'install', ...flags, ...packages], { stdout: 'ignore', stderr: 'ignore' })
  if (!success) throw new Error('npm did not fetch it')
  const api = '/api/auth'
  return startOAuth(cluster, {
    name: 'better-auth',
    program: 'better-auth',
    ready: `${api}/ok`,
    cases: ['metadata', 'credentials', 'device'], // polls of one code wait for each other there
    env: { PACKAGES: directory, NODE_ENV: 'production' },
    target: {
      tokenPath: `${api}/oauth2/token`,
      devicePath: `${api}/device/code`,
      metadataPath: `${api}/.well-known/oauth-authorization-server`,
    },
  })
}

/** The MCP SDK without authorization. */
export async function startSdk(version: 1 | 2): Promise<Contender> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const program = [process.execPath, join(import.meta.dir, `sdk-${version}.ts`)]
  const running = await start(program, `${url}/healthz`, { PORT: String(port) }, ROOT)
  const legacy: CaseName[] = ['callSession', 'callAlone']
  return {
    name: `MCP SDK ${version}`,
    process: running,
    url,
    fastest: 3_000,
    cases: version === 1 ? legacy : [...legacy, 'callModern', 'listModern'],
    first: 'callAlone',
    target: {
      ...NO_TARGET,
      host: `localhost:${port}`,
      sessions: await Promise.all(Array.from({ length: SESSIONS }, () => openSession(url, 'none'))),
    },
    seed: async () => {},
    [Symbol.asyncDispose]: running.stop,
  }
}
