import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { findInvitedUser, findUserByEmail } from '../../sql/users.ts'
import { runCommand } from '../support/command.ts'
import { sendSignInForm } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

let server: TestServer

beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.close())

const user = (...args: string[]) => runCommand(['user', ...args], server.env)
const useLink = (link: string) =>
  sendSignInForm(server, '/auth/signin/link', { token: new URL(link).searchParams.get('token')! })

describe('user link', () => {
  test('prints a link that signs that person in, once, and is not used up by being opened', async () => {
    const { code, stdout, stderr } = await user('link', 'grace@example.com')
    expect([code, stderr]).toEqual([0, expect.stringMatching(/^Signs in \S+ \(.*\)\. Works once, for 15 minutes\.\n$/)])
    const link = stdout.trim()
    expect(link).toStartWith(`${server.base}/auth/signin/link?token=mln_`)
    expect((await server.get(link.slice(server.base.length))).status).toBe(200)
    const used = await useLink(link)
    expect(used.status).toBe(303)
    const cookie = used.headers.getSetCookie()[0]!.split(';')[0]!
    const account = await server.get('/account', { Cookie: cookie })
    expect(await account.text()).toContain('grace@example.com')
    expect((await useLink(link)).status).toBe(403)
  })

  test('the link expires after 15 minutes', async () => {
    const { stdout } = await user('link', 'late@example.com')
    server.clock.advance(15 * 60 + 1)
    expect((await useLink(stdout.trim())).status).toBe(403)
  })

  test('--admin makes an administrator, and a link without it does not change the role', async () => {
    await user('link', 'root@example.com', '--admin')
    await user('link', 'root@example.com')
    await user('link', 'plain@example.com')
    expect((await findUserByEmail(server.deps.sql, 'root@example.com'))?.is_admin).toBe(true)
    expect((await findUserByEmail(server.deps.sql, 'plain@example.com'))?.is_admin).toBe(false)
  })
})

test('user invite lets an address in, whatever its case, and says what happens next', async () => {
  expect(await user('invite', 'Guest@Example.com')).toEqual({
    code: 0,
    stdout: 'Guest@Example.com can now sign in with any provider that has verified this address.\n',
    stderr: 'No provider is configured; create a one-time link with: mcp-oauth-server user link Guest@Example.com\n',
  })
  expect(await findInvitedUser(server.deps.sql, 'guest@example.com')).toBeDefined()
})

test.each([
  [['link'], 2, /^error: missing required argument 'email'/],
  [['invite', 'a@example.com', 'b@example.com'], 2, /^error: too many arguments for 'invite'/],
  [['delete', 'a@example.com'], 2, /^error: unknown command 'delete'/],
  [['link', 'ada'], 1, /^ada is not an e-mail address\n$/],
  [['link', 'ada@example.com', '--root'], 2, /^error: unknown option '--root'/],
] as [string[], number, RegExp][])('refuses: user %j', async (args, code, message) => {
  expect(await user(...args)).toEqual({ code, stdout: '', stderr: expect.stringMatching(message) })
})
