import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { addClient } from '../../src/oauth/clients/index.ts'
import { DEVICE_CODE_GRANT } from '../../src/oauth/grants/types.ts'
import { lookUpUser } from '../../src/oauth/memory.ts'
import { newestEvents } from '../support/audit.ts'
import { runCommand } from '../support/command.ts'
import {
  consent,
  csrfOf,
  decide,
  deviceTokens,
  enterCode,
  pkce,
  poll,
  requestDevice,
  rpc,
  signIn,
  type TokenAnswer,
} from '../support/flows.ts'
import { startReplica, startServer, type TestServer } from '../support/server.ts'
import { countStatements } from '../support/statements.ts'
import { until } from '../support/until.ts'

setDefaultTimeout(300_000)

const REDIRECT = 'https://console.example/callback'
const ADMIN = { scope: 'mcp admin' }

let server: TestServer
let replica: TestServer
/** The only kind of client that may request the admin scope. */
let client: string

beforeAll(async () => {
  server = await startServer({ ADMIN_EMAILS: 'listed@example.com' })
  replica = await startReplica(server)
  const scope = ['mcp', 'admin']
  const grantTypes = [DEVICE_CODE_GRANT, 'refresh_token', 'authorization_code'] as const
  const console = { name: 'Console', grantTypes: [...grantTypes], redirectUris: [REDIRECT], scope }
  client = (await addClient(server.deps, console)).id
})
afterAll(async () => {
  await replica.close()
  await server.close()
})

const user = (...args: string[]) => runCommand(['user', ...args], server.env)
const said = (stdout: string, stderr = '') => ({ code: 0, stdout: `${stdout}\n`, stderr })
const DEMOTED = 'is no longer an administrator; their apps with the scope admin are disconnected.'

const toolsOf = async (at: TestServer, token: string): Promise<string[] | number> => {
  const answer = await rpc(at, token, 'tools/list')
  if (answer.status !== 200) return answer.status
  const { result } = (await answer.json()) as { result: { tools: { name: string }[] } }
  return result.tools.map(({ name }) => name)
}
const search = async (at: TestServer, token: string) =>
  (await rpc(at, token, 'tools/call', { name: 'search_audit_log', arguments: { limit: 1 } })).status
const refresh = (refresh_token: string, more: Record<string, string> = {}) =>
  server.post('/api/oauth/token', { grant_type: 'refresh_token', client_id: client, refresh_token, ...more })

/** Changes a user as with the database's own tools: without a notification. */
const setAdmin = (email: string, isAdmin: boolean) =>
  server.deps.sql`update users set is_admin = ${isAdmin} where email = ${email}`
const forgetUsers = () => {
  for (const at of [server, replica]) at.deps.memory.users.clear()
}

describe('user demote', () => {
  test('ends at once, on every replica, what the admin scope gave access to, and nothing else', async () => {
    const root = await signIn(server, 'root@example.com', { admin: true })
    const other = await signIn(server, 'other@example.com', { admin: true })
    const admin = await deviceTokens(server, client, root, ADMIN)
    const plain = await deviceTokens(server, client, root, { scope: 'mcp' })
    const others = await deviceTokens(server, client, other, ADMIN)
    for (const at of [server, replica])
      expect([await search(at, admin.access_token), await search(at, others.access_token)]).toEqual([200, 200])
    const stream = await replica.get('/sse', {
      Authorization: `Bearer ${admin.access_token}`,
      Accept: 'text/event-stream',
    })
    const approved = await requestDevice(server, client, ADMIN)
    await decide(server, root, approved.user_code)

    expect(await user('demote', 'Root@Example.com')).toEqual(said(`Root@Example.com ${DEMOTED}`))
    for (const at of [server, replica]) await until(async () => (await search(at, admin.access_token)) === 401)
    await stream.text() // has ended
    expect(await (await refresh(admin.refresh_token)).json()).toMatchObject({ error: 'invalid_grant' })
    expect(await (await poll(server, client, approved.device_code)).json()).toMatchObject({ error: 'access_denied' })
    expect(await toolsOf(server, plain.access_token)).toEqual(['list_connections', 'whoami'])
    expect((await refresh(plain.refresh_token)).status).toBe(200)
    expect(await search(replica, others.access_token)).toBe(200)
    expect((await server.get('/account', { Cookie: root })).status).toBe(200)

    // No request for the admin scope gets it any more; what was revoked does not come back.
    expect((await deviceTokens(server, client, root, ADMIN)).scope).toBe('mcp')
    expect(await user('promote', 'root@example.com')).toEqual(said('root@example.com is an administrator now.'))
    for (const at of [server, replica]) expect(await search(at, admin.access_token)).toBe(401)
    expect((await deviceTokens(server, client, root, ADMIN)).scope).toBe('mcp admin')
    await server.deps.audit.flush()
    const events = (await newestEvents(server, 200)).map(({ event }) => event)
    expect([events.filter(event => event === 'user.demoted').length, events.includes('user.promoted')]).toEqual([
      1,
      true,
    ])
  })

  test('voids codes with the admin scope, and the consent to it', async () => {
    const cookie = await signIn(server, 'grace@example.com', { admin: true })
    const { verifier, challenge } = pkce()
    const query = (scope: string) =>
      new URLSearchParams({
        response_type: 'code',
        client_id: client,
        redirect_uri: REDIRECT,
        scope,
        code_challenge: challenge,
        code_challenge_method: 'S256',
      }).toString()
    const exchange = (code: string) =>
      server.post('/api/oauth/token', {
        grant_type: 'authorization_code',
        client_id: client,
        code,
        code_verifier: verifier,
      })
    const code = (await consent(server, cookie, query('mcp admin'))).searchParams.get('code')!
    expect((await user('demote', 'grace@example.com')).code).toBe(0)
    expect(await (await exchange(code)).json()).toMatchObject({ error: 'invalid_grant' })
    // She is asked again, and the admin scope is not offered.
    const asked = await server.get(`/api/oauth/authorize?${query('mcp admin')}`, { Cookie: cookie })
    expect(asked.status).toBe(200)
    expect(await asked.text()).not.toContain('Search the audit log of this server')
    const narrowed = (await consent(server, cookie, query('mcp admin'))).searchParams.get('code')!
    expect(await (await exchange(narrowed)).json()).toMatchObject({ scope: 'mcp' })
  })

  test('an approval page that already showed the admin scope approves without it', async () => {
    const cookie = await signIn(server, 'shown@example.com', { admin: true })
    const asked = await requestDevice(server, client, ADMIN)
    const path = (await enterCode(server, cookie, asked.user_code)).headers.get('location')!
    const html = await (await server.get(path, { Cookie: cookie })).text()
    expect(html).toContain('Search the audit log of this server')
    await user('demote', 'shown@example.com')
    const form = { id: path.split('/').at(-1)!, decision: 'approve', csrf: csrfOf(html, '/api/oauth/device/authorize') }
    await server.post('/api/oauth/device/authorize', form, { Cookie: cookie, Accept: 'text/html' })
    const tokens = (await (await poll(server, client, asked.device_code)).json()) as TokenAnswer
    expect(tokens.scope).toBe('mcp')
    expect(await toolsOf(server, tokens.access_token)).toEqual(['list_connections', 'whoami'])
  })

  test('warns if the configuration would make the user an administrator again', async () => {
    await signIn(server, 'listed@example.com', { admin: true })
    expect(await user('demote', 'listed@example.com')).toEqual(
      said(
        `listed@example.com ${DEMOTED}`,
        'listed@example.com is listed in ADMIN_EMAILS: remove it, or the next start or sign-in makes them an administrator again.\n',
      ),
    )
  })
})

describe('the admin scope follows the user’s current role', () => {
  test('tokens, refreshes and codes keep it only while their user is an administrator', async () => {
    const cookie = await signIn(server, 'joan@example.com', { admin: true })
    const tokens = await deviceTokens(server, client, cookie, ADMIN)
    const only = await deviceTokens(server, client, cookie, { scope: 'admin' })
    const approved = await requestDevice(server, client, ADMIN)
    await decide(server, cookie, approved.user_code)
    await setAdmin('joan@example.com', false)
    forgetUsers()
    for (const at of [server, replica]) {
      expect(await toolsOf(at, tokens.access_token)).toEqual(['list_connections', 'whoami'])
      const refused = await rpc(at, tokens.access_token, 'tools/call', { name: 'search_audit_log', arguments: {} })
      expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
        403,
        expect.stringMatching(/scope="mcp:tools:call admin", error="insufficient_scope"$/),
      ])
      expect(await toolsOf(at, only.access_token)).toBe(401)
    }
    expect(await (await refresh(only.refresh_token)).json()).toMatchObject({ error: 'invalid_grant' })
    expect(await (await poll(server, client, approved.device_code)).json()).toMatchObject({ scope: 'mcp' })
    const refreshed = (await (await refresh(tokens.refresh_token, ADMIN)).json()) as TokenAnswer
    expect(refreshed.scope).toBe('mcp')

    await setAdmin('joan@example.com', true)
    forgetUsers()
    expect(await search(server, refreshed.access_token)).toBe(403) // a token says what it may at most
    expect(await (await refresh(refreshed.refresh_token)).json()).toMatchObject({ scope: 'mcp admin' })
  })

  test('costs one database lookup per administrator and replica, and none for anybody else', async () => {
    const cookie = await signIn(server, 'alan@example.com', { admin: true })
    const admin = await deviceTokens(server, client, cookie, ADMIN)
    const plain = await deviceTokens(server, client, cookie, { scope: 'mcp' })
    const statements = countStatements(replica.deps)
    for (const _ of [1, 2]) await toolsOf(replica, plain.access_token)
    expect(statements.take()).toEqual([])
    for (const _ of [1, 2, 3]) await toolsOf(replica, admin.access_token)
    expect(statements.take()).toEqual(['select'])
  })

  test('what a replica caches about users is current: changes are announced, and nothing stale is kept', async () => {
    await signIn(server, 'mary@example.com')
    const [row] = await server.deps.sql<{ id: string }[]>`select id from users where email = 'mary@example.com'`
    const seen = async () => lookUpUser(replica.deps, row!.id)
    const mary = { email: 'mary@example.com', name: '', isAdmin: false, disabled: false }
    expect(await seen()).toEqual(mary)
    expect(replica.deps.memory.users.get(row!.id)).toEqual(mary)
    await user('promote', 'mary@example.com')
    await until(async () => (await seen())!.isAdmin)
    await user('disable', 'mary@example.com')
    await until(async () => (await seen())!.disabled)
    expect(await lookUpUser(replica.deps, crypto.randomUUID())).toBeUndefined()

    // A change during the lookup of the user: the result is not cached.
    replica.deps.memory.users.clear()
    const reading = seen()
    replica.deps.memory.userChanges++
    await reading
    expect(replica.deps.memory.users.has(row!.id)).toBe(false)
  })
})
