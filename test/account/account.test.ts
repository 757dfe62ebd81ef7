import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { parseConfig } from '../../src/config.ts'
import { openDeps } from '../../src/deps.ts'
import { openLog } from '../../src/lib/log.ts'
import { addClient } from '../../src/oauth/clients/index.ts'
import { verifyAccessToken } from '../../src/oauth/tokens.ts'
import { newestEvents } from '../support/audit.ts'
import {
  consent,
  csrfOf,
  decide,
  deviceTokens,
  poll,
  registerClient,
  requestDevice,
  rpc,
  signIn,
  type TokenAnswer,
} from '../support/flows.ts'
import { startServer, type TestServer, timeSources } from '../support/server.ts'

const REDIRECT = 'https://app.example/callback'
const VERIFIER = 'v'.repeat(43)
const HTML = { Accept: 'text/html' }

let server: TestServer
/** Added by the operator, so that consent to it is remembered. */
let app: string
let device: string

beforeAll(async () => {
  server = await startServer()
  const grantTypes = ['authorization_code', 'refresh_token'] as const
  const scope = ['mcp:tools:read', 'mcp:tools:call', 'connections:manage']
  app = (
    await addClient(server.deps, { name: 'House app', grantTypes: [...grantTypes], redirectUris: [REDIRECT], scope })
  ).id
  device = await registerClient(server)
})
afterAll(() => server.close())

const request = new URLSearchParams({
  response_type: 'code',
  redirect_uri: REDIRECT,
  code_challenge: createHash('sha256').update(VERIFIER).digest('base64url'),
  code_challenge_method: 'S256',
})
const query = () => `client_id=${app}&${request}`

/** @returns 200 if the user is asked, 303 if their consent is remembered. */
const authorize = (cookie: string) => server.get(`/api/oauth/authorize?${query()}`, { Cookie: cookie })

/** Approves what the consent page asks. @returns the code. */
async function approve(cookie: string): Promise<string> {
  return (await consent(server, cookie, query())).searchParams.get('code')!
}

const exchange = (code: string) =>
  server.post('/api/oauth/token', { grant_type: 'authorization_code', client_id: app, code, code_verifier: VERIFIER })
const refresh = (client_id: string, { refresh_token }: TokenAnswer) =>
  server.post('/api/oauth/token', { grant_type: 'refresh_token', client_id, refresh_token })
const errorOf = async (answer: Response) => [answer.status, ((await answer.json()) as { error: string }).error]
const statusOf = async (token: string) => (await rpc(server, token, 'tools/list')).status

async function press(cookie: string, action: string, fields: Record<string, string> = {}): Promise<Response> {
  const html = await (await server.get('/account', { Cookie: cookie })).text()
  return server.post(action, { ...fields, csrf: csrfOf(html, action) }, { Cookie: cookie, ...HTML })
}

describe('Disconnect', () => {
  test('ends the app’s tokens at once, and withdraws the consent: the user is asked again', async () => {
    const cookie = await signIn(server, 'grace@example.com')
    const tokens = (await (await exchange(await approve(cookie))).json()) as TokenAnswer
    expect([await statusOf(tokens.access_token), (await authorize(cookie)).status]).toEqual([200, 303])
    const html = await (await server.get('/account', { Cookie: cookie })).text()
    const id = /name="id" value="([^"]+)"/.exec(html)![1]!
    const answer = await press(cookie, '/account/disconnect', { id })
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/account'])
    expect(await statusOf(tokens.access_token)).toBe(401)
    expect(await errorOf(await refresh(app, tokens))).toEqual([400, 'invalid_grant'])
    expect((await authorize(cookie)).status).toBe(200)
  })

  test('by an app’s call to revoke_connection withdraws the consent, too', async () => {
    const cookie = await signIn(server, 'joan@example.com')
    const tokens = (await (await exchange(await approve(cookie))).json()) as TokenAnswer
    const manager = (await deviceTokens(server, device, cookie, { scope: 'mcp connections:manage' })).access_token
    const call = (name: string, input: object = {}) => rpc(server, manager, 'tools/call', { name, arguments: input })
    const listed = (await (await call('list_connections')).json()) as {
      result: { structuredContent: { connections: { id: string; client: { id: string } }[] } }
    }
    expect((await authorize(cookie)).status).toBe(303)
    const { id } = listed.result.structuredContent.connections.find(connection => connection.client.id === app)!
    await call('revoke_connection', { id })
    expect(await statusOf(tokens.access_token)).toBe(401)
    expect((await authorize(cookie)).status).toBe(200)
  })

  test('an app that ends its own grant does not make the user be asked again', async () => {
    const cookie = await signIn(server, 'jean@example.com')
    const tokens = (await (await exchange(await approve(cookie))).json()) as TokenAnswer
    await server.post('/api/oauth/revoke', { client_id: app, token: tokens.refresh_token })
    expect(await statusOf(tokens.access_token)).toBe(401)
    expect((await authorize(cookie)).status).toBe(303)
  })
})

describe('Sign out everywhere', () => {
  test('ends every session and every app’s tokens at once, of this user alone', async () => {
    const here = await signIn(server)
    const elsewhere = await signIn(server)
    const mallory = await signIn(server, 'mallory@example.com')
    const apps = [await deviceTokens(server, device, here), await deviceTokens(server, device, elsewhere)]
    const house = (await (await exchange(await approve(here))).json()) as TokenAnswer
    const others = await deviceTokens(server, device, mallory)
    for (const { access_token } of [...apps, house, others]) expect(await statusOf(access_token)).toBe(200)

    const answer = await press(here, '/account/signout-everywhere')
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/'])
    expect(answer.headers.get('set-cookie')).toContain('mcp-oauth-session=; Path=/; Max-Age=0;')
    for (const cookie of [here, elsewhere]) {
      const page = await server.get('/account', { Cookie: cookie })
      expect([page.status, page.headers.get('location')]).toEqual([303, '/auth/signin?return_to=%2Faccount'])
    }
    for (const tokens of apps) {
      expect(await statusOf(tokens.access_token)).toBe(401)
      expect(await errorOf(await refresh(device, tokens))).toEqual([400, 'invalid_grant'])
    }
    expect(await statusOf(house.access_token)).toBe(401)
    expect(await errorOf(await refresh(app, house))).toEqual([400, 'invalid_grant'])

    expect(await statusOf(others.access_token)).toBe(200)
    expect((await refresh(device, others)).status).toBe(200)
    expect((await server.get('/account', { Cookie: mallory })).status).toBe(200)
    const again = await signIn(server)
    expect((await authorize(again)).status).toBe(200)
    expect(await (await server.get('/account', { Cookie: again })).text()).toContain('No app is connected as you.')

    await server.deps.audit.flush()
    const events = (await newestEvents(server, 50)).map(({ event, detail }) => [event, detail.by])
    expect(events.filter(([event]) => event === 'user.signed_out_everywhere').length).toBe(1)
    expect(events.filter(([event, by]) => event === 'grant.revoked' && by === 'user').length).toBeGreaterThanOrEqual(3)
  })

  test('leaves nothing that could still become a connection: codes under way are dead', async () => {
    const cookie = await signIn(server)
    const code = await approve(cookie)
    const approved = await requestDevice(server, device)
    await decide(server, cookie, approved.user_code)
    await press(cookie, '/account/signout-everywhere')
    expect(await errorOf(await exchange(code))).toEqual([400, 'invalid_grant'])
    expect(await errorOf(await poll(server, device, approved.device_code))).toEqual([400, 'access_denied'])
  })

  test('needs the token of its own form, from our own page', async () => {
    const cookie = await signIn(server)
    const html = await (await server.get('/account', { Cookie: cookie })).text()
    const path = '/account/signout-everywhere'
    const forged = [
      server.post(path, {}, { Cookie: cookie, ...HTML }),
      server.post(path, { csrf: csrfOf(html, '/auth/signout') }, { Cookie: cookie, ...HTML }),
      server.post(path, { csrf: csrfOf(html, path) }, { Cookie: cookie, 'Sec-Fetch-Site': 'cross-site', ...HTML }),
    ]
    for (const answer of await Promise.all(forged)) expect(answer.status).toBe(403)
    expect((await server.get('/account', { Cookie: cookie })).status).toBe(200)
  })

  test('another replica, which has seen a token be good, refuses it within a second', async () => {
    const options = { log: openLog('silent'), time: timeSources(server.time), serving: false }
    const replica = await openDeps(
      parseConfig(server.env, () => ''),
      options,
    )
    try {
      const { access_token } = await deviceTokens(server, device, await signIn(server))
      const isGood = () =>
        verifyAccessToken(replica, access_token).then(
          () => true,
          () => false,
        )
      expect(await isGood()).toBe(true)
      await press(await signIn(server), '/account/signout-everywhere')
      const deadline = Date.now() + 1000
      let good = true
      while (good && Date.now() < deadline) {
        await Bun.sleep(10) // a token that it has seen costs no input or output: the notification must get a turn
        good = await isGood()
      }
      expect(good).toBe(false)
    } finally {
      await replica.close()
    }
  })
})
