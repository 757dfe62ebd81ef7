/** Personal access tokens: opaque bearer tokens for scripts, accepted at the MCP endpoints only. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { crc32 } from 'node:zlib'
import { disableByAddress, findUserByEmail } from '../../sql/users.ts'
import { AppError } from '../../src/lib/errors.ts'
import { addClient } from '../../src/oauth/clients/index.ts'
import { addPersonalToken, listPersonalTokens, revokePersonalToken } from '../../src/oauth/personal-tokens.ts'
import { sweep } from '../../src/sweeper.ts'
import { runCommand } from '../support/command.ts'
import { basic, csrfOf, rpc, signIn } from '../support/flows.ts'
import { onPostgres, startReplica, startServer, type TestServer } from '../support/server.ts'
import { countStatements } from '../support/statements.ts'
import { until } from '../support/until.ts'

setDefaultTimeout(300_000)

let server: TestServer
beforeAll(async () => {
  server = await startServer()
  await signIn(server, 'ada@example.com', { admin: true })
})
afterAll(() => server.close())

const run = (...args: string[]) => runCommand(['token', ...args], server.env)
const statusOf = async (token: string, at = server, path?: string) =>
  (await rpc(at, token, 'tools/list', {}, path)).status
const call = async (token: string, name: string) => {
  const answer = (await (await rpc(server, token, 'tools/call', { name, arguments: {} })).json()) as {
    result: { structuredContent: Record<string, unknown> }
  }
  return answer.result.structuredContent
}

async function make(email: string, more: Partial<Parameters<typeof addPersonalToken>[1]> = {}, at = server) {
  const user = (await findUserByEmail(at.deps.sql, email))!
  return addPersonalToken(at.deps, {
    user: { id: user.id, isAdmin: user.is_admin },
    name: 'Test',
    scope: ['mcp:tools:read', 'mcp:tools:call'],
    by: 'user',
    ...more,
  })
}

/** A token of the right form that nobody has. */
function stranger(n: number): string {
  const secret = `mpt_${String(n).padStart(43, 'x')}`
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(secret))
  return secret + bytes.toString('base64url')
}

describe('token add, list, revoke', () => {
  test('a token acts for its person at the MCP endpoint, is listed with its last use, and ends at once', async () => {
    const added = await run('add', 'Nightly report', '--user', 'Ada@example.com', '--expires', '30d')
    expect([added.code, added.stderr]).toEqual([
      0,
      expect.stringMatching(
        /^It acts for Ada@example\.com at \S+\/mcp until \S+Z\. It is shown only once; to end it: mcp-oauth-server token revoke \S+\n/,
      ),
    ])
    const token = added.stdout.trimEnd()
    expect(token).toMatch(/^mpt_[A-Za-z0-9_-]{49}$/)
    expect(await call(token, 'whoami')).toMatchObject({
      user: { email: 'ada@example.com', admin: true },
      client: { id: 'personal-token', name: 'Personal access token' },
      scope: ['mcp:tools:read', 'mcp:tools:call'],
      resource: `${server.base}/mcp`,
    })
    expect((await call(token, 'list_connections')).connections).toEqual([])
    await sweep(server.deps)
    const { stdout } = await run('list', '--user', 'ada@example.com')
    const [id, ...cells] = stdout.trimEnd().split('\t')
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    expect(cells).toEqual([
      'ada@example.com',
      'Nightly report',
      'mcp:tools:read mcp:tools:call',
      `${server.base}/mcp`,
      time,
      time,
    ])
    expect(JSON.parse((await run('list', '--json')).stdout)).toMatchObject([{ id, email: 'ada@example.com' }])
    // An operator who looks for what is connected as somebody is told where else to look.
    expect(await runCommand(['connection', 'list'], server.env)).toEqual({
      code: 0,
      stdout: '',
      stderr: 'There are personal access tokens as well; see: mcp-oauth-server token list\n',
    })
    expect(await run('revoke', id!)).toEqual({ code: 0, stdout: `Revoked ${id}.\n`, stderr: '' })
    await until(async () => (await statusOf(token)) === 401)
    expect((await run('revoke', id!)).stderr).toBe(`No longer valid, or never was: ${id}\n`)
  })

  test.each([
    [['add', 'x', '--expires', 'soon'], '--expires soon is not a time such as 12h, 30d or 1y\n'],
    [
      ['add', 'x', '--user', 'bob@x.example'],
      'There is no user with the address bob@x.example; let them in first: mcp-oauth-server user invite bob@x.example\n',
    ],
    [
      ['add', 'x', '--user', 'ada@example.com', '--expires', '6y'],
      'The lifetime cannot be used. Enter at most 1825 days.\n',
    ],
    [['revoke', '42'], '42 is not the id of a token; see: mcp-oauth-server token list\n'],
  ])('refuses: token %j', async (args, stderr) => {
    expect(await run(...args)).toEqual({ code: 1, stdout: '', stderr })
  })

  test.each([
    [{ name: ' ' }, 'The name cannot be used'],
    [{ name: 'x'.repeat(101) }, 'The name cannot be used'],
    [{ days: 0 }, 'The lifetime cannot be used'],
    [{ scope: [] }, 'A token needs a scope'],
    [{ scope: ['mcp', 'all'] }, 'This token cannot have the scope all'],
    [{ resource: 'https://elsewhere.example/mcp' }, 'There is no such MCP endpoint here'],
  ])('is not made: %j', async (input, title) => {
    await expect(make('ada@example.com', input)).rejects.toThrow(title)
  })
})

test('it is refused everywhere but at its own endpoint (introspection, validation, revocation, pages)', async () => {
  const { id, token } = await make('ada@example.com')
  const { id: client, secret } = await addClient(server.deps, {
    name: 'Server',
    grantTypes: ['client_credentials'],
    redirectUris: [],
    scope: ['mcp'],
  })
  const authorization = { Authorization: `Bearer ${token}` }
  const introspected = await server.post('/api/oauth/introspect', { token }, basic(client, secret!))
  expect(await introspected.json()).toEqual({ active: false })
  expect((await server.post('/api/oauth/validate', {}, authorization)).status).toBe(401)
  expect((await server.post('/api/oauth/revoke', { token }, basic(client, secret!))).status).toBe(200)
  expect((await server.get('/account', authorization)).status).toBe(303)
  expect((await server.get('/metrics', authorization)).status).not.toBe(200)
  for (const grant of ['refresh_token', 'authorization_code'])
    expect(
      (
        await server.post(
          '/api/oauth/token',
          { grant_type: grant, refresh_token: token, code: token },
          basic(client, secret!),
        )
      ).status,
    ).toBe(400)
  // Still there: nobody but its owner or an operator ends it.
  expect(await statusOf(token)).toBe(200)
  const sse = await make('ada@example.com', { resource: `${server.base}/api/sse` })
  expect([await statusOf(sse.token), await statusOf(sse.token, server, '/api/sse')]).toEqual([401, 200])
  expect(await revokePersonalToken(server.deps, { id, userId: crypto.randomUUID(), by: 'user' })).toBe(false)
  expect(await revokePersonalToken(server.deps, { id, by: 'operator' })).toBe(true)
})

test('a revoked token is refused on another replica within a second, and its stream ends there', async () => {
  const { id, token } = await make('ada@example.com')
  const replica = await startReplica(server)
  try {
    expect(await statusOf(token, replica)).toBe(200)
    const stream = await replica.get('/sse', { Authorization: `Bearer ${token}`, Accept: 'text/event-stream' })
    expect(stream.status).toBe(200)
    await revokePersonalToken(server.deps, { id, by: 'user' })
    await stream.text() // has ended
    expect([await statusOf(token), await statusOf(token, replica)]).toEqual([401, 401])
  } finally {
    await replica.close()
  }
  const restarted = await startReplica(server)
  expect(await statusOf(token, restarted)).toBe(401)
  await restarted.close()
})

test('made while its user is being disabled, it is refused', async () => {
  await signIn(server, 'late@example.com')
  const { sql, db } = server.deps
  let made: Promise<unknown> | undefined
  await db.begin(async transaction => {
    await disableByAddress(transaction, { email: 'late@example.com', leaving: false, now: server.deps.now() })
    made = make('late@example.com').then(
      () => 'made',
      () => 'refused',
    )
    // The embedded database has one connection, which the transaction has.
    const waits = async () => (await sql`select from pg_stat_activity where wait_event_type = 'Lock'`).length > 0
    if (onPostgres) await until(waits)
  })
  expect(await made).toBe('refused')
  expect(
    await sql`select from personal_tokens join users on users.id = user_id where email = 'late@example.com'`,
  ).toHaveLength(0)
})

test('what its person loses, it loses: the role of an administrator, and access', async () => {
  await signIn(server, 'grace@example.com', { admin: true })
  const both = await make('grace@example.com', { scope: ['mcp', 'admin'] })
  const plain = await make('grace@example.com')
  expect((await call(both.token, 'search_audit_log')).events).toBeArray()
  const user = (...args: string[]) => runCommand(['user', ...args], server.env)
  await user('demote', 'grace@example.com')
  await until(async () => (await statusOf(both.token)) === 401)
  expect(await statusOf(plain.token)).toBe(200)
  await user('disable', 'grace@example.com')
  await until(async () => (await statusOf(plain.token)) === 401)
  await expect(make('grace@example.com')).rejects.toBeInstanceOf(AppError)
  await user('enable', 'grace@example.com')
  const after = await make('grace@example.com')
  expect([await statusOf(plain.token), await statusOf(after.token)]).toEqual([401, 200])
  await expect(make('grace@example.com', { scope: ['admin'] })).rejects.toThrow(
    'This token cannot have the scope admin',
  )
})

test('it costs one statement when it is new to a replica, and none afterwards; strangers pay with their limit', async () => {
  server.clock.advance(301) // no guesses are counted now
  const { token } = await make('ada@example.com')
  expect(await statusOf(token)).toBe(200) // its user is remembered from now on
  const { token: other } = await make('ada@example.com')
  const statements = countStatements(server.deps)
  for (let i = 0; i < 3; i++) expect(await statusOf(other)).toBe(200)
  expect(statements.take()).toEqual(['select'])
  // Without the right checksum: no statement. With it: one, once.
  expect(await statusOf(`${other.slice(0, -1)}${other.endsWith('A') ? 'B' : 'A'}`)).toBe(401)
  expect(statements.take()).toEqual([])
  for (let i = 0; i < 3; i++) expect(await statusOf(stranger(0))).toBe(401)
  expect(statements.take()).toEqual(['select'])
  for (let n = 1; n < 100; n++) expect(await statusOf(stranger(n))).toBe(401)
  const limited = await rpc(server, stranger(100), 'tools/list')
  expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, expect.stringMatching(/^\d+$/)])
  expect(statements.take().filter(word => word === 'select')).toHaveLength(99)
  // A known token is not in their way.
  expect(await statusOf(token)).toBe(200)
  server.clock.advance(301)
})

test('a user has at most 100; they expire, and stay listed for 30 days', async () => {
  await signIn(server, 'alan@example.com')
  const { id, token } = await make('alan@example.com', { days: 2 })
  for (let n = 1; n < 100; n++) await make('alan@example.com', { days: 2 })
  await expect(make('alan@example.com')).rejects.toThrow('No more tokens can be made')
  const { id: userId } = (await findUserByEmail(server.deps.sql, 'alan@example.com'))!
  expect(await statusOf(token)).toBe(200)
  server.clock.advance(2 * 86_400)
  expect(await statusOf(token)).toBe(401)
  await make('alan@example.com')
  server.clock.advance(29 * 86_400)
  await sweep(server.deps)
  expect((await listPersonalTokens(server.deps, userId)).find(row => row.id === id)?.used_at).toBeInstanceOf(Date)
  server.clock.advance(2 * 86_400)
  await sweep(server.deps)
  expect(await listPersonalTokens(server.deps, userId)).toHaveLength(1)
})

test('on the page one is made only within 30 minutes of a sign-in', async () => {
  const headers = { Cookie: await signIn(server, 'bob@example.com'), Accept: 'text/html' }
  const page = async () => (await server.get('/account/tokens', headers)).text()
  const form = {
    name: 'x',
    days: '1',
    'scope:mcp:tools:read': 'yes',
    csrf: csrfOf(await page(), '/account/tokens/add'),
  }
  const disguised = { ...form, name: ' back\u202eup\u200b ' }
  expect(await (await server.post('/account/tokens/add', disguised, headers)).text()).toContain(
    '<h1>The token backup</h1>',
  )
  server.clock.advance(31 * 60)
  const late = await server.post('/account/tokens/add', form, headers)
  const location = new URL(late.headers.get('location')!, server.base)
  expect([late.status, location.pathname, location.searchParams.get('again')]).toEqual([303, '/auth/signin', '1'])
  expect(await page()).toContain(
    '<a href="/auth/signin?return_to=%2Faccount%2Ftokens&again=1">sign in again</a> first.',
  )
  // What was typed is there after the sign-in, for nobody else, and not if it was changed.
  const back = location.searchParams.get('return_to')!
  expect(back).toStartWith('/account/tokens?kept=')
  const typedFor = async (email: string, path: string) => {
    const html = await (await server.get(path, { Cookie: await signIn(server, email), Accept: 'text/html' })).text()
    return [/id="name"[^>]* value="([^"]*)"/, /id="days"[^>]* value="([^"]*)"/]
      .map(field => field.exec(html)?.[1])
      .concat([...html.matchAll(/name="scope:([^"]+)" value="yes" checked/g)].map(([, scope]) => scope))
  }
  expect(await typedFor('bob@example.com', back)).toEqual(['x', '1', 'mcp:tools:read'])
  const empty = ['', '90', 'mcp:tools:read', 'mcp:tools:call']
  expect(await typedFor('eve@example.com', back)).toEqual(empty)
  expect(await typedFor('bob@example.com', `${back}x`)).toEqual(empty)
})

test('PERSONAL_TOKENS=false forbids them', async () => {
  const { token } = await make('ada@example.com')
  const strict = await startReplica(server, { PERSONAL_TOKENS: 'false' })
  try {
    expect([await statusOf(token), await statusOf(token, strict)]).toEqual([200, 401])
    await expect(make('ada@example.com', {}, strict)).rejects.toThrow('Personal access tokens are off')
  } finally {
    await strict.close()
  }
})
