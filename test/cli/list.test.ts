/** Commands that list users, connections, keys and events, and end connections. */

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import packageJson from '../../package.json' with { type: 'json' }
import { systemUser } from '../../src/cli/environment.ts'
import { openLog } from '../../src/lib/log.ts'
import { announce, serversOf } from '../../src/presence.ts'
import { binary } from '../support/binary.ts'
import { follow, ROOT, runCommand, startCommand } from '../support/command.ts'
import { deviceTokens, registerClient, rpc, signIn } from '../support/flows.ts'
import { startReplica, startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'

setDefaultTimeout(300_000)

let server: TestServer
let client: string
let ada: string
beforeAll(async () => {
  server = await startServer()
  client = await registerClient(server, { client_name: 'Ada’s app' })
  ada = await signIn(server, 'ada@example.com', { admin: true })
  await signIn(server, 'bob@example.com')
})
afterAll(() => server.close())

const run = (...args: string[]) => runCommand(args, server.env)
const TIME = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/

test('user list: address, role, state, last sign-in and name; with --json everything', async () => {
  expect((await run('user', 'invite', 'guest@example.com')).code).toBe(0)
  expect((await run('user', 'disable', 'bob@example.com')).code).toBe(0)
  const { stdout } = await run('user', 'list')
  expect(stdout.split('\n').map(line => line.split('\t').slice(0, 3))).toEqual([
    ['ada@example.com', 'administrator', expect.any(String)],
    ['bob@example.com', 'user', 'disabled'],
    ['guest@example.com', 'user', 'invited'],
    [''],
  ])
  const users = JSON.parse((await run('user', 'list', '--json')).stdout) as Record<string, unknown>[]
  expect(users[0]).toEqual({
    id: expect.any(String),
    email: 'ada@example.com',
    name: expect.any(String),
    is_admin: true,
    leaving_by: null,
    invited_at: expect.anything(),
    disabled_at: null,
    created_at: expect.stringMatching(TIME),
    signed_in_at: expect.stringMatching(TIME),
  })
})

test('connection list and end: tokens of an ended connection are refused within a second', async () => {
  const { access_token } = await deviceTokens(server, client, ada)
  expect((await rpc(server, access_token, 'tools/list')).status).toBe(200)
  const of = (...args: string[]) => run('connection', 'list', ...args)
  const line = (await of('--user', 'Ada@example.com', '--client', client)).stdout
  const [id, email, name, scope, resource, renewed] = line.trimEnd().split('\t')
  expect([email, name, scope, resource, renewed]).toEqual([
    'ada@example.com',
    'Ada’s app',
    'mcp:tools:read mcp:tools:call',
    `${server.base}/mcp`,
    expect.stringMatching(TIME),
  ])
  expect((await of('--user', 'bob@example.com')).stdout).toBe('')
  expect(JSON.parse((await of('--client', client, '--json')).stdout)).toMatchObject([{ id, email, client_id: client }])

  expect(await run('connection', 'end', id!)).toEqual({ code: 0, stdout: `Ended ${id}.\n`, stderr: '' })
  while ((await rpc(server, access_token, 'tools/list')).status !== 401) await Bun.sleep(20)
  expect((await of()).stdout).toBe('')
  expect(await run('connection', 'end', id!)).toEqual({
    code: 1,
    stdout: '',
    stderr: `No longer connected, or never was: ${id}\n`,
  })
  expect(await run('connection', 'end', 'x')).toEqual({
    code: 1,
    stdout: '',
    stderr: 'x is not the id of a connection; see: mcp-oauth-server connection list\n',
  })
})

test('key list: the keys, and from when each signs', async () => {
  const keys = async () => JSON.parse((await run('key', 'list', '--json')).stdout) as Record<string, unknown>[]
  const [first] = await keys()
  expect(first).toEqual({
    kid: expect.any(String),
    created_at: expect.stringMatching(TIME),
    signs_at: expect.stringMatching(TIME),
    retired_at: null,
  })
  expect((await run('key', 'rotate')).code).toBe(0)
  expect((await keys()).map(({ kid }) => kid)).toEqual([expect.any(String), first!.kid])
  expect((await run('key', 'list')).stdout).toContain(`${first!.kid}\t`)
})

test('audit list, export and tail: filtered, as columns, CSV and JSON lines', async () => {
  const list = async (...args: string[]) => (await run('audit', 'list', ...args)).stdout.trimEnd().split('\n')
  expect((await list('--event', 'user.disabled'))[0]!.split('\t').slice(1, 3)).toEqual([
    'user.disabled',
    'bob@example.com',
  ])
  expect(await list('--limit', '2')).toHaveLength(2)
  expect(
    JSON.parse((await list('--event', 'device.approved', '--user', 'ada@example.com', '--json'))[0]!),
  ).toMatchObject({
    event: 'device.approved',
    email: 'ada@example.com',
    client_id: client,
  })
  expect(await list('--until', '2020-01-01')).toEqual([''])
  const { stdout } = await run('audit', 'export', '--event', 'client.registered')
  expect(stdout.split('\n')[0]).toBe('at,event,email,client_id,grant_id,ip,detail')
  expect(stdout.split('\n')[1]).toMatch(new RegExp(`^[^,]+,client.registered,,${client},,127.0.0.1,name=Ada’s app$`))

  expect(await list('--event', 'audit.exported')).toEqual([
    expect.stringMatching(/\tactor=cli event=client\.registered format=csv system_user=\S+$/),
  ])

  const tail = startCommand(['audit', 'tail', '--event', 'user.enabled', '--json'], server.env)
  const events = follow(tail.stdout)
  const seen = events.until(/"event":"user.enabled"/)
  let ended = false
  void seen.then(() => {
    ended = true
  })
  while (!ended) await run('user', 'enable', 'bob@example.com')
  tail.kill()
})

test.each([
  [['--event', 'user.flew'], 'There is no event user.flew; use user.signed_in, '],
  [['--since', 'yesterday'], '--since yesterday is not a time such as 2026-11-01 or 2026-11-01T12:00:00Z'],
  [['--limit', '0'], '--limit must be a whole number, at least 1'],
])('audit list refuses %j', async (args, message) => {
  const { code, stderr } = await run('audit', 'list', ...args)
  expect([code, stderr]).toEqual([1, expect.stringContaining(message)])
})

test('status: version, servers with their last errors, database, settings without secrets', async () => {
  openLog('error').error({ detail: 'not shown' }, 'something broke')
  const presence = announce(server.deps)
  await presence.ready
  // Of a command that does not have the server's port.
  const { PORT: _, BASE_URL: __, ...env } = server.env
  const { code, stdout } = await runCommand(['status', '--json'], env)
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({
    base_url: server.env.BASE_URL,
    server: 'up',
    servers: [
      {
        version: packageJson.version,
        address: `127.0.0.1:${server.env.PORT}`,
        sessions: 0,
        streams: 0,
        errors: expect.arrayContaining([{ at: expect.stringMatching(TIME), message: 'something broke' }]),
      },
    ],
    connections: expect.any(Number),
    last_day: { calls: expect.any(Number), failed_calls: expect.any(Number), refused: expect.any(Number) },
    database: { version: expect.stringMatching(/^\d+/), milliseconds: expect.any(Number) },
    settings: { PORT: server.env.PORT },
  })
  for (const secret of [server.env.AUTH_SECRET, server.env.DATABASE_URL])
    if (secret) expect(stdout).not.toContain(secret)
  expect((await run('status')).stdout).toMatch(
    /^mcp-oauth-server \S+ at http:\S+: up\n(embedded )?PostgreSQL [\s\S]*\nLast 24 hours: \d+ calls?, \d+ of them failed; \d+ refused requests?\n[\s\S]*\nServer \S+ \d+ [0-9a-f]{6} at 127\.0\.0\.1:\d+: .* 0 streams\n[\s\S]*error \S+ {2}something broke\n/,
  )
  // As in another container, whose host name and process id are the same.
  const replica = await startReplica(server)
  const other = announce(replica.deps)
  await other.ready
  const [one, two] = await serversOf(server.deps)
  expect([one!.name.slice(0, -6), one!.name === two!.name]).toEqual([two!.name.slice(0, -6), false])
  expect(replica.deps.metrics.valueOf('replicas')).toBe(2)
  await other.stop()
  await replica.stop()
  await presence.stop()
  expect(await serversOf(server.deps)).toEqual([])
  for (let round = 0; round < 10; round++) await announce(server.deps).stop() // before its state is stored
  expect(await serversOf(server.deps)).toEqual([])
})

test('status says where each setting came from', async () => {
  const file = join(tmpdir(), `${crypto.randomUUID()}.env`)
  await Bun.write(file, 'REFRESH_TOKEN_TTL=7200\n')
  const { stdout } = await run('--env-file', file, 'status')
  await rm(file)
  expect(stdout).toContain(`\n  PORT=${server.env.PORT} (environment)\n`)
  expect(stdout).toContain(`\n  REFRESH_TOKEN_TTL=7200 (${file})\n`)
  expect(stdout).toContain('\n  ACCESS_TOKEN_TTL=3600 (default)\n')
})

test('a reader that closes the pipe early is no error', async () => {
  const command = `"$0" status | head -n 1; echo "\${PIPESTATUS[0]}"`
  const child = Bun.spawn(['bash', '-c', command, binary()], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', ...server.env },
    stdout: 'pipe',
    stderr: 'pipe',
  })
  expect(await child.stdout.text()).toMatch(/^mcp-oauth-server .*: up\n0\n$/)
  expect(await child.stderr.text()).toBe('')
})

test('client show: everything that is known of a client', async () => {
  const { stdout, stderr } = await run('client', 'show', client)
  expect(stderr).toBe('')
  expect(stdout).toMatch(/^id {14}c_\S+\nname {12}Ada’s app\nsource {10}dynamic\n/)
  expect(JSON.parse((await run('client', 'show', client, '--json')).stdout)).toMatchObject({
    ...{ id: client, name: 'Ada’s app', source: 'dynamic', auth_method: 'none', connections: expect.any(Number) },
  })
  expect((await run('client', 'show', 'c_none')).stderr).toBe(
    'There is no client c_none; see: mcp-oauth-server client list\n',
  )
})

test('user remove: everything that is theirs ends and is gone, and the audit log says which system user did it', async () => {
  const cookie = await signIn(server, 'carol@example.com')
  const { access_token, refresh_token } = await deviceTokens(server, client, cookie)
  const made = await run('token', 'add', 'Script', '--user', 'carol@example.com')
  const personal = made.stdout.trimEnd()
  for (const token of [access_token, personal]) expect((await rpc(server, token, 'tools/list')).status).toBe(200)
  expect(await run('user', 'remove', 'carol@example.com')).toEqual({
    code: 1,
    stdout: '',
    stderr: 'Remove carol@example.com, with everything that is theirs? There is no terminal to ask at: add --yes\n',
  })
  const removed = await run('user', 'remove', 'Carol@example.com', '--yes')
  expect(removed).toEqual({
    code: 0,
    stdout: 'Carol@example.com is removed, with their connections, access tokens and linked accounts.\n',
    stderr: '',
  })
  for (const token of [access_token, personal])
    await until(async () => (await rpc(server, token, 'tools/list')).status === 401)
  const form = { grant_type: 'refresh_token', client_id: client, refresh_token }
  expect((await server.post('/api/oauth/token', form)).status).toBe(400)
  expect((await server.get('/account', { Cookie: cookie })).status).toBe(303)
  expect((await run('user', 'list')).stdout).not.toContain('carol')
  expect((await run('user', 'remove', 'carol@example.com', '--yes')).stderr).toBe(
    'There is no user with the address carol@example.com\n',
  )
  const [event] = (await run('audit', 'list', '--event', 'user.removed', '--json')).stdout.split('\n')
  expect(JSON.parse(event!)).toMatchObject({
    event: 'user.removed',
    detail: { email: 'Carol@example.com', actor: 'cli', system_user: systemUser() },
  })
})
