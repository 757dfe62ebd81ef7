/** help, version, migrate, key rotate, and how `serve` starts. */
import { describe, expect, setDefaultTimeout, spyOn, test } from 'bun:test'
import { chmodSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import packageJson from '../../package.json' with { type: 'json' }
import { migrations } from '../../sql/migrations/index.ts'
import { greet } from '../../src/cli/greeting.ts'
import { secretFileWarnings } from '../../src/cli/secret-files.ts'
import { parseConfig, SECRET_VARIABLES } from '../../src/config.ts'
import { rotateKeys } from '../../src/oauth/keys.ts'
import { demoteUsers, inviteUser, usersWithAddress } from '../../src/signin/service.ts'
import { binary } from '../support/binary.ts'
import { follow, ROOT, runCommand, startCommand } from '../support/command.ts'
import { deviceTokens, registerClient, rpc, signIn } from '../support/flows.ts'
import { freePort } from '../support/ports.ts'
import { serve } from '../support/processes.ts'
import {
  emptyDatabase,
  migratedDatabase,
  onPostgres,
  startReplica,
  startServer,
  type TestServer,
} from '../support/server.ts'
import { startProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'

setDefaultTimeout(300_000)

describe('without a database', () => {
  test.each(['help', '--help', '-h'])('%s names every command', async name => {
    const { code, stdout, stderr } = await runCommand([name])
    expect([code, stderr]).toEqual([0, ''])
    for (const command of [
      ...[
        'serve',
        'login URL',
        'migrate',
        'status',
        'doctor [URL]',
        'client add NAME',
        'client list',
        'client show ID',
        'client rotate-secret ID',
      ],
      ...['client remove ID', 'user list', 'user link EMAIL', 'user invite EMAIL', 'user promote EMAIL'],
      ...[
        'user demote EMAIL',
        'user disable EMAIL',
        'user enable EMAIL',
        'user remove EMAIL',
        'connection list',
        'connection end [ID...]',
      ],
      ...['token add NAME', 'token list', 'token revoke ID...', 'backup FILE', 'restore FILE'],
      ...['upstream list', 'upstream check [NAME]', 'upstream trust NAME', 'key list', 'key rotate', 'audit list'],
      ...['audit tail', 'audit export', 'completion SHELL'],
    ])
      expect(stdout).toContain(`\n  ${command} `)
  })

  test.each(['--version', '-v'])('%s prints the version alone', async name => {
    expect(await runCommand([name])).toEqual({ code: 0, stdout: `${packageJson.version}\n`, stderr: '' })
  })

  test.each([
    [['serv'], "error: unknown command 'serv'\n(Did you mean serve?)\n"],
    [['constructor'], "error: unknown command 'constructor'\n"],
    [['--port'], "error: unknown option '--port'\n"],
    [['serve', 'now'], "error: too many arguments for 'serve'. Expected 0 arguments but got 1: now."],
    [['migrate', 'now'], "error: too many arguments for 'migrate'. Expected 0 arguments but got 1: now."],
    [['key'], 'Usage: mcp-oauth-server key [options] [command]\n'],
  ] as [string[], string][])('wrong usage is explained, with exit code 2: %j', async (args, message) => {
    expect(await runCommand(args)).toEqual({ code: 2, stdout: '', stderr: expect.stringContaining(message) })
  })

  test('shells other than bash, zsh and fish have no completion', async () => {
    expect(await runCommand(['completion', 'tcsh'])).toEqual({
      code: 1,
      stdout: '',
      stderr: 'There is no completion for tcsh; use bash, zsh, fish\n',
    })
  })

  describe('completes commands and options', () => {
    test('in bash', async () => {
      const { stdout } = await runCommand(['completion', 'bash'])
      const complete = async (...words: string[]) => {
        const ask = `${stdout}\nCOMP_WORDS=(mcp-oauth-server "$@"); COMP_CWORD=$#; _mcp_oauth_server; echo "\${COMPREPLY[*]}"`
        return (await Bun.$`bash -c ${ask} bash ${words}`.text()).trim()
      }
      expect(await complete('conn')).toBe('connection')
      expect(await complete('client', 'r')).toBe('rotate-secret remove')
      expect(await complete('-C', '/srv/mcp', 'client', 'r')).toBe('rotate-secret remove')
      expect(await complete('client', 'add', 'My app', '--re')).toBe('--redirect-uri')
    })

    test.skipIf(!Bun.which('zsh'))('in zsh', async () => {
      const { stdout } = await runCommand(['completion', 'zsh'])
      // Outside of its line editor zsh has no completions, so compadd prints what it would add.
      const ask = `compdef() { }; compadd() { shift; print -r -- "$@" }\n${stdout}\nwords=(mcp-oauth-server "$@"); CURRENT=$#+1; _mcp_oauth_server`
      const complete = async (...words: string[]) => (await Bun.$`zsh -f -c ${ask} zsh ${words}`.text()).trim()
      expect(await complete('client', '')).toBe('add list show rotate-secret remove')
      expect(await complete('-C', '/srv/mcp', 'key', '')).toBe('list rotate')
      expect(await complete('client', 'add', 'My app', '--re')).toContain('--redirect-uri')
    })

    test.skipIf(!Bun.which('fish'))('in fish', async () => {
      const { stdout } = await runCommand(['completion', 'fish'])
      const complete = async (line: string) =>
        (await Bun.$`fish --no-config -c ${`${stdout}\ncomplete -C '${line}'`}`.text()).trim().split('\n')
      expect(await complete('mcp-oauth-server conn')).toEqual(['connection'])
      expect(await complete('mcp-oauth-server client r')).toEqual(['remove', 'rotate-secret'])
      expect(await complete('mcp-oauth-server client add x --re')).toEqual(['--redirect-uri'])
    })
  })
})

test('migrate brings an empty database up to date, says what it did, and has nothing to do the next time', async () => {
  const database = await emptyDatabase()
  try {
    const first = await runCommand(['migrate'], database.env)
    expect(first).toEqual({
      code: 0,
      stdout: `Applied: ${migrations.map(({ name }) => name).join(', ')}\n`,
      stderr: '',
    })
    const second = await runCommand(['migrate'], database.env)
    expect(second).toEqual({ code: 0, stdout: 'The schema is up to date.\n', stderr: '' })
  } finally {
    await database.drop()
  }
})

test('key rotate: both keys are published at once, new tokens have the new kid five minutes later, and old ones still work (RFC 7517, RFC 9068 2.1)', async () => {
  const server = await startServer()
  try {
    const client = await registerClient(server)
    const ada = await signIn(server)
    const kidOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()).kid as string
    const published = async () => {
      const answer = (await (await server.get('/.well-known/jwks.json')).json()) as { keys: { kid: string }[] }
      return answer.keys.map(key => key.kid)
    }
    const old = (await deviceTokens(server, client, ada)).access_token
    expect(await published()).toEqual([kidOf(old)])

    const { code, stdout } = await runCommand(['key', 'rotate'], server.env)
    expect(code).toBe(0)
    const kid =
      /^New tokens are signed with (\S+) from \S+Z, in 5 minutes, when every cached key set contains it\. /.exec(
        stdout,
      )?.[1]
    while ((await published()).length < 2) await Bun.sleep(10) // the server is told by notification
    expect(await published()).toEqual([kid!, kidOf(old)])

    expect(kidOf((await deviceTokens(server, client, ada)).access_token)).toBe(kidOf(old))
    server.clock.advance(300)
    const fresh = (await deviceTokens(server, client, ada)).access_token
    expect(kidOf(fresh)).toBe(kid!)
    expect(kidOf(old)).not.toBe(kid!)
    for (const token of [old, fresh]) expect((await rpc(server, token, 'tools/list')).status).toBe(200)
  } finally {
    await server.close()
  }
})

test('key rotate --revoke: every earlier access token is refused on every replica, their streams end, and the old keys are gone', async () => {
  const server = await startServer()
  const replica = await startReplica(server)
  try {
    const client = await registerClient(server)
    const ada = await signIn(server)
    const kidOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()).kid as string
    await rotateKeys(server.deps) // also a key that was published and has not signed yet
    const old = await deviceTokens(server, client, ada)
    const statusOf = async (at: TestServer) => (await rpc(at, old.access_token, 'tools/list')).status
    expect([await statusOf(server), await statusOf(replica)]).toEqual([200, 200])
    const stream = await server.get('/sse', {
      Authorization: `Bearer ${old.access_token}`,
      Accept: 'text/event-stream',
    })
    expect(stream.status).toBe(200)

    const { code, stdout, stderr } = await runCommand(['key', 'rotate', '--revoke'], server.env)
    const kid = /^New tokens are signed with (\S+); all earlier access tokens are refused\.\n$/.exec(stdout)?.[1]
    expect([code, stderr]).toEqual([
      0,
      'Your own servers may keep trusting the old keys from a cached key set for up to 5 minutes.\n',
    ])
    for (const at of [server, replica]) {
      await until(async () => (await statusOf(at)) === 401)
      const { keys } = (await (await at.get('/.well-known/jwks.json')).json()) as { keys: { kid: string }[] }
      expect(keys.map(key => key.kid)).toEqual([kid!])
    }
    await stream.text() // has ended
    const form = { grant_type: 'refresh_token', client_id: client, refresh_token: old.refresh_token }
    const fresh = (await (await replica.post('/api/oauth/token', form)).json()) as { access_token: string }
    expect(kidOf(fresh.access_token)).toBe(kid!)
    expect((await rpc(server, fresh.access_token, 'tools/list')).status).toBe(200)
    const later = await startReplica(server)
    expect(await statusOf(later)).toBe(401)
    await later.close()
  } finally {
    await replica.close()
    await server.close()
  }
})

test('the startup list names world-readable secret files and an untrusted proxy, with the fix', async () => {
  const database = await migratedDatabase()
  const dir = mkdtempSync(join(tmpdir(), 'mcp-oauth-secrets-'))
  const file = join(dir, 'token')
  writeFileSync(file, 'an initial access token of 32 characters or more')
  writeFileSync(join(dir, '.env'), `${'# a comment'}\nGITHUB_CLIENT_SECRET=\nLOG_LEVEL=silent\n`)
  const env = {
    ...database.env,
    SHUTDOWN_GRACE: '0',
    BASE_URL: 'https://mcp.example.com',
    INITIAL_ACCESS_TOKEN_FILE: file,
  }
  const startList = async (more: Record<string, string> = {}) => {
    const program = await serve({ ...env, ...more }, dir)
    program.kill('SIGTERM')
    expect(await program.exited).toBe(0)
    return program.output()
  }
  const fix = (path: string) => `can be read by every user of this machine; run: chmod 600 ${path}\n`
  const untrusted = '- TRUSTED_PROXIES: the address or network of the TLS proxy'
  try {
    chmodSync(file, 0o644)
    const first = await startList()
    expect(first).toContain(`- INITIAL_ACCESS_TOKEN_FILE ${fix(file)}`)
    expect(first).toContain(untrusted)
    expect(first).not.toContain('.env can be read')
    expect(first).not.toContain('the generated secret')
    chmodSync(file, 0o600)
    writeFileSync(join(dir, '.env'), `GITHUB_CLIENT_SECRET=secret\nGITHUB_CLIENT_ID=id\n`)
    const generated = join(database.env.DATA_DIR!, 'auth-secret')
    if (!onPostgres) chmodSync(generated, 0o644)
    const second = await startList({ TRUSTED_PROXIES: '127.0.0.1' })
    expect(second).toContain(`- .env ${fix(join(realpathSync(dir), '.env'))}`)
    expect(second).not.toContain('INITIAL_ACCESS_TOKEN_FILE')
    expect(second).not.toContain(untrusted)
    expect(second.includes(`- the generated secret ${fix(generated)}`)).toBe(!onPostgres)
  } finally {
    rmSync(dir, { recursive: true, force: true })
    await database.drop()
  }
})

test('each variable that names a secret file is checked, AUTH_SECRET_FILE among them', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'mcp-oauth-secrets-')), 'secret')
  writeFileSync(file, 'x', { mode: 0o644 })
  const config = parseConfig({ DATA_DIR: '/nowhere' }, () => '')
  expect(SECRET_VARIABLES).toContain('AUTH_SECRET')
  for (const name of SECRET_VARIABLES.map(variable => `${variable}_FILE`)) {
    process.env[name] = file
    try {
      const warning = `${name} can be read by every user of this machine; run: chmod 600 ${file}`
      expect(secretFileWarnings(config)).toEqual([warning])
    } finally {
      delete process.env[name]
    }
  }
  rmSync(dirname(file), { recursive: true })
})

test('serve from source, started in another directory, has its pages, styles and scripts', async () => {
  const database = await migratedDatabase()
  const source = [process.execPath, 'run', join(ROOT, 'src/main.ts')]
  const program = await serve({ ...database.env, SHUTDOWN_GRACE: '0' }, tmpdir(), source)
  try {
    for (const [path, text] of [
      ['/', '<h1>'],
      ['/auth/signin', '<h1>Sign in to localhost:'],
      ['/nowhere', 'There is no such page'],
      ['/assets/style.css', 'font'],
      ['/assets/htmx.js', 'htmx'],
    ] as const) {
      const answer = await fetch(program.base + path, { headers: { Accept: 'text/html' } })
      expect([path, answer.status, await answer.text()]).toEqual([
        path,
        path === '/nowhere' ? 404 : 200,
        expect.stringContaining(text),
      ])
    }
  } finally {
    program.kill('SIGTERM')
    expect(await program.exited).toBe(0)
    await database.drop()
  }
})

test('serve on a port that is in use says so and exits with 1', async () => {
  const server = await startServer()
  const database = await migratedDatabase()
  try {
    const refused = await runCommand(['serve'], { ...server.env, ...database.env })
    expect(refused).toEqual({
      code: 1,
      stdout: '',
      stderr: `Port ${server.env.PORT} on 127.0.0.1 is in use; stop the process that uses it, or set PORT\n`,
    })
  } finally {
    await server.close()
    await database.drop()
  }
})

test('serve greets with its addresses, what production needs, and one sign-in link; SIGINT ends it with 0', async () => {
  const database = await emptyDatabase()
  try {
    const port = String(await freePort())
    const child = startCommand([], {
      ...database.env,
      PORT: port,
      LOG_LEVEL: 'silent',
      ADMIN_EMAILS: 'root@example.com',
    })
    while (!(await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined))?.ok) await Bun.sleep(20)
    child.kill('SIGINT')
    expect(await child.exited).toBe(0)
    const greeting = await child.stdout.text()
    for (const text of [
      `listening on 127.0.0.1:${port}`,
      `MCP endpoint   http://localhost:${port}/mcp`,
      '- BASE_URL: ',
      '- a sign-in provider: ',
      'Sign in as the administrator, root@example.com',
      `mcp-oauth-server login http://localhost:${port}/mcp`,
    ])
      expect(greeting).toContain(text)
    expect(greeting).not.toContain('- ADMIN_EMAILS')
    expect(greeting.includes('- DATABASE_URL')).toBe(!onPostgres)
    expect(greeting.match(/\/auth\/signin\/link\?token=mln_/g)).toHaveLength(1)
  } finally {
    await database.drop()
  }
})

test('without a provider the greeting has a link for an existing administrator, and one is created only if there is none', async () => {
  const server = await startServer()
  const { deps } = server
  const isAdmin = async (email: string) => (await usersWithAddress(deps, email)).map(user => user.is_admin)
  const greeted = async () => {
    const written = spyOn(process.stdout, 'write').mockReturnValue(true)
    try {
      await greet(deps, [])
      return /Sign in as the administrator, (\S+)/.exec(written.mock.calls.join(''))![1]
    } finally {
      written.mockRestore()
    }
  }
  try {
    expect(await greeted()).toBe('admin@localhost')
    await inviteUser(deps, 'ada@example.com', true)
    await demoteUsers(deps, 'admin@localhost')
    expect(await greeted()).toBe('ada@example.com')
    expect(await isAdmin('admin@localhost')).toEqual([false])
    await demoteUsers(deps, 'ada@example.com')
    expect(await greeted()).toBe('admin@localhost')
    expect([await isAdmin('admin@localhost'), await isAdmin('ada@example.com')]).toEqual([[true], [false]])
    deps.config.ADMIN_EMAILS = ['ada@example.com']
    expect(await greeted()).toBe('ada@example.com')
    expect(await isAdmin('ada@example.com')).toEqual([true])
  } finally {
    await server.close()
  }
})

test.skipIf(!onPostgres)('serve waits for a database that is not up yet', async () => {
  const database = await emptyDatabase()
  const url = new URL(database.env.DATABASE_URL!)
  const target = Number(url.port || 5432)
  url.host = `127.0.0.1:${await freePort()}`
  const port = await freePort()
  const env = { ...database.env, DATABASE_URL: url.href, PORT: String(port), BASE_URL: `http://localhost:${port}` }
  const child = startCommand(['serve'], env)
  const output = follow(child.stdout)
  await output.until(/waiting for the database/)
  const proxy = await startProxy(target, Number(url.port))
  await output.until(/is listening on/)
  child.kill('SIGKILL')
  await child.exited
  await proxy.close()
  await database.drop()
})

test.skipIf(!onPostgres)('with DATABASE_WAIT=0 it gives up at once, with exit code 3', async () => {
  const env = {
    DATABASE_URL: `postgres://127.0.0.1:${await freePort()}/x`,
    DATABASE_WAIT: '0',
    AUTH_SECRET: 'x'.repeat(32),
  }
  const { code, stderr } = await runCommand(['serve'], { ...env, PORT: String(await freePort()) })
  expect([code, stderr]).toEqual([3, expect.stringContaining('The database cannot be used: ')])
})

test('-C and --env-file take nothing from a file .env where the command is started', async () => {
  const dirs = ['here', 'there'].map(name => realpathSync(mkdtempSync(join(tmpdir(), `mcp-oauth-${name}-`))))
  const [here, there] = dirs as [string, string]
  writeFileSync(join(here, '.env'), 'DATA_DIR=/somewhere/else\n')
  writeFileSync(join(there, '.env'), 'PORT=4000\n')
  for (const [options, dataDir] of [
    [[], '/somewhere/else'],
    [['-C', there], join(there, 'data')],
    [['--env-file', join(there, '.env')], join(here, 'data')],
  ] as const) {
    const child = Bun.spawn([binary(), ...options, 'user', 'list'], { cwd: here, env: {}, stderr: 'pipe' })
    expect(await child.stderr.text()).toStartWith(`There is no database in ${dataDir}. `)
  }
  for (const dir of dirs) rmSync(dir, { recursive: true })
})

test.each(['-C DIR serve', 'serve --config FILE'])('%s raises the limit of requests for MCP_SERVERS', async line => {
  const database = await emptyDatabase()
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'mcp-oauth-')))
  writeFileSync(join(dir, 'mcp.json'), '{"mcpServers": {}}')
  const variables = { ...database.env, MCP_SERVERS: join(dir, 'mcp.json'), PORT: String(await freePort()) }
  const text = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`)
  writeFileSync(join(dir, '.env'), text.join(''))
  const paths: Record<string, string> = { DIR: dir, FILE: join(dir, '.env') }
  const args = line.split(' ').map(word => (paths[word] ? relative(ROOT, paths[word]) : word))
  const server = startCommand(args)
  await follow(server.stdout).until(/is listening on/)
  expect(readFileSync(`/proc/${server.pid}/environ`, 'utf8')).toContain('BUN_CONFIG_MAX_HTTP_REQUESTS=16384')
  server.kill('SIGTERM')
  expect(await server.exited).toBe(0)
  rmSync(dir, { recursive: true })
  await database.drop()
})

test.skipIf(onPostgres)('-C DIR uses the data of that directory, and the address of the server there', async () => {
  const database = await emptyDatabase()
  const { DATA_DIR } = database.env
  const port = await freePort()
  const server = startCommand(['serve', '--port', String(port), '--data-dir', `${DATA_DIR}/data`])
  await follow(server.stdout).until(/is listening on/)
  const { code, stdout } = await runCommand(['-C', DATA_DIR!, 'user', 'link', 'ada@example.com'])
  expect([code, stdout]).toEqual([0, expect.stringMatching(new RegExp(`^http://localhost:${port}/auth/signin/link`))])
  expect((await runCommand(['-C', '/nowhere', 'user', 'list'])).stderr).toBe('There is no directory /nowhere\n')
  server.kill('SIGTERM')
  expect(await server.exited).toBe(0)
  await database.drop()
})
