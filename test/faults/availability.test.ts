/** What stands between replicas of the binary and their PostgreSQL: a pooler, TLS, no notifications. */
import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { runCommand } from '../support/command.ts'
import { addMachine, ping, revokesOn, runBinary, signInAt, startReplicas, statusOf } from '../support/faults.ts'
import { deviceTokens, type Http, registerClient, requestDevice, type TokenAnswer } from '../support/flows.ts'
import { freePort } from '../support/ports.ts'
import { type Program, start } from '../support/processes.ts'
import { until } from '../support/until.ts'
import { asPostgres, type Cluster, giveToPostgres, startCluster } from '../support/with-postgres.ts'

setDefaultTimeout(300_000)

const opened: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
})

async function openCluster(options: Parameters<typeof startCluster>[0] = {}) {
  const cluster = await startCluster(options)
  opened.push(() => cluster.remove())
  return cluster
}

async function openReplicas(settings: Record<string, string>) {
  const { env, replicas, close } = await startReplicas(settings)
  opened.push(close)
  return { env, replicas }
}

/** Debian installs it where only root looks. */
const withPgBouncer = { PATH: `${process.env.PATH}:/usr/sbin` }
const [, minor] = /PgBouncer 1\.(\d+)/.exec(
  Bun.spawnSync(['pgbouncer', '--version'], { env: withPgBouncer }).stdout.toString(),
)!
const takesPrepared = Number(minor) >= 21

/** @returns its address. */
async function openPgBouncer(cluster: Cluster, prepared: number): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'mcp-oauth-pgbouncer-'))
  const port = await freePort()
  const config = join(dir, 'pgbouncer.ini')
  writeFileSync(
    config,
    `[databases]
postgres = host=127.0.0.1 port=${cluster.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
${takesPrepared ? `max_prepared_statements = ${prepared}` : ''}
ignore_startup_parameters = statement_timeout, lock_timeout, idle_in_transaction_session_timeout
`,
  )
  giveToPostgres(dir)
  giveToPostgres(config)
  const pooler: Program = start(asPostgres(['pgbouncer', config]), withPgBouncer)
  opened.push(async () => {
    pooler.kill('SIGINT')
    await pooler.exited
  })
  await pooler.printed('process up')
  return `postgres://postgres@127.0.0.1:${port}/postgres`
}

describe(`PgBouncer 1.${minor} in transaction mode`, () => {
  test.each([
    ['without prepared statements', 0, '?prepare=false'],
    ...(takesPrepared ? [['with prepared statements', 200, ''] as const] : []),
  ] as const)(
    '%s carries everything but notifications, which DATABASE_LISTEN_URL takes past it',
    async (_, prepared, query) => {
      const cluster = await openCluster()
      const address = await openPgBouncer(cluster, prepared)
      const { env, replicas } = await openReplicas({
        DATABASE_URL: address + query,
        DATABASE_LISTEN_URL: cluster.url,
      })
      const [server, other] = replicas
      const client = await registerClient(server)
      const ada = await signInAt(server, env)
      const { refresh_token } = await deviceTokens(other, client, ada)
      const form = { grant_type: 'refresh_token', client_id: client, refresh_token }
      const rotated = await Promise.all(replicas.map(async of => (await of.post('/api/oauth/token', form)).json()))
      expect(new Set(rotated.map(tokens => (tokens as TokenAnswer).refresh_token)).size).toBe(1)
      const many = Array.from({ length: 100 }, (_, i) => requestDevice(replicas[i % 2]!, client))
      expect(new Set((await Promise.all(many)).map(({ device_code }) => device_code)).size).toBe(100)
      await revokesOn(replicas, await addMachine(env))
      for (const replica of replicas) expect(replica.output()).not.toContain('"level":')
    },
  )

  test('is refused if it mixes up prepared statements', async () => {
    const cluster = await openCluster()
    const DATABASE_URL = await openPgBouncer(cluster, 0)
    const env = { DATABASE_URL, AUTH_SECRET: 'a secret of the tests, 32 characters or more' }
    expect(await runCommand(['migrate'], env)).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'DATABASE_URL leads to a pooler that mixes up prepared statements: add ?prepare=false to it, or set max_prepared_statements (PgBouncer 1.21 or newer)\n',
    })
    const listen = { DATABASE_LISTEN_URL: cluster.url, DATABASE_URL: `${DATABASE_URL}?prepare=false` }
    expect(await runCommand(['migrate'], { ...env, ...listen })).toMatchObject({ code: 0 })
  })
})

describe('an engine without notifications', () => {
  test('is polled: revocations, removed clients and new keys are seen on the other replica, also after an outage', async () => {
    const cluster = await openCluster()
    const { env, replicas } = await openReplicas({ DATABASE_URL: cluster.url, REVOCATION_POLL: '1' })
    const [server, other] = replicas
    const listening = postgres(cluster.url, { max: 1 })
    expect(await listening`select from pg_stat_activity where query ilike 'listen%'`).toHaveLength(0)
    await listening.end()
    const machine = await addMachine(env)
    await revokesOn(replicas, machine)
    await cluster.restart()
    for (const replica of replicas) await until(async () => (await statusOf(replica.get('/readyz'))) === 200)
    await revokesOn(replicas, machine)

    const { access_token } = (await (await server.post('/api/oauth/token', machine)).json()) as TokenAnswer
    await until(async () => (await ping(other, access_token)) === 200)
    await runBinary(['client', 'remove', machine.client_id!], env)
    for (const replica of replicas) await until(async () => (await ping(replica, access_token)) === 401)
    const keys = async (of: Http) =>
      ((await (await of.get('/.well-known/jwks.json')).json()) as { keys: unknown[] }).keys.length
    await runBinary(['key', 'rotate'], env)
    for (const replica of replicas) await until(async () => (await keys(replica)) === 2)
  })
})

describe('TLS to the database', () => {
  test('is checked as sslmode says, against the authority in sslrootcert', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'mcp-oauth-tls-'))
    const path = (name: string) => join(dir, name)
    const openssl = (...args: string[]) => {
      const { exitCode, stderr } = Bun.spawnSync(['openssl', ...args], { cwd: dir, stderr: 'pipe' })
      if (exitCode !== 0) throw new Error(stderr.toString())
    }
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Test authority', '-days', '2')
    openssl('req', ...key, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=localhost')
    writeFileSync(path('names'), 'subjectAltName=DNS:localhost')
    const signing = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names']
    openssl('x509', '-req', '-in', 'server.csr', '-out', 'server.pem', ...signing)
    openssl('req', '-x509', ...key, '-keyout', 'other.key', '-out', 'other.pem', '-subj', '/CN=Other', '-days', '2')
    for (const name of ['.', 'server.key', 'server.pem']) giveToPostgres(path(name))
    const files = [`ssl_cert_file=${path('server.pem')}`, `ssl_key_file=${path('server.key')}`]
    const cluster = await openCluster({ settings: ['ssl=on', ...files] })

    const migrate = (host: string, query: string) =>
      runBinary(['migrate'], {
        DATABASE_URL: `postgres://postgres@${host}:${cluster.port}/postgres?${query}`,
        AUTH_SECRET: 'a secret of the tests, 32 characters or more',
      }).then(
        () => 'works',
        error =>
          /self.signed|issuer|verif|altname|not match|IP address/i.exec((error as Error).message)?.[0] ?? String(error),
      )
    const ca = `sslrootcert=${path('ca.pem')}`
    for (const query of [
      'sslmode=disable',
      'sslmode=prefer',
      'sslmode=require',
      `sslmode=require&${ca}`,
      `sslmode=verify-ca&${ca}`,
      `sslmode=verify-full&${ca}`,
    ])
      expect([query, await migrate('localhost', query)]).toEqual([query, 'works'])
    expect(await migrate('127.0.0.1', `sslmode=verify-ca&${ca}`)).toBe('works')
    for (const [host, query] of [
      ['127.0.0.1', `sslmode=verify-full&${ca}`],
      ['localhost', 'sslmode=verify-full'],
      ['localhost', `sslmode=verify-full&sslrootcert=${path('other.pem')}`],
      ['localhost', `sslmode=require&sslrootcert=${path('other.pem')}`],
    ] as const)
      expect([host, query, await migrate(host, query)]).not.toEqual([host, query, 'works'])
    await openReplicas({
      DATABASE_URL: `postgres://postgres@localhost:${cluster.port}/postgres?sslmode=verify-full&${ca}`,
    })
    const admin = postgres(cluster.url, { max: 1 })
    const [tls] = await admin`
      select bool_and(ssl) as encrypted
      from pg_stat_ssl
      join pg_stat_activity using (pid)
      where application_name = 'mcp-oauth-server'`
    expect(tls).toEqual({ encrypted: true })
    await admin.end()
  })
})
