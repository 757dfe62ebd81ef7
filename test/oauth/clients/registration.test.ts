import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { DEVICE_CODE_GRANT } from '../../../src/oauth/grants/types.ts'
import { startServer, type TestServer } from '../../support/server.ts'
import payloads from './registrations.json' with { type: 'json' }

const TOKEN = 'an initial access token, 32 characters'

let server: TestServer
beforeAll(async () => {
  server = await startServer({ INITIAL_ACCESS_TOKEN: TOKEN })
})
afterAll(() => server.close())

const register = (body: unknown, headers: Record<string, string> = {}, at: TestServer = server) =>
  at.postJson('/api/oauth/register', body, headers)
type Registered = Record<string, unknown> & {
  client_id: string
  grant_types: string[]
  redirect_uris: string[]
  scope: string
}
const registered = async (body: unknown, headers?: Record<string, string>) => {
  const answer = await register(body, headers)
  expect(answer.status).toBe(201)
  return (await answer.json()) as Registered
}

describe('real clients’ requests register', () => {
  test.each(payloads.map(payload => [payload.client, payload] as const))('%s', async (_, { request, must_yield }) => {
    const client = await registered(request)
    const expected = must_yield as {
      grant_types_include?: string[]
      grant_types_exclude?: string[]
      redirect_uris_include?: string[]
    }
    for (const grant of expected.grant_types_include ?? []) expect(client.grant_types).toContain(grant)
    for (const grant of expected.grant_types_exclude ?? []) expect(client.grant_types).not.toContain(grant)
    for (const uri of expected.redirect_uris_include ?? []) expect(client.redirect_uris).toContain(uri)
  })
})

describe('narrow, don’t reject (RFC 7591 3.2.1)', () => {
  test('the response contains what was registered, and nothing else that was sent', async () => {
    const answer = await register({
      client_name: 'Exact',
      redirect_uris: ['http://localhost:1234/cb'],
      grant_types: ['authorization_code', 'refresh_token', 'password', 5],
      response_types: ['code', 'token'],
      token_endpoint_auth_method: 'none',
      scope: 'mcp:tools:read nonsense',
      client_uri: 'https://exact.example',
      logo_uri: 'http://169.254.169.254/latest/meta-data',
      client_id: 'mine',
      source: 'operator',
      admin: true,
    })
    expect(answer.status).toBe(201)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(await answer.json()).toEqual({
      client_id: expect.stringMatching(/^c_/),
      client_id_issued_at: expect.any(Number),
      client_name: 'Exact',
      redirect_uris: ['http://localhost:1234/cb'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      scope: 'mcp:tools:read mcp:tools:call mcp:resources:read mcp:prompts:read mcp connections:manage offline_access',
      client_uri: 'https://exact.example',
      registration_access_token: expect.stringMatching(/^mra_/),
      registration_client_uri: expect.stringContaining('/api/oauth/register/c_'),
    })
  })

  test('one odd redirect URI does not fail the set', async () => {
    const { redirect_uris } = await registered({
      token_endpoint_auth_method: 'none',
      redirect_uris: ['javascript:alert(1)', 'https://good.example/cb', 7, 'http://plain.example/cb'],
    })
    expect(redirect_uris).toEqual(['https://good.example/cb'])
  })

  test.each([
    'javascript:alert(1)',
    'JavaScript:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:https://x/y',
    'about:blank',
    'filesystem:https://x/',
    'http://app.example/cb',
    'https://app.example/cb#x',
    'https://*.example/cb',
    'https://app.example/*',
    'https://user@app.example/cb',
    'https://user:pw@app.example/cb',
    '/relative',
    'http://localhost.evil.example/cb',
    'http://127.0.0.1.evil.example/',
    'https://app.example/c b',
    'https://app.example\\@evil.example/',
    'http://2130706433/cb',
    'http://0x7f.1/cb',
    'http://LOCALHOST/cb',
    'http://[0:0:0:0:0:0:0:1]/cb',
    'ms-msdt:/id',
    'search-ms:query=x',
    'intent://x#Intent;end',
    'smb://host/share',
    'ssh://host',
    'jar:https://x!/y',
    'myapp:/cb',
    '',
    `https://app.example/${'a'.repeat(3000)}`,
    5,
    null,
  ])('the redirect URI %p alone is refused, with what to change', async uri => {
    const answer = await register({ token_endpoint_auth_method: 'none', redirect_uris: [uri] })
    expect(answer.status).toBe(400)
    expect(await answer.json()).toEqual({
      error: 'invalid_redirect_uri',
      error_description: expect.stringContaining('redirect'),
    })
  })

  test.each(['com.example.app:/callback', 'cursor://anysphere.cursor-mcp/oauth/callback', 'vscode://x.y/callback'])(
    'the private-use scheme of %s is an app’s, which registers without a secret unless it names a method',
    async uri => {
      const metadata = { redirect_uris: [uri] }
      expect(await registered(metadata)).toMatchObject({ token_endpoint_auth_method: 'none', redirect_uris: [uri] })
    },
  )

  test('a private scheme is for public clients only', async () => {
    const answer = await registered({
      token_endpoint_auth_method: 'client_secret_basic',
      redirect_uris: ['cursor://x/cb', 'https://good.example/cb'],
    })
    expect(answer.redirect_uris).toEqual(['https://good.example/cb'])
  })

  test.each([
    ['nothing usable', { grant_types: ['password'] }],
    ['a refresh token alone', { grant_types: ['refresh_token'] }],
    ['machines, anonymously', { grant_types: ['client_credentials'] }],
    [
      'what Gemini CLI sends by itself when its tokens were refused, to which nobody could be sent back,',
      { client_name: 'Gemini CLI (Stored OAuth)', redirect_uris: [], grant_types: [], response_types: [] },
    ],
  ])('%s is invalid_client_metadata', async (_, metadata) => {
    const answer = await register(metadata)
    expect([answer.status, await answer.json()]).toEqual([
      400,
      { error: 'invalid_client_metadata', error_description: expect.any(String) },
    ])
  })

  test.each(['', '{', '[]', '"x"', 'null', '5'])(
    'the body %p is invalid_client_metadata and registers nothing',
    async body => {
      const answer = await fetch(`${server.base.replace('localhost', '127.0.0.1')}/api/oauth/register`, {
        method: 'POST',
        body,
        headers: { 'Content-Type': 'application/json' },
      })
      expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([
        400,
        'invalid_client_metadata',
      ])
    },
  )

  test('a name is plain text: no control or bidi characters, not too long', async () => {
    const { client_name } = await registered({
      token_endpoint_auth_method: 'none',
      redirect_uris: ['https://x.example/cb'],
      client_name: `A\u202egpj.exe\u0007 ${'b'.repeat(200)}`,
    })
    expect(client_name).toBe(`Agpj.exe ${'b'.repeat(71)}`)
  })

  test('a confidential client gets a secret that works at once, and only its hash is stored', async () => {
    const client = await registered({
      grant_types: [DEVICE_CODE_GRANT],
      token_endpoint_auth_method: 'client_secret_post',
    })
    expect(client.client_secret).toMatch(/^mcs_[A-Za-z0-9_-]{43}$/)
    expect(client.client_secret_expires_at).toBe(0)
    const without = await server.post('/api/oauth/device', { client_id: client.client_id, scope: 'mcp' })
    expect(without.status).toBe(401)
    const wrong = await server.post('/api/oauth/device', {
      client_id: client.client_id,
      client_secret: 'x',
      scope: 'mcp',
    })
    expect(wrong.status).toBe(401)
    const right = await server.post('/api/oauth/device', {
      client_id: client.client_id,
      client_secret: String(client.client_secret),
      scope: 'mcp',
    })
    expect(right.status).toBe(200)
  })
})

describe('who may register', () => {
  test('the initial access token allows machines (RFC 7591 3); a wrong one is refused', async () => {
    const metadata = { client_name: 'Machine', grant_types: ['client_credentials'], scope: 'mcp:tools:read' }
    const client = await registered(metadata, { Authorization: `Bearer ${TOKEN}` })
    expect(client).toMatchObject({
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: 'client_secret_basic',
      scope: 'mcp:tools:read',
    })
    const answer = await register(metadata, { Authorization: 'Bearer wrong' })
    expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([401, 'invalid_token'])
  })

  test('repeating an anonymous public registration returns the same client; a different one does not', async () => {
    const metadata = {
      client_name: 'Twice',
      redirect_uris: ['http://localhost/cb'],
      token_endpoint_auth_method: 'none',
    }
    const first = await registered(metadata)
    expect((await registered({ ...metadata, response_types: ['code'] })).client_id).toBe(first.client_id)
    expect((await registered({ ...metadata, client_name: 'Other' })).client_id).not.toBe(first.client_id)
  })

  test('another loopback port is the same registration, since ports are ignored in matching', async () => {
    const metadata = (port: number, path = '/callback') => ({
      client_name: 'Ported',
      token_endpoint_auth_method: 'none',
      redirect_uris: [`http://127.0.0.1:${port}${path}`],
    })
    const first = await registered(metadata(40_001))
    expect((await registered(metadata(40_002))).client_id).toBe(first.client_id)
    expect((await registered(metadata(40_002, '/other'))).client_id).not.toBe(first.client_id)
  })

  test.each<[what: string, body: string, why: string]>([
    [
      'a duplicate member',
      '{"redirect_uris":["https://a.example/cb"],"redirect_uris":["https://b.example/cb"]}',
      'has a duplicate member',
    ],
    ['a nested duplicate member', '{"jwks":{"keys":[{"kty":"EC","kty":"RSA"}]}}', 'has a duplicate member'],
    ['a byte-order mark', '\ufeff{"redirect_uris":["https://a.example/cb"]}', 'is not valid JSON'],
  ])('%s is refused, as parsers read it differently', async (_, body, why) => {
    const answer = await fetch(`${server.base.replace('localhost', '127.0.0.1')}/api/oauth/register`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body,
    })
    expect([answer.status, await answer.json()]).toEqual([
      400,
      { error: 'invalid_client_metadata', error_description: `The registration ${why}` },
    ])
  })

  test('REGISTRATION=token and closed', async () => {
    const guarded = await startServer({ REGISTRATION: 'token', INITIAL_ACCESS_TOKEN: TOKEN })
    const metadata = { token_endpoint_auth_method: 'none', grant_types: [DEVICE_CODE_GRANT] }
    expect((await register(metadata, {}, guarded)).status).toBe(401)
    expect((await register(metadata, { Authorization: `Bearer ${TOKEN}` }, guarded)).status).toBe(201)
    await guarded.close()
    const closed = await startServer({ REGISTRATION: 'closed', INITIAL_ACCESS_TOKEN: TOKEN })
    expect((await register(metadata, { Authorization: `Bearer ${TOKEN}` }, closed)).status).toBe(403)
    expect(await (await closed.get('/.well-known/oauth-authorization-server')).json()).not.toHaveProperty(
      'registration_endpoint',
    )
    await closed.close()
  })
})
