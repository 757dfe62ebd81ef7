/** Debian's Patroni with etcd: three PostgreSQL servers, one of which is primary and replicates synchronously to another. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './ports.ts'
import { type Program, start } from './processes.ts'
import { until } from './until.ts'
import { asPostgres, binDir, giveToPostgres, serverProcesses } from './with-postgres.ts'

const MEMBERS = [0, 1, 2] as const

export const patroniInstalled = Bun.which('patroni') !== null && Bun.which('etcd') !== null

export interface Patroni {
  /** All three, as DATABASE_URL names them. */
  hosts: string
  /** Waits until all members run and one follows the primary synchronously. @returns the number of the primary. */
  ready(): Promise<number>
  /** Waits until another member is primary. */
  replaced(member: number): Promise<void>
  /** Ends a member's PostgreSQL, Patroni and etcd at once, as a machine that loses power would. */
  crash(member: number): Promise<void>
  /** Starts a member that crashed. */
  revive(member: number): void
  /** Hands the role of the primary over, as an operator does for maintenance. */
  switchOver(from: number): Promise<void>
  remove(): Promise<void>
}

/** @param ttl Seconds after which a primary that is not heard of is replaced. */
export async function startPatroni(ttl: number): Promise<Patroni> {
  const dir = mkdtempSync(join(tmpdir(), 'mcp-oauth-patroni-'))
  giveToPostgres(dir)
  const [clients, peers, apis, ports] = (await Promise.all(
    MEMBERS.map(() => 0)
      .concat(0)
      .map(() => Promise.all(MEMBERS.map(freePort))),
  )) as [number[], number[], number[], number[]]
  const at = (port: number | undefined) => `127.0.0.1:${port}`
  const data = (member: number) => join(dir, `data-${member}`)

  const startEtcd = (member: number) =>
    start(
      asPostgres([
        'etcd',
        ...[`--name=etcd-${member}`, `--data-dir=${join(dir, `etcd-${member}`)}`, '--log-level=error'],
        ...[
          `--listen-client-urls=http://${at(clients[member])}`,
          `--advertise-client-urls=http://${at(clients[member])}`,
        ],
        ...[
          `--listen-peer-urls=http://${at(peers[member])}`,
          `--initial-advertise-peer-urls=http://${at(peers[member])}`,
        ],
        `--initial-cluster=${MEMBERS.map(other => `etcd-${other}=http://${at(peers[other])}`).join(',')}`,
      ]),
      {},
      dir,
    )
  const configOf = (member: number) => ({
    scope: 'test',
    name: `member-${member}`,
    restapi: { listen: at(apis[member]), connect_address: at(apis[member]) },
    etcd3: { hosts: clients.map(at) },
    bootstrap: {
      dcs: { ttl, loop_wait: 1, retry_timeout: 3, synchronous_mode: true, postgresql: { use_pg_rewind: true } },
      initdb: [{ encoding: 'UTF8' }, { locale: 'C' }, 'no-sync'],
    },
    postgresql: {
      listen: at(ports[member]),
      connect_address: at(ports[member]),
      data_dir: data(member),
      bin_dir: binDir(),
      pgpass: join(dir, `pgpass-${member}`),
      authentication: { superuser: { username: 'postgres' }, replication: { username: 'replicator' } },
      pg_hba: ['host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust'],
      parameters: { unix_socket_directories: dir, max_connections: 100 },
    },
  })
  const startPatroniOf = (member: number) => {
    const config = join(dir, `patroni-${member}.yml`)
    writeFileSync(config, JSON.stringify(configOf(member)))
    return start(asPostgres(['patroni', config]), {}, dir)
  }

  const running = new Map<number, Program[]>()
  const revive = (member: number) => void running.set(member, [startEtcd(member), startPatroniOf(member)])
  for (const member of MEMBERS) revive(member)

  /** @returns what the first member that answers says about all of them. */
  const members = async () => {
    for (const port of apis) {
      const answer = await fetch(`http://${at(port)}/cluster`).catch(() => undefined)
      if (answer?.ok)
        return ((await answer.json()) as { members: { name: string; role: string; state: string }[] }).members
    }
    return []
  }
  const isPrimary = async (member: number) =>
    (await fetch(`http://${at(apis[member])}/primary`).catch(() => undefined))?.status === 200
  const primary = async () => {
    for (const member of MEMBERS) if (await isPrimary(member)) return member
    return undefined
  }
  return {
    hosts: ports.map(at).join(','),
    async ready() {
      await until(async () => {
        const all = await members()
        return all.filter(({ state }) => state === 'running' || state === 'streaming').length === MEMBERS.length
      })
      await until(async () => (await members()).some(({ role }) => role === 'sync_standby'))
      return (await primary())!
    },
    replaced: member => until(async () => ![undefined, member].includes(await primary())),
    async crash(member) {
      for (const program of running.get(member)!) program.kill('SIGKILL')
      for (const pid of serverProcesses(data(member))) process.kill(pid, 'SIGKILL')
      for (const program of running.get(member)!) await program.exited
      running.delete(member)
    },
    revive,
    async switchOver(from) {
      // It answers after the handover, or that it does not know yet.
      const init = { method: 'POST', body: JSON.stringify({ leader: `member-${from}` }) }
      await (await fetch(`http://${at(apis[from])}/switchover`, init)).text()
    },
    async remove() {
      for (const [member, [etcd, patroni]] of running) {
        patroni!.kill('SIGKILL')
        etcd!.kill('SIGKILL')
        for (const pid of serverProcesses(data(member)).slice(0, 1)) process.kill(pid, 'SIGQUIT') // it frees its memory
        await patroni!.exited
      }
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
