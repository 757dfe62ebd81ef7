/** What the benchmark compares: this gateway and those of npm, each as a process of its own in front of the same upstream. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { follow, ROOT } from '../support/command.ts'
import { freePort } from '../support/ports.ts'
import { emptyDatabase } from '../support/server.ts'

export interface Running extends AsyncDisposable {
  pid: number
  /** The endpoint in front of the upstream over stdio, and the one over HTTP, if there is one. */
  endpoint(upstream: 'stdio' | 'http'): { url: string; headers: Record<string, string> }
}

const programOf = (name: string) => [process.execPath, join(import.meta.dir, name)]

/** The servers behind: the least that one can be, so that what is measured is the way to it, and what people have. */
export const UPSTREAMS = { bare: programOf('echo-server.ts'), sdk: programOf('sdk-echo-server.ts') }
export type Upstream = keyof typeof UPSTREAMS
export const overStdio = (upstream: Upstream) => [...UPSTREAMS[upstream], '--stdio']

/** Starts a process, and waits until a request to `url` is answered, whatever the answer. */
async function start(command: string[], url: string, env: Record<string, string> = {}, cwd?: string) {
  const child = Bun.spawn(command, {
    ...(cwd === undefined ? {} : { cwd }),
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'ignore',
  })
  const answers = () =>
    fetch(url).then(
      () => true,
      () => false,
    )
  while (!(await answers())) {
    if (child.exitCode !== null) throw new Error(`${command.join(' ')} ended with ${child.exitCode}`)
    await Bun.sleep(50)
  }
  const stop = async () => {
    child.kill()
    await child.exited
  }
  return { pid: child.pid, stop }
}

/** The upstream itself, over HTTP. */
export const startUpstream = (upstream: Upstream) => startPrinting([...UPSTREAMS[upstream], '--http', '0'])

/** A server that only carries calls. @param to An address, or a command. */
export const startBare = (to: string | string[]) => startPrinting([...programOf('bare.ts'), JSON.stringify(to)])

/** Starts a server that prints its address. */
async function startPrinting(command: string[]): Promise<Running & { url: string }> {
  const child = Bun.spawn(command, { stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' })
  const [, url] = await follow(child.stdout).until(/listening on (\S+)\n/)
  return {
    pid: child.pid,
    url: url!,
    endpoint: () => ({ url: url!, headers: {} }),
    async [Symbol.asyncDispose]() {
      child.kill()
      await child.exited
    },
  }
}

/**
 * This server with an upstream over both wires in its file, on the embedded database or TEST_DATABASE_URL's.
 *
 * @param more Other entries. @returns also when it answered, on the clock of `performance.now()`.
 */
export async function startOurs(
  upstream: Upstream,
  httpUpstream: string,
  more: Record<string, object> = {},
): Promise<Running & { readyAt: number }> {
  const dir = mkdtempSync(join(tmpdir(), 'bench-'))
  const database = await emptyDatabase()
  const [command, ...args] = overStdio(upstream)
  // As many calls at once as there are callers: the gateways of npm have no limit.
  const limit = { concurrency: 64 }
  const stdio = { command, args, isolation: 'shared', ...limit }
  const mcpServers = { stdio, http: { url: httpUpstream, ...limit }, ...more }
  writeFileSync(join(dir, 'mcp.json'), JSON.stringify({ mcpServers }))
  const port = await freePort()
  const base = `http://localhost:${port}`
  const env = { ...database.env, PORT: String(port), BASE_URL: base, LOG_LEVEL: 'warn', SHUTDOWN_GRACE: '0' }
  const main = [process.execPath, join(ROOT, 'src/main.ts')]
  const served = { ...env, MCP_SERVERS: join(dir, 'mcp.json') }
  const { pid, stop } = await start([...main, 'serve'], `${base}/readyz`, served, dir)
  const readyAt = performance.now()
  const added = Bun.spawnSync([...main, 'client', 'add', 'bench', '--grant', 'client_credentials'], { env, cwd: dir })
  const [, id, secret] = /CLIENT_ID=(\S+)\nCLIENT_SECRET=(\S+)/.exec(added.stdout.toString()) ?? []
  const tokenFor = async (name: string) => {
    const body = new URLSearchParams({ grant_type: 'client_credentials', resource: `${base}/mcp/${name}` })
    const headers = { Authorization: `Basic ${btoa(`${id}:${secret}`)}` }
    const answer = await fetch(`${base}/api/oauth/token`, { method: 'POST', headers, body })
    return ((await answer.json()) as { access_token: string }).access_token
  }
  const tokens = { stdio: await tokenFor('stdio'), http: await tokenFor('http') }
  return {
    pid,
    readyAt,
    endpoint: name => ({
      url: `http://127.0.0.1:${port}/mcp/${name}`,
      headers: { Authorization: `Bearer ${tokens[name]}` },
    }),
    async [Symbol.asyncDispose]() {
      await stop()
      await database.drop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

const PEERS = {
  'mcp-proxy@6.7': (port: number, command: string[]) => [
    ...['mcp-proxy', '--port', `${port}`, '--host', '127.0.0.1', '--server', 'stream'],
    ...['--upstreamProtocol', 'auto', '--', ...command],
  ],
  'supergateway@4.0': (port: number, command: string[]) => [
    ...['supergateway', '--port', `${port}`, '--logLevel', 'none', '--outputTransport', 'streamableHttp'],
    ...['--stateful', '--stdio', command.join(' ')],
  ],
} as const

export type Peer = keyof typeof PEERS
export const peers = Object.keys(PEERS) as Peer[]

/** Fetches packages into a directory of their own. @returns nothing if npm does not have them. */
export function fetchPeer(peer: Peer, directory: string): { version: string } | undefined {
  const install = ['npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', directory, peer]
  const { success } = Bun.spawnSync(install, { stdout: 'ignore', stderr: 'ignore' })
  if (!success) return undefined
  const [name] = peer.split('@')
  return JSON.parse(readFileSync(join(directory, `node_modules/${name}/package.json`), 'utf8'))
}

/** A gateway of npm, in front of the upstream over stdio: none of them has one over HTTP on both sides. */
export async function startPeer(peer: Peer, directory: string, upstream: Upstream): Promise<Running> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}/mcp`
  const [program, ...args] = PEERS[peer](port, overStdio(upstream))
  const { pid, stop } = await start([join(directory, 'node_modules/.bin', program!), ...args], url)
  return { pid, endpoint: () => ({ url, headers: {} }), [Symbol.asyncDispose]: stop }
}
