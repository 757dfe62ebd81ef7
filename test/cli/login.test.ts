import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { systemUser } from '../../src/cli/environment.ts'
import { addClient } from '../../src/oauth/clients/index.ts'
import { listAllConnections } from '../../src/oauth/tokens.ts'
import { binary } from '../support/binary.ts'
import { follow, runCommand, startCommand } from '../support/command.ts'
import { DEVICE_CODE_GRANT, decide, registerClient, rpc, signIn } from '../support/flows.ts'
import { freePort } from '../support/ports.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { TEST_CERTIFICATE, TEST_KEY } from '../support/tls.ts'

setDefaultTimeout(300_000)

let server: TestServer
let ada: string

beforeAll(async () => {
  server = await startServer()
  ada = await signIn(server)
})
afterAll(() => server.close())

/** Starts `login`, and gives the code that it shows, in its link and by itself. */
async function startLogin(args: string[], env: Record<string, string> = {}) {
  const child = startCommand(['login', ...args], env)
  const stderr = follow(child.stderr)
  const [, code] = await stderr.until(/\/auth\/device\?code=([A-Z]{4}-[A-Z]{4})\n\n {2}\1\n/)
  return { child, stderr, code: code! }
}

async function finish({ child, stderr }: Awaited<ReturnType<typeof startLogin>>) {
  return { stdout: await child.stdout.text(), stderr: await stderr.text(), code: await child.exited }
}

describe('login URL', () => {
  // Each waits for one polling interval of real time, so they wait together.
  test.concurrent('finds the MCP endpoint from its URL alone, registers, shows a link and a code, and calls whoami', async () => {
    // Of their own, since a connection that ends denies the other requests of the app and the person.
    const bob = await signIn(server, 'bob@example.com')
    const login = await startLogin([`${server.base}/mcp`])
    await decide(server, bob, login.code)
    const { code, stdout, stderr } = await finish(login)
    expect([code, stdout]).toEqual([0, ''])
    expect(stderr).toContain('Signed in.\n')
    expect(stderr).toContain('Open this page on this machine,')
    expect(stderr).toContain('There is no QR code: on another device, localhost is that device.')
    expect(stderr).toEndWith(`Ended the connection with ${server.base}.\n`)
    const whoami = JSON.parse(/whoami: (\{[\s\S]*?\n\})/.exec(stderr)![1]!)
    expect(whoami).toMatchObject({
      user: { email: 'bob@example.com' },
      client: { name: `mcp-oauth-server login on ${hostname()} by ${systemUser()}` },
      scope: ['mcp:tools:read', 'mcp:tools:call'],
      resource: `${server.base}/mcp`,
    })
    expect(stderr).toContain('2 tools:\n  list_connections  List connected apps\n  whoami  Who am I\n')
  })

  test.concurrent('accepts the server’s base URL and an operator’s client id, and --json prints working tokens', async () => {
    const client = await registerClient(server, { client_name: 'Given' })
    const login = await startLogin([
      server.base,
      '--client-id',
      client,
      '--scope',
      'mcp:tools:read mcp:tools:call',
      '--json',
    ])
    await decide(server, ada, login.code)
    const { code, stdout } = await finish(login)
    expect(code).toBe(0)
    const tokens = JSON.parse(stdout)
    expect(tokens).toEqual({
      client_id: client,
      resource: `${server.base}/mcp`,
      access_token: expect.any(String),
      token_type: 'Bearer',
      expires_in: 3600,
      refresh_token: expect.stringMatching(/^mrt_/),
      scope: 'mcp:tools:read mcp:tools:call',
    })
    expect((await rpc(server, tokens.access_token, 'tools/list')).status).toBe(200)
  })

  test.concurrent('with a narrower scope still prints its tokens, and says what they allow', async () => {
    const login = await startLogin([
      `${server.base}/mcp`,
      '--scope',
      'mcp:tools:read',
      '--scope',
      'offline_access',
      '--json',
    ])
    await decide(server, ada, login.code)
    const { code, stdout, stderr } = await finish(login)
    expect([code, JSON.parse(stdout).scope]).toEqual([0, 'mcp:tools:read offline_access'])
    expect(stderr).toContain('2 tools:\n')
    expect(stderr).toEndWith('The token lacks a scope that this server requires: mcp:tools:call.\n')
  })

  test.concurrent('says that the request was denied, and exits with 1', async () => {
    const login = await startLogin([`${server.base}/api/sse`])
    await decide(server, ada, login.code, 'deny')
    const { code, stdout, stderr } = await finish(login)
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toEndWith('The request was denied.\n')
  })

  test.concurrent('--save keeps the connection for tools, call and logout; used late, it is renewed', async () => {
    const home = mkdtempSync(join(tmpdir(), 'login-'))
    const run = (...args: string[]) => runCommand(args, { XDG_CONFIG_HOME: home })
    const url = `${server.base}/mcp`
    const file = join(home, 'mcp-oauth-server/connections.json')
    const saved = () => JSON.parse(readFileSync(file, 'utf8'))[url]
    try {
      const grace = await signIn(server, 'grace@example.com')
      const login = await startLogin([url, '--save'], { XDG_CONFIG_HOME: home })
      await decide(server, grace, login.code)
      const { code, stderr } = await finish(login)
      expect([code, stderr]).toEqual([0, expect.stringContaining(`Saved the connection in ${file}; to end it: `)])
      expect(stderr).not.toContain('Ended the connection')
      expect([statSync(file).mode & 0o777, statSync(dirname(file)).mode & 0o777]).toEqual([0o600, 0o700])
      expect(await run('login', url, 'tools')).toEqual({
        code: 0,
        stdout: 'list_connections\tList connected apps\nwhoami\tWho am I\n',
        stderr: `Using the connection that was saved for ${url}\n`,
      })
      // Another process has used the connection, so that this access token is not known any more.
      const before = saved()
      writeFileSync(file, JSON.stringify({ [url]: { ...before, access_token: 'stale' } }), { mode: 0o600 })
      const called = await run('login', url, 'call', 'whoami', '--json')
      expect([called.code, JSON.parse(called.stdout).structuredContent.user.email]).toEqual([0, 'grace@example.com'])
      const { access_token, refresh_token } = saved()
      expect([access_token === 'stale', refresh_token === before.refresh_token]).toEqual([false, false])
      for (const [args, words] of [
        [['call', 'nothing'], 'There is no tool nothing; there are: list_connections, whoami'],
        [['call', 'whoami', '--arg', 'x'], '--arg x must be NAME=VALUE'],
        [['call'], 'Name the tool to call: login URL call TOOL'],
        [['tools', '--arg', 'x=1'], 'Arguments of a tool need: login URL call TOOL'],
      ] as const)
        expect(await run('login', url, ...args)).toMatchObject({ code: 1, stderr: expect.stringContaining(words) })
      expect(await run('logout', url)).toEqual({
        code: 0,
        stdout: '',
        stderr: `Ended the connection with ${server.base}.\n`,
      })
      expect((await rpc(server, access_token, 'tools/list')).status).toBe(401)
      expect((await run('logout', url)).stderr).toBe(`No connection to ${url} is saved in ${file}\n`)
      writeFileSync(file, JSON.stringify({ [url]: { ...before, access_token: 'stale' } }), { mode: 0o600 })
      expect(await run('login', url, 'tools')).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/\nThe connection has ended; sign in again: .* login http:.*\/mcp --save\n$/),
      })
    } finally {
      rmSync(home, { recursive: true })
    }
  })

  test.concurrent('--save that cannot write is told before the sign-in, or leaves no connection behind', async () => {
    const home = mkdtempSync(join(tmpdir(), 'login-'))
    const url = `${server.base}/mcp`
    const file = join(home, 'mcp-oauth-server/connections.json')
    const eve = await signIn(server, 'eve@example.com')
    const login = await startLogin([url, '--save'], { XDG_CONFIG_HOME: home })
    rmSync(dirname(file), { recursive: true })
    writeFileSync(dirname(file), 'a file in place of the directory')
    await decide(server, eve, login.code)
    const { code, stderr } = await finish(login)
    expect([code, stderr]).toEqual([1, expect.stringContaining(`\nEnded the connection with ${server.base}.\n`)])
    expect(await runCommand(['login', url, '--save'], { XDG_CONFIG_HOME: home })).toEqual({
      code: 1,
      stdout: '',
      stderr: `${file} cannot be read (ENOTDIR)\n`,
    })
    expect(await Array.fromAsync(listAllConnections(server.deps, { email: 'eve@example.com' }))).toEqual([])
    rmSync(home, { recursive: true })
  })

  test.concurrent('a client with a secret reads it from a file; tools get their arguments from options and a file', async () => {
    const { id, secret } = await addClient(server.deps, {
      name: 'With a secret',
      grantTypes: [DEVICE_CODE_GRANT, 'refresh_token'],
      redirectUris: [],
      scope: ['mcp', 'connections:manage'],
      authMethod: 'client_secret_basic',
    })
    const files = mkdtempSync(join(tmpdir(), 'login-'))
    writeFileSync(join(files, 'secret'), `${secret}\n`)
    writeFileSync(join(files, 'args'), '{"id": "replaced by the option"}')
    try {
      const login = await startLogin([
        `${server.base}/mcp`,
        ...['call', 'revoke_connection', '--args', join(files, 'args'), '--arg', `id=${crypto.randomUUID()}`],
        ...['--client-id', id, '--secret-file', join(files, 'secret'), '--scope', 'mcp connections:manage'],
      ])
      await decide(server, ada, login.code)
      const { code, stdout, stderr } = await finish(login)
      expect([code, stdout]).toEqual([1, expect.stringMatching(/^There is no such connection/)])
      expect(stderr).toEndWith('The tool revoke_connection reports an error\n')
    } finally {
      rmSync(files, { recursive: true })
    }
  })

  test('names --ca if a certificate is not trusted, and trusts it then', async () => {
    const other = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      tls: { key: TEST_KEY, cert: TEST_CERTIFICATE },
      fetch: () => new Response(null, { status: 404 }),
    })
    const ca = join(tmpdir(), `ca-${crypto.randomUUID()}.pem`)
    writeFileSync(ca, TEST_CERTIFICATE)
    try {
      const login = async (...args: string[]) =>
        (await runCommand(['login', `https://127.0.0.1:${other.port}/mcp`, ...args])).stderr
      expect(await login()).toMatch(
        /^https:.* cannot be reached: .*self.signed.*\nIf a CA of your own .*: --ca FILE\n$/i,
      )
      expect(await login('--ca', ca)).toMatch(/ALTNAME/) // the certificate is for other names
      expect(await login('--ca', '/nowhere')).toBe('The certificate /nowhere cannot be read (ENOENT)\n')
    } finally {
      rmSync(ca)
      await other.stop(true)
    }
  })

  test('does not sign in for another endpoint than the one that was named', async () => {
    const { code, stderr } = await runCommand(['login', `${server.base}/mcpx`])
    expect([code, stderr]).toEqual([
      1,
      `${server.base}/mcpx does not exist; its server names ${server.base}/mcp: ${binary()} login ${server.base}/mcp\n`,
    ])
  })

  test('says in one line that there is no MCP server behind the URL', async () => {
    const other = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('hello') })
    const url = `http://127.0.0.1:${other.port}/`
    try {
      expect(await runCommand(['login', url])).toEqual({
        code: 1,
        stdout: '',
        stderr: `${url} does not name an authorization server (no metadata of RFC 9728 or RFC 8414). Is it an MCP server?\n`,
      })
    } finally {
      await other.stop(true)
    }
  })

  test('says in one line that nothing answers', async () => {
    const origin = `http://127.0.0.1:${await freePort()}`
    expect(await runCommand(['login', `${origin}/mcp`])).toEqual({
      code: 3,
      stdout: '',
      stderr: expect.stringMatching(new RegExp(`^${origin} cannot be reached: .+\n$`)),
    })
  })

  test('says in one line why a client is refused', async () => {
    expect(await runCommand(['login', `${server.base}/mcp`, '--client-id', 'c_nobody'])).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/\nThe server refused the device authorization: invalid_client \(.*\)\n$/),
    })
  })

  describe('another server', () => {
    type Answers = Record<string, (base: string, polls: number) => Response | object>
    const TOKENS = { access_token: 'a-token' }
    /** A server whose answers a test changes, by path; what it does not have is 404. */
    function startOther(answers: Answers) {
      let polls = 0
      const other = Bun.serve({
        port: 0,
        hostname: '127.0.0.1',
        fetch({ url }) {
          const { pathname, origin } = new URL(url)
          if (pathname === '/token') polls += 1
          const answer = (answers[pathname] ?? DEFAULTS[pathname])?.(origin, polls)
          if (!answer) return new Response('not found', { status: 404 })
          return answer instanceof Response ? answer : Response.json(answer)
        },
      })
      return { base: `http://127.0.0.1:${other.port}`, stop: () => other.stop(true) }
    }
    const DEFAULTS: Answers = {
      '/.well-known/oauth-authorization-server': base => ({
        issuer: `${base}/`,
        token_endpoint: `${base}/token`,
        registration_endpoint: `${base}/register`,
        device_authorization_endpoint: `${base}/device`,
        scopes_supported: null,
      }),
      '/mcp': () => new Response(null, { status: 401 }),
      '/register': () => ({ client_id: 'c', client_name: null, redirect_uris: null }),
      '/device': base => ({
        device_code: 'd',
        user_code: 'WDJB-MJHT',
        verification_url: `${base}/verify`,
        verification_uri_complete: null,
        expires_in: '60',
        interval: 0.2,
      }),
      '/token': (_, polls) => (polls < 2 ? Response.json({ error: 'authorization_pending' }, { status: 400 }) : TOKENS),
    }

    test('without protected-resource metadata, with null members, verification_url and no token_type works', async () => {
      const other = startOther({})
      try {
        const { code, stdout, stderr } = await runCommand(['login', `${other.base}/mcp`, '--json'])
        expect([code, stderr.trim().split('\n').at(-1)]).toEqual([
          1,
          expect.stringMatching(/^Signed in, but http:.*\/mcp does not answer as an MCP server: /),
        ])
        expect(JSON.parse(stdout)).toEqual({ client_id: 'c', access_token: 'a-token', token_type: 'Bearer' })
        expect(stderr).toContain(
          `Open this page on this machine, and check that it shows this code:\n\n  ${other.base}/verify\n\n  WDJB-MJHT\n`,
        )
      } finally {
        await other.stop()
      }
    })

    test('that fails briefly while the person approves is polled again, after its Retry-After', async () => {
      const started = performance.now()
      const other = startOther({
        '/token': (_, polls) =>
          polls === 1
            ? new Response('<html>', { status: 502 })
            : polls === 2
              ? Response.json({ error: 'temporarily_unavailable' }, { status: 503, headers: { 'Retry-After': '1' } })
              : TOKENS,
      })
      try {
        expect((await runCommand(['login', other.base, '--json'])).stdout).toContain('"access_token": "a-token"')
        expect(performance.now() - started).toBeGreaterThan(1_000)
      } finally {
        await other.stop()
      }
    })

    test('cannot overwrite the terminal', async () => {
      const other = startOther({
        '/.well-known/oauth-protected-resource': base => ({
          resource: `${base}/\u001b]0;title\u0007\u202e`,
          authorization_servers: [base],
        }),
        '/device': base => ({
          device_code: 'd',
          user_code: 'GOOD\u001b[2K\u0008\u202eEVIL',
          verification_uri: `${base}/verify\u001b[1A?x=\u202e`,
          expires_in: 60,
          interval: 0.1,
        }),
        '/token': (_, polls) =>
          polls > 1
            ? TOKENS
            : Response.json(
                { error: 'access_broken', error_description: 'no\u001b]0;title\u0007\u009b31m' },
                { status: 400 },
              ),
      })
      try {
        const { code, stderr } = await runCommand(['login', other.base])
        expect(code).toBe(1)
        expect(stderr).toStartWith(`${other.base}/%1B]0;title%07%E2%80%AE is protected by ${other.base}\n`)
        expect(stderr).toContain(`  ${other.base}/verify%1B[1A?x=%E2%80%AE\n\n  GOOD[2KEVIL\n`)
        expect(stderr).toEndWith('The server refused the token request: access_broken (no]0;title31m)\n')
        const signedIn = await runCommand(['login', other.base])
        expect(signedIn.stderr).toContain(`${other.base}/%1B]0;title%07%E2%80%AE does not answer as an MCP server: `)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
        expect(stderr + signedIn.stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
      } finally {
        await other.stop()
      }
    })

    test.each<[what: string, path: string, answer: () => Response | object, words: string]>([
      [
        'HTML for a device code',
        '/device',
        () => new Response('<html>'),
        'answer to the device authorization request does not conform to RFC 8628',
      ],
      [
        'a link that is no web address',
        '/device',
        () => ({ device_code: 'd', user_code: 'U', verification_uri: 'javascript:alert(1)' }),
        'answer to the device authorization request does not conform to RFC 8628',
      ],
      ['no token', '/token', () => ({ token_type: 'Bearer' }), 'answered the token request without an access token'],
      ['no client id', '/register', () => ({}), 'answered the registration without a client_id'],
      [
        'an unknown error',
        '/register',
        () => Response.json({ error: 'nope' }, { status: 400 }),
        'refused the registration: nope',
      ],
      [
        'another issuer',
        '/.well-known/oauth-authorization-server',
        () => ({ issuer: 'https://evil.example', token_endpoint: 'https://evil.example/t' }),
        'names another issuer (https://evil.example)',
      ],
    ])('that answers with %s is explained in a sentence', async (_, path, answer, words) => {
      const other = startOther({ [path]: answer })
      try {
        const { code, stderr } = await runCommand(['login', other.base])
        expect([code, stderr.trim().split('\n').at(-1)]).toEqual([1, expect.stringContaining(words)])
      } finally {
        await other.stop()
      }
    })
  })

  test.each([[[]], [['http://a.example/', 'http://b.example/']]])('explains its use for: login %j', async args => {
    expect(await runCommand(['login', ...args])).toEqual({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^error: .*\n\(mcp-oauth-server login --help shows the usage\)\n$/),
    })
  })

  test.each(['mcp.example.com', 'localhost:3000/mcp', 'ftp://mcp.example.com/'])(
    'says what an address is: login %s',
    async address => {
      expect(await runCommand(['login', address])).toEqual({
        code: 1,
        stdout: '',
        stderr: `${address} is not a URL that begins with http:// or https://\n`,
      })
    },
  )
})
