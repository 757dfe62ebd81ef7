import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { parseConfig } from '../../src/config.ts'
import { openDeps } from '../../src/deps.ts'
import { openLog } from '../../src/lib/log.ts'
import { addClient } from '../../src/oauth/clients/index.ts'
import { verifyAccessToken } from '../../src/oauth/tokens.ts'
import { newestEvents } from '../support/audit.ts'
import { runCommand } from '../support/command.ts'
import {
  consent,
  csrfOf,
  decide,
  deviceTokens,
  enterCode,
  poll,
  registerClient,
  requestDevice,
  rpc,
  signIn,
  type TokenAnswer,
} from '../support/flows.ts'
import { startServer, type TestServer, timeSources } from '../support/server.ts'

setDefaultTimeout(300_000)

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

/** Approves on the consent page. @returns the code. */
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
  test('revokes the app’s tokens at once and withdraws the consent: the user is asked again', async () => {
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

  test('an app that ends its own grant keeps the consent', async () => {
    const cookie = await signIn(server, 'jean@example.com')
    const tokens = (await (await exchange(await approve(cookie))).json()) as TokenAnswer
    await server.post('/api/oauth/revoke', { client_id: app, token: tokens.refresh_token })
    expect(await statusOf(tokens.access_token)).toBe(401)
    expect((await authorize(cookie)).status).toBe(303)
  })
})

describe('Sign out everywhere', () => {
  test('ends all sessions and all apps’ tokens of this user at once, and nobody else’s', async () => {
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

  test('voids pending codes, so that none can become a connection', async () => {
    const cookie = await signIn(server)
    const code = await approve(cookie)
    const approved = await requestDevice(server, device)
    await decide(server, cookie, approved.user_code)
    await press(cookie, '/account/signout-everywhere')
    expect(await errorOf(await exchange(code))).toEqual([400, 'invalid_grant'])
    expect(await errorOf(await poll(server, device, approved.device_code))).toEqual([400, 'access_denied'])
  })

  test('requires the form’s own token, from our own page', async () => {
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

  test('another replica that has accepted a token refuses it within a second', async () => {
    const options = { log: openLog('silent'), time: timeSources(server.time), serving: false }
    const replica = await openDeps(
      parseConfig(server.env, () => ''),
      options,
    )
    try {
      const { access_token } = await deviceTokens(server, device, await signIn(server))
      const isGood = () =>
        Promise.try(verifyAccessToken, replica, access_token).then(
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

describe('pending codes', () => {
  const deviceCode = async (cookie: string) => {
    const asked = await requestDevice(server, device)
    await decide(server, cookie, asked.user_code)
    return asked.device_code
  }
  const connectionOf = async (cookie: string, clientName: string) => {
    const html = await (await server.get('/account', { Cookie: cookie })).text()
    const card = html.split('<article').find(part => part.includes(clientName))!
    return /name="id" value="([^"]+)"/.exec(card)![1]!
  }

  test('do not survive Disconnect, including those issued silently; other apps’ do', async () => {
    const cookie = await signIn(server, 'hedy@example.com')
    await exchange(await approve(cookie))
    const silent = new URL((await authorize(cookie)).headers.get('location')!).searchParams.get('code')!
    const others = await deviceCode(cookie)
    await press(cookie, '/account/disconnect', { id: await connectionOf(cookie, 'House app') })
    expect(await errorOf(await exchange(silent))).toEqual([400, 'invalid_grant'])
    expect((await poll(server, device, others)).status).toBe(200)
  })

  test('of a device do not survive it either, nor the app ending its own grant', async () => {
    const cookie = await signIn(server, 'radia@example.com')
    const first = await deviceTokens(server, device, cookie)
    const approved = await deviceCode(cookie)
    await press(cookie, '/account/disconnect', { id: await connectionOf(cookie, 'Test client') })
    expect(await errorOf(await poll(server, device, approved))).toEqual([400, 'access_denied'])
    expect(await statusOf(first.access_token)).toBe(401)

    const tokens = (await (await exchange(await approve(cookie))).json()) as TokenAnswer
    const code = new URL((await authorize(cookie)).headers.get('location')!).searchParams.get('code')!
    await server.post('/api/oauth/revoke', { client_id: app, token: tokens.refresh_token })
    expect(await errorOf(await exchange(code))).toEqual([400, 'invalid_grant'])
  })

  test('approvals sent beside Sign out everywhere yield nothing, in 60 tries each', async () => {
    for (let round = 0; round < 60; round++) {
      const cookie = await signIn(server, 'beside@example.com')
      const csrf = csrfOf(await (await authorize(cookie)).text(), '/api/oauth/authorize/decision')
      const asked = await requestDevice(server, device)
      const path = (await enterCode(server, cookie, asked.user_code)).headers.get('location')!
      const deviceCsrf = csrfOf(
        await (await server.get(path, { Cookie: cookie })).text(),
        '/api/oauth/device/authorize',
      )
      const account = await (await server.get('/account', { Cookie: cookie })).text()
      const headers = { Cookie: cookie, ...HTML }
      const send = [
        () => server.post('/api/oauth/authorize/decision', { request: query(), decision: 'approve', csrf }, headers),
        () =>
          server.post(
            '/api/oauth/device/authorize',
            { id: path.split('/').at(-1)!, decision: 'approve', csrf: deviceCsrf },
            headers,
          ),
        async () => {
          await Bun.sleep(round % 6)
          return server.post(
            '/account/signout-everywhere',
            { csrf: csrfOf(account, '/account/signout-everywhere') },
            headers,
          )
        },
      ]
      const [decided, , signedOut] = await Promise.all(send.map(one => one()))
      expect(signedOut!.status).toBe(303)
      const code = new URL(decided!.headers.get('location') ?? 'none:', server.base).searchParams.get('code')
      if (code) expect(await errorOf(await exchange(code))).toEqual([400, 'invalid_grant'])
      expect((await poll(server, device, asked.device_code)).status).toBe(400)
      const again = await signIn(server, 'beside@example.com')
      expect((await authorize(again)).status).toBe(200)
    }
  })
})

describe('a remembered consent without a connection', () => {
  const idle = 'Allowed but not connected'
  const accountOf = async (cookie: string) => (await server.get('/account', { Cookie: cookie })).text()
  /** The app was approved, and has ended its grant itself. */
  const remembered = async (email: string) => {
    const cookie = await signIn(server, email)
    const tokens = (await (await exchange(await approve(cookie))).json()) as TokenAnswer
    expect(await accountOf(cookie)).not.toContain(idle)
    await server.post('/api/oauth/revoke', { client_id: app, token: tokens.refresh_token })
    expect((await authorize(cookie)).status).toBe(303)
    return cookie
  }

  test('is shown with what it allows, and can be withdrawn', async () => {
    const cookie = await remembered('katherine@example.com')
    const html = await accountOf(cookie)
    for (const text of [idle, 'House app', 'Use tools as you', 'Ask me again']) expect(html).toContain(text)
    const code = new URL((await authorize(cookie)).headers.get('location')!).searchParams.get('code')!
    const answer = await press(cookie, '/account/disconnect-app', { client_id: app })
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/account'])
    expect(await accountOf(cookie)).not.toContain(idle)
    expect((await authorize(cookie)).status).toBe(200)
    expect(await errorOf(await exchange(code))).toEqual([400, 'invalid_grant'])
  })

  test('requires the form’s own token to be withdrawn', async () => {
    const cookie = await remembered('mary@example.com')
    const html = await accountOf(cookie)
    for (const form of [{ csrf: '' }, { csrf: csrfOf(html, '/account/signout-everywhere') }])
      expect(
        (await server.post('/account/disconnect-app', { client_id: app, ...form }, { Cookie: cookie })).status,
      ).toBe(403)
    expect((await authorize(cookie)).status).toBe(303)
  })

  test('ends with Sign out everywhere', async () => {
    const cookie = await remembered('dorothy@example.com')
    await press(cookie, '/account/signout-everywhere')
    expect((await authorize(await signIn(server, 'dorothy@example.com'))).status).toBe(200)
  })

  test('ends with user disable', async () => {
    await remembered('annie@example.com')
    for (const action of ['disable', 'enable'])
      expect((await runCommand(['user', action, 'annie@example.com'], server.env)).code).toBe(0)
    expect((await authorize(await signIn(server, 'annie@example.com'))).status).toBe(200)
  })
})
