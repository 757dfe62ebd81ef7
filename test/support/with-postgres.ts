/**
 * Runs a command against a PostgreSQL of its own: a new cluster in a temporary directory, on a loopback port, as a
 * non-root user, gone afterwards. Usage: bun run test/support/with-postgres.ts COMMAND [ARGUMENT...]
 */
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { freePort } from './ports.ts'

/** The newest server programs that Debian installs; elsewhere those on the PATH. */
export function binDir(): string {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian)
    ? readdirSync(debian).filter(name => existsSync(join(debian, name, 'bin/initdb')))
    : []
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0]
  if (newest) return join(debian, newest, 'bin')
  const initdb = Bun.which('initdb')
  if (!initdb) throw new Error('PostgreSQL is not installed; on Debian: apt-get install postgresql')
  return join(initdb, '..')
}

/** PostgreSQL refuses to run as root, so then its own user runs it. */
export function asPostgres(command: string[]): string[] {
  return userInfo().uid === 0
    ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups', ...command]
    : command
}

async function run(command: string[]): Promise<void> {
  // Not 'pipe': the server would inherit the pipe, which would then never end.
  const child = Bun.spawn(command, { stdin: 'ignore', stdout: 'ignore', stderr: 'inherit', cwd: tmpdir() })
  if ((await child.exited) !== 0) throw new Error(`${command.join(' ')} failed`)
}

export interface Cluster {
  url: string
  port: number
  /** Ends the server at once, as a crash would, and starts it again. */
  restart(): Promise<void>
  /** @param mode `fast` ends the connections in order, `immediate` is like a crash. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>
  /** Stops the processes of the server, like a machine that hangs, until `thaw`. @param all Those that serve connections as well. */
  freeze(all: boolean): void
  thaw(): void
  /** Makes a primary of a standby. */
  promote(): Promise<void>
  start(): Promise<void>
  remove(): Promise<void>
}

interface ClusterOptions {
  /** Where its directory is made. */
  parent?: string
  settings?: string[]
  /** A cluster to follow, as its standby; otherwise it is a new one. */
  primary?: Cluster
}

/** A running cluster whose only user is `postgres`, without a password, reachable from this machine only. */
export async function startCluster({
  parent = tmpdir(),
  settings = [],
  primary,
}: ClusterOptions = {}): Promise<Cluster> {
  const bin = binDir()
  const dir = mkdtempSync(join(parent, 'mcp-oauth-pg-'))
  giveToPostgres(dir)
  const data = join(dir, 'data')
  const port = await freePort()
  const make = primary
    ? ['pg_basebackup', '-D', data, '-d', primary.url, '-R', '-c', 'fast', '--no-sync']
    : ['initdb', '-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync', '-E', 'UTF8', '--locale=C']
  await run(asPostgres([join(bin, make[0]!), ...make.slice(1)]))
  const all = ['listen_addresses=127.0.0.1', `port=${port}`, `unix_socket_directories=${dir}`, 'max_connections=200']
  const options = [...all, ...settings].map(setting => `-c ${setting}`).join(' ')
  const control = (...args: string[]) =>
    run(asPostgres([join(bin, 'pg_ctl'), '-D', data, '-w', '-l', join(dir, 'log'), ...args]))
  const start = () => control('-o', options, 'start')
  const stop = (mode = 'immediate') => control('-m', mode, 'stop')
  const signal = (name: NodeJS.Signals, all: boolean) => {
    for (const pid of serverProcesses(data).slice(0, all ? undefined : 1)) process.kill(pid, name)
  }
  await start()
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    port,
    start,
    stop,
    freeze: all => signal('SIGSTOP', all),
    thaw: () => signal('SIGCONT', true),
    promote: () => control('promote'),
    async restart() {
      await stop()
      await start()
    },
    async remove() {
      if (existsSync(join(data, 'postmaster.pid'))) await stop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** The processes of the server that runs on this data directory, if one does, its postmaster first. */
export function serverProcesses(data: string): number[] {
  if (!existsSync(join(data, 'postmaster.pid'))) return []
  const postmaster = Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0])
  const children = readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8').trim().split(' ')
  return [postmaster, ...children.filter(Boolean).map(Number)]
}

/** PostgreSQL wants its directory, and its key, for itself. */
export function giveToPostgres(path: string): void {
  if (userInfo().uid !== 0) return
  const id = (flag: string) => Number(Bun.spawnSync(['id', flag, 'postgres']).stdout.toString())
  chownSync(path, id('-u'), id('-g'))
}

if (import.meta.main) {
  const cluster = await startCluster()
  try {
    const child = Bun.spawn(process.argv.slice(2), {
      stdio: ['inherit', 'inherit', 'inherit'],
      env: { ...process.env, TEST_DATABASE_URL: cluster.url },
    })
    process.exitCode = await child.exited
  } finally {
    await cluster.remove()
  }
}
