import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from '../support/command.ts'
import { deviceTokens, registerClient, rpc, signIn } from '../support/flows.ts'
import { emptyDatabase, onPostgres, startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

let server: TestServer

beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.close())

/** `client …` beside the running server, on the same database. */
const client = (...args: string[]) => runCommand(['client', ...args], server.env)

async function addMachine(...more: string[]): Promise<{ id: string; secret: string }> {
  const { code, stdout } = await client('add', 'Nightly job', '--grant', 'client_credentials', ...more)
  expect(code).toBe(0)
  const [, id, secret] = /^CLIENT_ID=(c_\S{16})\nCLIENT_SECRET=(mcs_\S{43})\n$/.exec(stdout)!
  return { id: id!, secret: secret! }
}

const GRANT = { grant_type: 'client_credentials' }
const basic = (id: string, secret: string) => ({ Authorization: `Basic ${btoa(`${id}:${secret}`)}` })

async function machineToken(id: string, secret: string): Promise<string> {
  const answer = await server.post('/api/oauth/token', GRANT, basic(id, secret))
  expect(answer.status).toBe(200)
  return ((await answer.json()) as { access_token: string }).access_token
}

describe('client add for a web app', () => {
  const redirect = 'https://app.example/cb'
  const poll = { grant_type: 'authorization_code', code: 'x', code_verifier: 'v'.repeat(43), redirect_uri: redirect }
  const added = (stdout: string) => /^CLIENT_ID=(c_\S{16})\n(?:CLIENT_SECRET=(mcs_\S{43})\n)?$/.exec(stdout)!

  test('--confidential gives it a secret that the code exchange needs; rotate-secret replaces it', async () => {
    const { code, stdout } = await client('add', 'Web app', '--redirect-uri', redirect, '--confidential')
    const [, id, secret] = added(stdout)
    expect(code).toBe(0)
    const exchange = async (key: string | undefined) =>
      ((await (await server.post('/api/oauth/token', poll, key ? basic(id!, key) : {})).json()) as { error: string })
        .error
    expect([await exchange(secret), await exchange(undefined)]).toEqual(['invalid_grant', 'invalid_client'])
    const rotated = /^CLIENT_SECRET=(mcs_\S{43})\n$/.exec((await client('rotate-secret', id!)).stdout)![1]
    while ((await exchange(secret)) !== 'invalid_client') await Bun.sleep(10)
    expect(await exchange(rotated)).toBe('invalid_grant')
  })

  test('rotate-secret says if a client has no secret or does not exist', async () => {
    const [, id] = added((await client('add', 'Public app', '--redirect-uri', redirect)).stdout)
    for (const wrong of [id!, 'c_nobody'])
      expect(await client('rotate-secret', wrong)).toEqual({
        code: 1,
        stdout: '',
        stderr: `There is no client ${wrong} with a secret; see: mcp-oauth-server client list\n`,
      })
  })

  test('--auth private_key_jwt reads the keys from a file or a URL', async () => {
    const file = join(tmpdir(), `jwks-${crypto.randomUUID()}.json`)
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    writeFileSync(file, JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k' }] }))
    for (const jwks of [file, 'https://app.example/jwks.json']) {
      const { code, stdout } = await client(
        'add',
        'Signed',
        '--redirect-uri',
        redirect,
        '--auth',
        'private_key_jwt',
        '--jwks',
        jwks,
      )
      expect([code, added(stdout)[2]]).toEqual([0, undefined])
    }
    const [row] = await server.deps.sql<{ jwks: unknown }[]>`
      select jwks
      from clients
      where name = 'Signed'
        and jwks is not null`
    expect(row!.jwks).toMatchObject({ keys: [{ kid: 'k', kty: 'EC' }] })
    rmSync(file)
  })

  test.each<[args: string[], problems: string[]]>([
    [
      ['--auth', 'magic'],
      ['--auth magic is not known; use none, client_secret_basic, client_secret_post, private_key_jwt'],
    ],
    [['--auth', 'private_key_jwt'], ['--jwks is required with --auth private_key_jwt']],
    [
      ['--jwks', 'http://app.example/jwks.json'],
      ['--jwks http://app.example/jwks.json must be an https URL without a user name'],
    ],
    [['--jwks', '/nowhere.json'], ['--jwks /nowhere.json cannot be read: ENOENT']],
    [
      ['--confidential', '--redirect-uri', 'com.example.app:/cb'],
      ['--redirect-uri com.example.app:/cb: A redirect URI with a private scheme is only for public clients'],
    ],
    [
      ['--grant', 'client_credentials', '--auth', 'none'],
      ['--grant client_credentials needs client authentication; --auth none is for public clients'],
    ],
  ])('explains what is wrong with %j', async (args, problems) => {
    expect(await client('add', 'Wrong', ...args)).toEqual({ code: 1, stdout: '', stderr: `${problems.join('\n')}\n` })
  })
})

describe('client add', () => {
  test('with a redirect URI and no grant adds a client for a browser', async () => {
    expect((await client('add', 'Browser app', '--redirect-uri', 'https://app.example/cb')).code).toBe(0)
    const line = (await client('list')).stdout.split('\n').find(text => text.includes('Browser app'))!
    expect(line.split('\t').slice(1, 3)).toEqual(['operator', 'authorization_code,refresh_token'])
  })

  test.skipIf(onPostgres)('does not create a database, and says where to run the command', async () => {
    const elsewhere = await emptyDatabase()
    expect(await runCommand(['client', 'list'], elsewhere.env)).toEqual({
      code: 1,
      stdout: '',
      stderr: `There is no database in ${elsewhere.env.DATA_DIR}. Run this in the directory of the server or with -C DIR; "serve" creates a database.\n`,
    })
    expect(existsSync(join(elsewhere.env.DATA_DIR!, 'postgres'))).toBe(false)
    await elsewhere.drop()
  })

  test('gives a machine an id and a secret that work with Basic, un-encoded Basic and in the body (RFC 6749 2.3.1, 4.4)', async () => {
    const { id, secret } = await addMachine('--scope', 'mcp:tools:read', '--scope', 'mcp:tools:call')
    const percent = (text: string) => text.replace(/[^A-Za-z0-9]/g, char => `%${char.charCodeAt(0).toString(16)}`)
    const ways = [
      server.post('/api/oauth/token', GRANT, basic(id, secret)),
      server.post('/api/oauth/token', GRANT, basic(percent(id), percent(secret))),
      server.post('/api/oauth/token', { ...GRANT, client_id: id, client_secret: secret }),
      server.postJson('/api/oauth/token', { ...GRANT, clientId: id, clientSecret: secret }),
    ]
    for (const answer of await Promise.all(ways)) {
      expect(answer.status).toBe(200)
      expect(answer.headers.get('cache-control')).toBe('no-store')
      // No refresh token (RFC 6749 4.4.3).
      expect(await answer.json()).toEqual({
        access_token: expect.any(String),
        token_type: 'Bearer',
        expires_in: 3600,
        scope: 'mcp:tools:read mcp:tools:call',
      })
    }
  })

  test('the token works on both MCP endpoints as the machine itself, and validate confirms it', async () => {
    const { id, secret } = await addMachine()
    const token = await machineToken(id, secret)
    for (const path of ['/mcp', '/api/sse']) {
      const called = await rpc(server, token, 'tools/call', { name: 'whoami', arguments: {} }, path)
      expect(called.status).toBe(200)
      expect(await called.json()).toMatchObject({
        id: 1,
        result: {
          structuredContent: {
            user: null,
            client: { id, name: 'Nightly job' },
            scope: ['mcp:tools:read', 'mcp:tools:call'],
            resource: `${server.base}/mcp`,
          },
        },
      })
    }
    const validated = await server.post('/api/oauth/validate', {}, { Authorization: `Bearer ${token}` })
    expect(validated.status).toBe(200)
    expect(await validated.json()).toEqual({
      valid: true,
      clientId: id,
      client_id: id,
      scope: 'mcp:tools:read mcp:tools:call',
      resource: `${server.base}/mcp`,
      expiresAt: expect.stringMatching(/^\d{4}-.*Z$/),
      exp: expect.any(Number),
    })
  })

  test('shows the secret only once: neither the list nor the database has it', async () => {
    const { id, secret } = await addMachine()
    const list = await client('list')
    expect(list.stdout).toContain(id)
    expect(list.stdout).not.toContain(secret)
    const rows = await server.deps.sql<{ row: string }[]>`select clients::text as row from clients where id = ${id}`
    expect(rows[0]!.row).not.toContain(secret)
    expect(rows[0]!.row).not.toContain(Buffer.from(secret).toString('hex'))
  })

  test('a wrong secret and an unknown id are refused alike (RFC 6749 5.2)', async () => {
    const { id, secret } = await addMachine()
    const bodies = new Set<string>()
    for (const headers of [basic(id, `${secret}x`), basic(id, ''), basic('c_nobody', secret)]) {
      const answer = await server.post('/api/oauth/token', GRANT, headers)
      expect(answer.status).toBe(401)
      expect(answer.headers.get('www-authenticate')).toBe('Basic realm="oauth"')
      bodies.add(await answer.text())
    }
    expect([...bodies].map(body => JSON.parse(body))).toEqual([
      { error: 'invalid_client', error_description: expect.any(String) },
    ])
  })

  test('a machine gets no more than --scope gave it', async () => {
    const { id, secret } = await addMachine('--scope', 'mcp:tools:read')
    const wide = await server.post('/api/oauth/token', { ...GRANT, scope: 'mcp:tools:call' }, basic(id, secret))
    expect([wide.status, ((await wide.json()) as { error: string }).error]).toEqual([400, 'invalid_scope'])
    const token = await machineToken(id, secret)
    expect((await rpc(server, token, 'tools/list')).status).toBe(200)
    expect((await rpc(server, token, 'tools/call', { name: 'whoami', arguments: {} })).status).toBe(403)
  })

  test('without --grant makes a public client for the device flow, shown as added by the operator', async () => {
    const { code, stdout } = await client('add', 'Kiosk')
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^CLIENT_ID=c_\S{16}\n$/)])
    const tokens = await deviceTokens(server, stdout.trim().split('=')[1]!, await signIn(server))
    expect(tokens).toMatchObject({ refresh_token: expect.any(String), scope: 'mcp:tools:read mcp:tools:call' })
  })

  test('says if another client has the name', async () => {
    const first = (await client('add', 'Twin')).stdout.trim().split('=')[1]
    const second = await client('add', 'Twin')
    expect([second.code, second.stderr]).toEqual([0, `There is another client with the name Twin: ${first}\n`])
  })

  test('refuses options that would do nothing', async () => {
    const useless = await client(
      'add',
      'x',
      ...['--grant', 'refresh_token', '--redirect-uri', 'https://app.example/cb'],
    )
    expect([useless.code, useless.stderr]).toEqual([
      1,
      `--redirect-uri works only with --grant authorization_code
--grant refresh_token needs another grant, which gives the client its first refresh token
`,
    ])
  })

  test('reports all wrong options together, and adds nothing', async () => {
    const before = (await client('list')).stdout
    const wrong = await client(
      'add',
      'x'.repeat(101),
      ...['--grant', 'password', '--grant', 'authorization_code', '--scope', 'root', '--scope', 'mcp'],
    )
    expect(wrong).toEqual({
      code: 1,
      stdout: '',
      stderr: `NAME must be at most 100 characters
--grant password is not known; use authorization_code, refresh_token, client_credentials, device_code
--scope root is not known; use mcp:tools:read, mcp:tools:call, mcp:resources:read, mcp:prompts:read, mcp, connections:manage, offline_access, admin
--redirect-uri is required with --grant authorization_code
`,
    })
    expect((await client('list')).stdout).toBe(before)
  })

  test.each([
    [['add'], "error: missing required argument 'name'\n(mcp-oauth-server client add --help shows the usage)"],
    [['add', 'two', 'names'], "error: too many arguments for 'add'. Expected 1 argument but got 2: two, names."],
    [['remove'], "error: missing required argument 'id'"],
    [['list', 'what'], "error: too many arguments for 'list'. Expected 0 arguments but got 1: what."],
    [['remov', 'x'], "error: unknown command 'remov'\n(Did you mean remove?)"],
    [['add', 'x', '--scopes', 'mcp'], "error: unknown option '--scopes'\n(Did you mean --scope?)"],
    [[], 'Usage: mcp-oauth-server client [options] [command]'],
  ] as [string[], string][])('wrong usage is explained, with exit code 2: client %j', async (args, message) => {
    expect(await client(...args)).toEqual({ code: 2, stdout: '', stderr: expect.stringContaining(message) })
  })
})

test('client list shows a line for each: id, where it came from, grants, scopes and name', async () => {
  const { id } = await addMachine('--scope', 'mcp')
  const dynamic = await registerClient(server, { client_name: 'An app' })
  const lines = (await client('list')).stdout.trimEnd().split('\n')
  expect(lines).toContain([id, 'operator', 'client_credentials', 'mcp', 'Nightly job'].join('\t'))
  expect(lines.find(line => line.startsWith(dynamic))).toMatch(/\tdynamic\trefresh_token,device_code\t\S+\tAn app$/)
  const listed = JSON.parse((await client('list', '--json')).stdout) as Record<string, unknown>[]
  expect(listed.find(one => one.id === id)).toEqual({
    id,
    name: 'Nightly job',
    source: 'operator',
    auth_method: 'client_secret_basic',
    grant_types: ['client_credentials'],
    scope: ['mcp'],
    redirect_uris: [],
    created_at: expect.stringMatching(/^\d{4}-.*Z$/),
    used_at: null,
  })
})

describe('client remove', () => {
  test('ends the client, its grants and its tokens on the running server within a second', async () => {
    const { id, secret } = await addMachine()
    const token = await machineToken(id, secret)
    expect((await rpc(server, token, 'tools/list')).status).toBe(200)
    expect(await client('remove', id)).toMatchObject({
      code: 0,
      stdout: `Removed ${id}; its tokens no longer work.\n`,
    })
    const deadline = Date.now() + 1000
    let status = 200
    while (status === 200 && Date.now() < deadline) status = (await rpc(server, token, 'tools/list')).status
    expect(status).toBe(401)
    expect((await server.post('/api/oauth/token', GRANT, basic(id, secret))).status).toBe(401)
    expect((await client('list')).stdout).not.toContain(id)
  })

  test('says if there is no such client', async () => {
    expect(await client('remove', 'c_nobody')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'There is no client c_nobody; see: mcp-oauth-server client list\n',
    })
  })
})
