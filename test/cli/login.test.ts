import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { follow, runCommand, startCommand } from '../support/command.ts'
import { decide, registerClient, rpc, signIn } from '../support/flows.ts'
import { freePort } from '../support/ports.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

let server: TestServer
let ada: string

beforeAll(async () => {
  server = await startServer()
  ada = await signIn(server)
})
afterAll(() => server.close())

/** Starts `login`, and gives the code that it shows, in its link and by itself. */
async function startLogin(...args: string[]) {
  const child = startCommand(['login', ...args])
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
    const login = await startLogin(`${server.base}/mcp`)
    await decide(server, ada, login.code)
    const { code, stdout, stderr } = await finish(login)
    expect([code, stdout]).toEqual([0, ''])
    expect(stderr).toContain('Signed in.\n')
    const whoami = JSON.parse(/whoami: (\{[\s\S]*?\n\})/.exec(stderr)![1]!)
    expect(whoami).toMatchObject({
      user: { email: 'ada@example.com' },
      client: { name: expect.stringMatching(/^mcp-oauth-server login on /) },
      scope: ['mcp:tools:read', 'mcp:tools:call'],
      resource: `${server.base}/mcp`,
    })
    expect(stderr).toContain('2 tools:\n  list_connections  List connected apps\n  whoami  Who am I\n')
  })

  test.concurrent('accepts the server’s base URL and an operator’s client id, and --json prints working tokens', async () => {
    const client = await registerClient(server, { client_name: 'Given' })
    const login = await startLogin(
      server.base,
      '--client-id',
      client,
      '--scope',
      'mcp:tools:read mcp:tools:call',
      '--json',
    )
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
    const login = await startLogin(
      `${server.base}/mcp`,
      '--scope',
      'mcp:tools:read',
      '--scope',
      'offline_access',
      '--json',
    )
    await decide(server, ada, login.code)
    const { code, stdout, stderr } = await finish(login)
    expect([code, JSON.parse(stdout).scope]).toEqual([0, 'mcp:tools:read offline_access'])
    expect(stderr).toContain('2 tools:\n')
    expect(stderr).toEndWith('The token lacks a scope that this server requires: mcp:tools:call.\n')
  })

  test.concurrent('says that the request was denied, and exits with 1', async () => {
    const login = await startLogin(`${server.base}/api/sse`)
    await decide(server, ada, login.code, 'deny')
    const { code, stdout, stderr } = await finish(login)
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toEndWith('The request was denied.\n')
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
          `Open this page on any device, and check that it shows this code:\n\n  ${other.base}/verify\n\n  WDJB-MJHT\n`,
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
        '/device': base => ({
          device_code: 'd',
          user_code: 'GOOD\u001b[2K\u0008\u202eEVIL',
          verification_uri: `${base}/verify\u001b[1A?x=\u202e`,
          expires_in: 60,
          interval: 0.1,
        }),
        '/token': () =>
          Response.json(
            { error: 'access_broken', error_description: 'no\u001b]0;title\u0007\u009b31m' },
            { status: 400 },
          ),
      })
      try {
        const { code, stderr } = await runCommand(['login', other.base])
        expect(code).toBe(1)
        expect(stderr).toContain(`  ${other.base}/verify%1B[1A?x=%E2%80%AE\n\n  GOOD[2KEVIL\n`)
        expect(stderr).toEndWith('The server refused the token request: access_broken (no]0;title31m)\n')
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
        expect(stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/)
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
