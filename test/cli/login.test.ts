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
    expect(stderr).toContain('2 tools:\n  whoami  Who am I\n')
  })

  test.concurrent('takes the server’s front address and an id of the operator’s, and --json prints tokens that work', async () => {
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

  test.concurrent('with less scope prints its tokens all the same, and says how far they reach', async () => {
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
    expect(stderr).toEndWith('The token does not reach further: that needs the scope mcp:tools:call.\n')
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
        stderr: `${url} does not say who guards it (no protected-resource metadata, RFC 9728). Is it an MCP server?\n`,
      })
    } finally {
      await other.stop(true)
    }
  })

  test('says in one line that nothing answers', async () => {
    const origin = `http://127.0.0.1:${await freePort()}`
    expect(await runCommand(['login', `${origin}/mcp`])).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(new RegExp(`^${origin} cannot be reached: .+\n$`)),
    })
  })

  test('says in one line why a client is refused', async () => {
    expect(await runCommand(['login', `${server.base}/mcp`, '--client-id', 'c_nobody'])).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/\nThe device authorization was refused: invalid_client \(.*\)\n$/),
    })
  })

  test.each([[[]], [['http://a.example/', 'http://b.example/']]])('explains its use for: login %j', async args => {
    expect(await runCommand(['login', ...args])).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^Usage: mcp-oauth-server login URL .*\n$/),
    })
  })

  test.each(['mcp.example.com', 'localhost:3000/mcp', 'ftp://mcp.example.com/'])(
    'says what an address is: login %s',
    async address => {
      expect(await runCommand(['login', address])).toEqual({
        code: 1,
        stdout: '',
        stderr: `${address} is not an address; it begins with http:// or https://\n`,
      })
    },
  )
})
