/** /api/oauth/register/{client_id}: a client reads, changes and removes its own registration (RFC 7592). */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { parseConfig } from '../../../src/config.ts'
import { openDeps } from '../../../src/deps.ts'
import { openLog } from '../../../src/lib/log.ts'
import { DEVICE_CODE_GRANT } from '../../../src/oauth/grants/types.ts'
import { lookUpClient, rememberClient } from '../../../src/oauth/memory.ts'
import { verifyAccessToken } from '../../../src/oauth/tokens.ts'
import { basic, consent, deviceTokens, pkce, rpc, signIn } from '../../support/flows.ts'
import { startServer, type TestServer } from '../../support/server.ts'

const TOKEN = 'an initial access token, 32 characters'
const REDIRECT = 'https://app.example/callback'
const USER_SCOPE =
  'mcp:tools:read mcp:tools:call mcp:resources:read mcp:prompts:read mcp connections:manage offline_access'

let server: TestServer
let ada: string
beforeAll(async () => {
  server = await startServer({ INITIAL_ACCESS_TOKEN: TOKEN })
  ada = await signIn(server)
})
afterAll(() => server.close())

interface Registered {
  client_id: string
  client_secret?: string
  registration_access_token: string
  registration_client_uri: string
  grant_types: string[]
  redirect_uris: string[]
  scope: string
}

const APP = {
  redirect_uris: [REDIRECT],
  grant_types: ['authorization_code', 'refresh_token', DEVICE_CODE_GRANT],
  token_endpoint_auth_method: 'none',
}
let registrations = 0
async function register(metadata: Record<string, unknown> = {}, headers: Record<string, string> = {}) {
  registrations += 1
  const client_name = `Client ${registrations}`
  const answer = await server.postJson('/api/oauth/register', { client_name, ...APP, ...metadata }, headers)
  expect(answer.status).toBe(201)
  return (await answer.json()) as Registered
}
const registerTrusted = (metadata: Record<string, unknown>) => register(metadata, { Authorization: `Bearer ${TOKEN}` })

function manage(method: 'GET' | 'PUT' | 'DELETE', id: string, token: string | undefined, metadata?: unknown) {
  return fetch(`http://127.0.0.1:${server.env.PORT}/api/oauth/register/${id}`, {
    method,
    headers: {
      'Content-Type': 'application/json',
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    },
    ...(metadata === undefined ? {} : { body: JSON.stringify(metadata) }),
  })
}
const put = (client: Registered, metadata: unknown) =>
  manage('PUT', client.client_id, client.registration_access_token, metadata)

/** Whether the authorization endpoint accepts this redirect URI of the client. */
async function mayRedirect(client: Registered, redirect_uri: string): Promise<boolean> {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: client.client_id,
    redirect_uri,
    code_challenge: pkce().challenge,
    code_challenge_method: 'S256',
  })
  return (await server.get(`/api/oauth/authorize?${query}`, { Cookie: ada })).status === 200
}

describe('who may manage a registration (RFC 7592 2)', () => {
  test.each(['GET', 'PUT', 'DELETE'] as const)(
    '%s with no token, a wrong one, another client’s or another kind, and of an unknown client, is refused alike',
    async method => {
      const [mine, other] = [await register(), await register()]
      const right = mine.registration_access_token
      const refused = [
        await manage(method, mine.client_id, undefined, method === 'PUT' ? APP : undefined),
        await manage(method, mine.client_id, 'wrong', method === 'PUT' ? APP : undefined),
        await manage(method, mine.client_id, other.registration_access_token, method === 'PUT' ? APP : undefined),
        await manage(method, mine.client_id, TOKEN, method === 'PUT' ? APP : undefined),
        await manage(method, 'c_nobody', right, method === 'PUT' ? APP : undefined),
        await manage(method, '%00', right, method === 'PUT' ? APP : undefined),
      ]
      for (const answer of refused) {
        expect([answer.status, await answer.json()]).toEqual([
          401,
          {
            error: 'invalid_token',
            error_description: 'The registration access token is not valid for this client',
          },
        ])
        expect(answer.headers.get('www-authenticate')).toBe('Bearer error="invalid_token"')
      }
      expect((await manage('GET', mine.client_id, right)).status).toBe(200)
    },
  )

  test('a registration shared by several installations can be read, but nobody can change or remove it', async () => {
    const metadata = { client_name: 'Installed everywhere' }
    const first = await register(metadata)
    expect((await manage('GET', first.client_id, first.registration_access_token)).status).toBe(200)
    const second = await register(metadata)
    expect(second.client_id).toBe(first.client_id)
    expect(second.registration_access_token).toBeUndefined()
    // Cached before it was shared, as on a replica that did not see the second registration.
    rememberClient(server.deps.memory, { ...(await lookUpClient(server.deps, first.client_id))!, shared: false })
    for (const answer of [
      await put(first, { ...APP, redirect_uris: ['https://evil.example/callback'] }),
      await manage('DELETE', first.client_id, first.registration_access_token),
    ]) {
      expect([answer.status, await answer.json()]).toEqual([
        403,
        { error: 'access_denied', error_description: expect.stringContaining('Other installations') },
      ])
    }
    expect(await mayRedirect(first, REDIRECT)).toBe(true)
    expect(await mayRedirect(first, 'https://evil.example/callback')).toBe(false)
  })
})

describe('GET (RFC 7592 2.1)', () => {
  test('returns what is registered, with the token and URL that manage it (3), and no secret', async () => {
    const { client_secret, ...client } = await register({ token_endpoint_auth_method: 'client_secret_basic' })
    const answer = await manage('GET', client.client_id, client.registration_access_token)
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-store'])
    expect(client_secret).toStartWith('mcs_')
    const { client_secret_expires_at, ...registered } = client as Registered & { client_secret_expires_at: number }
    expect(client_secret_expires_at).toBe(0)
    expect(await answer.json()).toEqual(registered)
  })
})

describe('PUT (RFC 7592 2.2)', () => {
  test('replaces the registration from the next request on', async () => {
    const client = await register({ client_uri: 'https://app.example' })
    expect(await mayRedirect(client, REDIRECT)).toBe(true)
    const moved = 'https://app.example/moved'
    const answer = await put(client, { client_name: 'Renamed', grant_types: APP.grant_types, redirect_uris: [moved] })
    const changed = {
      client_id: client.client_id,
      client_id_issued_at: expect.any(Number),
      registration_access_token: client.registration_access_token,
      registration_client_uri: client.registration_client_uri,
      client_name: 'Renamed',
      redirect_uris: [moved],
      grant_types: APP.grant_types,
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      scope: USER_SCOPE,
    }
    expect([answer.status, await answer.json()]).toEqual([200, changed])
    expect([await mayRedirect(client, REDIRECT), await mayRedirect(client, moved)]).toEqual([false, true])
    expect(await (await manage('GET', client.client_id, client.registration_access_token)).json()).toEqual(changed)
  })

  test('cannot make a client a machine or an administrator, or change how it authenticates', async () => {
    const greedy = {
      ...APP,
      grant_types: [...APP.grant_types, 'client_credentials'],
      scope: `${USER_SCOPE} admin`,
      token_endpoint_auth_method: 'client_secret_basic',
      client_secret: 'mine',
      source: 'operator',
    }
    const [anonymous, trusted] = [await register(), await registerTrusted({ scope: 'mcp:tools:read' })]
    for (const [client, scope] of [
      [anonymous, USER_SCOPE],
      [trusted, 'mcp:tools:read'],
    ] as const) {
      const answer = await put(client, greedy)
      expect(await answer.json()).toMatchObject({
        grant_types: APP.grant_types,
        token_endpoint_auth_method: 'none',
        scope,
      })
      const form = { grant_type: 'client_credentials', client_id: client.client_id }
      expect(await (await server.post('/api/oauth/token', form)).json()).toMatchObject({ error: 'unauthorized_client' })
    }
  })

  test('a machine stays a machine, with no wider scope', async () => {
    const metadata = { grant_types: ['client_credentials'], token_endpoint_auth_method: 'client_secret_basic' }
    const machine = await registerTrusted({ ...metadata, scope: 'mcp:tools:read mcp:tools:call' })
    const wider = await put(machine, { ...metadata, scope: 'mcp admin mcp:tools:read' })
    expect(await wider.json()).toMatchObject({ grant_types: ['client_credentials'], scope: 'mcp:tools:read' })
    const credentials = basic(machine.client_id, machine.client_secret!)
    const tokens = await server.post('/api/oauth/token', { grant_type: 'client_credentials' }, credentials)
    expect(await tokens.json()).toMatchObject({ scope: 'mcp:tools:read' })
  })

  test.each([
    ['invalid_redirect_uri', { ...APP, grant_types: ['authorization_code'], redirect_uris: ['javascript:alert(1)'] }],
    ['invalid_redirect_uri', { ...APP, grant_types: ['authorization_code'], redirect_uris: ['http://app.example/cb'] }],
    ['invalid_client_metadata', { ...APP, grant_types: ['password'] }],
    ['invalid_client_metadata', [APP]],
  ])('%s for %j, and nothing changes', async (error, metadata) => {
    const client = await register()
    const answer = await put(client, metadata)
    expect([answer.status, await answer.json()]).toEqual([400, { error, error_description: expect.any(String) }])
    expect(await mayRedirect(client, REDIRECT)).toBe(true)
  })
})

describe('DELETE (RFC 7592 2.3)', () => {
  test('ends the client with its tokens and codes, here and on another replica', async () => {
    const client = await register()
    const { access_token, refresh_token } = await deviceTokens(server, client.client_id, ada)
    const proof = pkce()
    const query = new URLSearchParams({
      response_type: 'code',
      client_id: client.client_id,
      redirect_uri: REDIRECT,
      code_challenge: proof.challenge,
      code_challenge_method: 'S256',
    })
    const code = (await consent(server, ada, query.toString())).searchParams.get('code')!
    const replica = await openDeps(
      parseConfig(server.env, () => ''),
      { log: openLog('silent'), serving: false },
    )
    const there = () =>
      Promise.try(verifyAccessToken, replica, access_token).then(
        () => 'alive',
        () => 'refused',
      )
    expect((await rpc(server, access_token, 'tools/list')).status).toBe(200)
    expect(await there()).toBe('alive')

    const answer = await manage('DELETE', client.client_id, client.registration_access_token)
    expect([answer.status, await answer.text()]).toEqual([204, ''])
    expect((await rpc(server, access_token, 'tools/list')).status).toBe(401)
    const forms: Record<string, string>[] = [
      { grant_type: 'refresh_token', refresh_token },
      { grant_type: 'authorization_code', code, code_verifier: proof.verifier },
    ]
    for (const form of forms) {
      const refused = await server.post('/api/oauth/token', { ...form, client_id: client.client_id })
      expect([refused.status, await refused.json()]).toMatchObject([401, { error: 'invalid_client' }])
    }
    expect((await manage('GET', client.client_id, client.registration_access_token)).status).toBe(401)
    while ((await there()) === 'alive') await Bun.sleep(5)
    await replica.close()
  })
})
