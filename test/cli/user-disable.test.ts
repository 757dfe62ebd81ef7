import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { findUserByEmail } from '../../sql/users.ts'
import { admit, createSignInLink } from '../../src/signin/service.ts'
import { runCommand } from '../support/command.ts'
import {
  decide,
  deviceTokens,
  poll,
  registerClient,
  requestDevice,
  rpc,
  sendSignInForm,
  signIn,
} from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

let server: TestServer
let client: string

beforeAll(async () => {
  server = await startServer({ ALLOWED_DOMAINS: 'example.com' })
  client = await registerClient(server)
})
afterAll(() => server.close())

const user = (...args: string[]) => runCommand(['user', ...args], server.env)
const said = (stdout: string) => ({ code: 0, stdout: `${stdout}\n`, stderr: '' })
const DISABLED = 'is signed out everywhere and cannot sign in; their apps are disconnected.'

/** Asks until the answer is another one, for a second at most. */
async function statusAfter(token: string, status: number): Promise<number> {
  const deadline = Date.now() + 1000
  let now = status
  while (now === status && Date.now() < deadline) now = (await rpc(server, token, 'tools/list')).status
  return now
}

const refresh = async (refresh_token: string) =>
  server.post('/api/oauth/token', { grant_type: 'refresh_token', client_id: client, refresh_token })

describe('user disable', () => {
  test('on a running server ends sessions, access tokens, refresh tokens and codes within a second', async () => {
    const [grace, mallory] = [await signIn(server, 'grace@example.com'), await signIn(server, 'mallory@example.com')]
    const tokens = await deviceTokens(server, client, grace)
    const others = await deviceTokens(server, client, mallory)
    const approved = await requestDevice(server, client)
    await decide(server, grace, approved.user_code)
    const link = await createSignInLink(server.deps, 'grace@example.com')
    expect((await rpc(server, tokens.access_token, 'tools/list')).status).toBe(200)

    expect(await user('disable', 'Grace@Example.com')).toEqual(said(`Grace@Example.com ${DISABLED}`))
    expect(await statusAfter(tokens.access_token, 200)).toBe(401)
    expect(await (await refresh(tokens.refresh_token)).json()).toMatchObject({ error: 'invalid_grant' })
    expect(await (await poll(server, client, approved.device_code)).json()).toMatchObject({ error: 'access_denied' })
    expect((await server.get('/account', { Cookie: grace })).status).toBe(303)
    const token = new URL(link).searchParams.get('token')!
    expect((await sendSignInForm(server, '/auth/signin/link', { token })).status).toBe(403)

    expect((await rpc(server, others.access_token, 'tools/list')).status).toBe(200)
    expect((await server.get('/account', { Cookie: mallory })).status).toBe(200)
  })

  test('blocks sign-in with that address, even as another identity of an allowed domain', async () => {
    const identity = { subject: '1', email: 'alan@example.com', emailVerified: true, name: 'Alan' }
    await admit(server.deps, { issuer: 'https://one.example', ...identity }, null)
    expect((await user('disable', 'alan@example.com')).code).toBe(0)
    for (const issuer of ['https://one.example', 'https://two.example'])
      await expect(admit(server.deps, { issuer, ...identity }, null)).rejects.toThrow(
        'You have no access to this server',
      )
    expect(await user('link', 'alan@example.com')).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'alan@example.com is disabled and cannot sign in; first run: mcp-oauth-server user enable alan@example.com\n',
    })
  })

  test('user enable allows sign-in again; what was ended stays ended', async () => {
    const cookie = await signIn(server, 'joan@example.com')
    const tokens = await deviceTokens(server, client, cookie)
    const link = await createSignInLink(server.deps, 'joan@example.com')
    await user('disable', 'joan@example.com')
    expect(await user('enable', 'joan@example.com')).toEqual(
      said('joan@example.com can sign in again, and has to reconnect their apps.'),
    )
    expect((await findUserByEmail(server.deps.sql, 'joan@example.com'))?.disabled_at).toBeNull()
    const token = new URL(link).searchParams.get('token')!
    const late = await sendSignInForm(server, '/auth/signin/link', { token })
    expect([late.status, await late.text()]).toEqual([403, expect.stringContaining('This link no longer works')])
    expect((await server.get('/account', { Cookie: cookie })).status).toBe(303)
    const again = await signIn(server, 'joan@example.com')
    expect((await server.get('/account', { Cookie: again })).status).toBe(200)
    expect(await statusAfter(tokens.access_token, 200)).toBe(401)
    expect((await refresh(tokens.refresh_token)).status).toBe(400)
  })

  test.each([
    [['promote', 'nobody@example.com'], 1, /^There is no user with the address nobody@example\.com\n$/],
    [['demote', 'nobody@example.com'], 1, /^There is no user with the address nobody@example\.com\n$/],
    [['demote', 'ada@example.com', '--admin'], 2, /^error: unknown option '--admin'/],
    [['disable', 'nobody@example.com'], 1, /^There is no user with the address nobody@example\.com\n$/],
    [['enable', 'nobody@example.com'], 1, /^There is no user with the address nobody@example\.com\n$/],
    [['disable'], 2, /^error: missing required argument 'email'/],
    [['disable', 'ada@example.com', '--admin'], 2, /^error: unknown option '--admin'/],
    [['toString', 'ada@example.com'], 2, /^error: unknown command 'toString'/],
  ] as [string[], number, RegExp][])('refuses: user %j', async (args, code, message) => {
    expect(await user(...args)).toEqual({ code, stdout: '', stderr: expect.stringMatching(message) })
  })
})
