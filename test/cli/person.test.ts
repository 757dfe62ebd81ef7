/** `user show`, `passkey` and `session`: what belongs to a person, and ending it. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { findUserByEmail } from '../../sql/users.ts'
import { runCommand } from '../support/command.ts'
import { deviceTokens, registerClient, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.close())

const run = (...args: string[]) => runCommand(args, server.env)
const json = async (...args: string[]) => JSON.parse((await run(...args, '--json')).stdout)
const table = async (...args: string[]) => (await run(...args)).stdout.split('\n').map(line => line.split('\t'))
const EMAIL = 'ada@example.com'

test('user show, passkey and session show what a person has, and end it; the audit log says who did', async () => {
  const cookies = [await signIn(server, EMAIL), await signIn(server, EMAIL)]
  const { id } = (await findUserByEmail(server.deps.sql, EMAIL))!
  await deviceTokens(server, await registerClient(server, { client_name: 'Editor' }), cookies[0]!)
  await run('token', 'add', 'Script', '--user', EMAIL)
  await server.deps.sql`
    insert into passkeys (id, user_id, public_key, counter, name, backed_up, created_at)
    select '-' || name, ${id}, ${Buffer.from('key')}, 0, name, false, now() from unnest(array['laptop', 'phone']) as name`

  const rows = await table('user', 'show', 'Ada@Example.com')
  expect(rows.map(([what, , name]) => [what, name])).toEqual([
    ['user', 'ada@example.com (user)'],
    ['connection', 'Editor'],
    ['token', 'Script'],
    ['passkey', 'laptop'],
    ['passkey', 'phone'],
    ['browser', 'Another browser, 127.0.0.1'],
    ['browser', 'Another browser, 127.0.0.1'],
    ['', undefined!],
  ])
  const [everything] = await json('user', 'show', EMAIL)
  expect(everything).toMatchObject({
    user: { id, email: EMAIL, is_admin: false, disabled_at: null },
    connections: [{ client_name: 'Editor' }],
    personal_access_tokens: [{ name: 'Script' }],
    passkeys: [{ name: 'laptop' }, { name: 'phone' }],
    browser_sessions: [{ ip: '127.0.0.1' }, { ip: '127.0.0.1' }],
    linked_accounts: [],
  })
  expect(JSON.stringify(everything)).not.toMatch(/hash|public_key|mpt_/)

  const [laptop, phone] = await json('passkey', 'list', EMAIL)
  expect([laptop.name, laptop.id]).toEqual(['laptop', expect.stringMatching(/^[0-9a-f]{12}$/)])
  expect((await table('passkey', 'list', EMAIL)).map(([one]) => one)).toEqual([laptop.id, phone.id, ''])
  expect(await run('passkey', 'remove', EMAIL, laptop.id)).toEqual({
    code: 0,
    stdout: 'Removed the passkey laptop.\n',
    stderr: '',
  })
  expect(await run('passkey', 'remove', EMAIL, laptop.id)).toEqual({
    code: 1,
    stdout: '',
    stderr: `${EMAIL} has no passkey ${laptop.id}; see: mcp-oauth-server passkey list ${EMAIL}\n`,
  })
  expect((await run('passkey', 'remove', EMAIL, phone.id)).stderr).toStartWith('It is the only way in which ')

  const [newer, older] = await json('session', 'list', EMAIL)
  expect([newer.ip, older.user_agent]).toEqual(['127.0.0.1', expect.any(String)])
  const isSignedIn = async (cookie: string) => (await server.get('/account', { Cookie: cookie })).status === 200
  expect(await run('session', 'end', EMAIL, older.id, 'abc')).toEqual({
    code: 1,
    stdout: `Signed ${EMAIL} out of 1 browser.\n`,
    stderr: 'Already ended, or never was: abc\n',
  })
  expect((await Promise.all(cookies.map(isSignedIn))).filter(Boolean)).toHaveLength(1)
  expect(await run('session', 'end', EMAIL, '--all')).toMatchObject({
    code: 0,
    stdout: `Signed ${EMAIL} out of 1 browser.\n`,
  })
  expect((await Promise.all(cookies.map(isSignedIn))).filter(Boolean)).toEqual([])
  expect((await run('session', 'end', EMAIL)).stderr).toBe('Give ids of browser sessions, or --all\n')
  expect((await run('session', 'list', 'nobody@example.com')).stderr).toBe(
    'There is no user with the address nobody@example.com\n',
  )
  const events = await json('audit', 'list', '--event', 'passkey.removed').catch(() => undefined)
  expect(events).toMatchObject({ event: 'passkey.removed', detail: { name: 'laptop', actor: 'cli' } })
})
