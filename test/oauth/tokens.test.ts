import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose'
import { addClient, removeClient } from '../../src/oauth/clients/index.ts'
import { rotateKeys } from '../../src/oauth/keys.ts'
import {
  basic,
  DEVICE_CODE_GRANT,
  deviceTokens,
  registerClient,
  rpc,
  signIn,
  type TokenAnswer,
} from '../support/flows.ts'
import { RACES, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let client: string
let ada: string
let machine: { id: string; secret: string }

beforeAll(async () => {
  server = await startServer({ TRUSTED_PROXIES: '127.0.0.1' })
  client = await registerClient(server)
  ada = await signIn(server)
  const { id, secret } = await addClient(server.deps, {
    name: 'Machine',
    grantTypes: ['client_credentials'],
    redirectUris: [],
    scope: ['mcp:tools:read', 'mcp:tools:call'],
  })
  machine = { id, secret: secret! }
})
afterAll(() => server.close())

const credentials = (
  form: Record<string, string> = {},
  headers: Record<string, string> = basic(machine.id, machine.secret),
) => server.post('/api/oauth/token', { grant_type: 'client_credentials', ...form }, headers)
const body = async <T = Record<string, unknown>>(answer: Promise<Response> | Response) =>
  (await (await answer).json()) as T
const alive = async (token: string) => (await rpc(server, token, 'tools/list')).status === 200

describe('client credentials (RFC 6749 4.4) and client authentication (RFC 6749 2.3.1)', () => {
  test('with Basic, encoded or not, or in the body, form or JSON, a machine gets a token and no refresh token', async () => {
    const encoded = basic(encodeURIComponent(machine.id), encodeURIComponent(machine.secret))
    const inBody = { client_id: machine.id, client_secret: machine.secret }
    const answers = [
      await credentials(),
      await credentials({}, encoded),
      await credentials(inBody, {}),
      await server.postJson('/api/oauth/token', {
        grantType: 'client_credentials',
        clientId: machine.id,
        clientSecret: machine.secret,
        scope: ['mcp:tools:read', 'mcp:tools:call'],
      }),
    ]
    for (const answer of answers) {
      expect(answer.status).toBe(200)
      const tokens = await body<TokenAnswer>(answer)
      expect(tokens).toEqual({
        access_token: expect.any(String),
        token_type: 'Bearer',
        expires_in: 3600,
        scope: 'mcp:tools:read mcp:tools:call',
      } as never)
      expect(await alive(tokens.access_token)).toBe(true)
    }
  })

  test('validate confirms the token and rejects everything else', async () => {
    const { access_token } = await body<TokenAnswer>(credentials({ scope: 'mcp:tools:read' }))
    const valid = {
      valid: true,
      clientId: machine.id,
      client_id: machine.id,
      scope: 'mcp:tools:read',
      resource: `${server.base}/mcp`,
      expiresAt: expect.any(String),
      exp: expect.any(Number),
    }
    const asked = await server.post('/api/oauth/validate', {}, { Authorization: `Bearer ${access_token}` })
    expect([asked.status, await asked.json()]).toEqual([200, valid])
    expect(await body(server.postJson('/api/oauth/validate', { token: access_token }))).toEqual(valid)
    for (const answer of [
      await server.post('/api/oauth/validate', {}, { Authorization: 'Bearer x' }),
      await server.postJson('/api/oauth/validate', { token: machine.secret }),
      await server.postJson('/api/oauth/validate', {}),
    ]) {
      expect([answer.status, await answer.json()]).toEqual([401, { valid: false, error: 'invalid_token' }])
    }
  })

  test('an unknown client and a wrong secret get the same answer, with a challenge if Basic was used', async () => {
    const wrong = await credentials({}, basic(machine.id, 'wrong'))
    const unknown = await credentials({}, basic('c_nobody', 'wrong'))
    expect([wrong.status, wrong.headers.get('www-authenticate')]).toEqual([401, 'Basic realm="oauth"'])
    expect([unknown.status, unknown.headers.get('www-authenticate')]).toEqual([401, 'Basic realm="oauth"'])
    expect(await wrong.text()).toBe(await unknown.text())
    const inBody = await credentials({ client_id: machine.id, client_secret: 'wrong' }, {})
    expect([inBody.status, inBody.headers.get('www-authenticate')]).toEqual([401, null])
  })

  test.each([
    ['nobody', {}, {}, 401, 'invalid_client'],
    ['an empty secret', { client_id: 'MACHINE', client_secret: '' }, {}, 401, 'invalid_client'],
    ['a secret for a public client', { client_id: 'CLIENT', client_secret: 'x' }, {}, 401, 'invalid_client'],
    ['a secret without an id', { client_secret: 'x' }, {}, 400, 'invalid_request'],
    ['two ways at once', { client_secret: 'SECRET' }, 'BASIC', 400, 'invalid_request'],
    ['another id in the body', { client_id: 'CLIENT' }, 'BASIC', 400, 'invalid_request'],
    ['Basic that is not base64', {}, { Authorization: 'Basic §' }, 401, 'invalid_client'],
    ['Basic without a colon', {}, { Authorization: `Basic ${btoa('abc')}` }, 401, 'invalid_client'],
    ['a public client', { client_id: 'CLIENT' }, {}, 400, 'unauthorized_client'],
    ['a wider scope only', { scope: 'admin' }, 'BASIC', 400, 'invalid_scope'],
    ['a foreign resource', { resource: 'https://elsewhere.example' }, 'BASIC', 400, 'invalid_target'],
    ['no grant type', { grant_type: '' }, 'BASIC', 400, 'invalid_request'],
    ['an unknown grant type', { grant_type: 'password' }, 'BASIC', 400, 'unsupported_grant_type'],
    [
      'a grant type it is not registered for',
      { grant_type: 'refresh_token', refresh_token: 'x' },
      'BASIC',
      400,
      'unauthorized_client',
    ],
  ])('refuses %s', async (_, form, headers, status, error) => {
    const filled = Object.fromEntries(
      Object.entries(form).map(([key, value]) => [
        key,
        String(value).replace('MACHINE', machine.id).replace('CLIENT', client).replace('SECRET', machine.secret),
      ]),
    )
    const answer = await credentials(
      filled,
      headers === 'BASIC' ? basic(machine.id, machine.secret) : (headers as Record<string, string>),
    )
    expect([answer.status, await answer.json()]).toEqual([status, { error, error_description: expect.any(String) }])
  })
})

describe('access tokens (RFC 9068)', () => {
  test('are signed JWTs of type at+jwt that the published key set verifies', async () => {
    const { access_token } = await deviceTokens(server, client, ada)
    const jwks = await body<JSONWebKeySet>(server.get('/.well-known/jwks.json'))
    for (const key of jwks.keys) expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
    const { payload, protectedHeader } = await jwtVerify(access_token, createLocalJWKSet(jwks), {
      issuer: server.base,
      audience: `${server.base}/mcp`,
      typ: 'at+jwt',
    })
    expect(protectedHeader).toEqual({ alg: 'ES256', typ: 'at+jwt', kid: jwks.keys[0]!.kid! })
    expect(payload).toMatchObject({
      client_id: client,
      scope: 'mcp:tools:read mcp:tools:call',
      jti: expect.any(String),
      sub: expect.any(String),
    })
    expect(payload.exp! - payload.iat!).toBe(3600)
  })

  test('a new key is published for the cache lifetime of the key set before it signs; tokens of the old key stay valid', async () => {
    const published = async () => {
      const answer = await server.get('/.well-known/jwks.json')
      expect(answer.headers.get('cache-control')).toBe('public, max-age=300')
      return (await body<{ keys: { kid: string }[] }>(answer)).keys.map(key => key.kid)
    }
    const kidOf = (tokens: TokenAnswer) => decodeProtectedHeader(tokens.access_token).kid!
    const before = await deviceTokens(server, client, ada)
    const { kid } = await rotateKeys(server.deps)
    while ((await published()).length < 2) await Bun.sleep(5)
    expect(await published()).toEqual([kid, kidOf(before)])
    server.clock.advance(298)
    expect(kidOf(await deviceTokens(server, client, ada))).toBe(kidOf(before))
    server.clock.advance(2)
    const after = await deviceTokens(server, client, ada)
    expect(kidOf(after)).toBe(kid)
    expect([await alive(before.access_token), await alive(after.access_token)]).toEqual([true, true])
    expect(await published()).toEqual([kid, kidOf(before)])
  })
})

describe('refresh (RFC 6749 6, RFC 9700 4.14.2)', () => {
  const refresh = (refresh_token: string, form: Record<string, string> = {}, headers: Record<string, string> = {}) =>
    server.post('/api/oauth/token', { grant_type: 'refresh_token', client_id: client, refresh_token, ...form }, headers)
  const from = (address: string, agent: string) => ({ 'X-Forwarded-For': address, 'User-Agent': agent })
  const LAPTOP = from('203.0.113.7', 'some-cli/2.0.1 (linux)')
  const eventsOf = async ({ access_token }: TokenAnswer) => {
    await server.deps.audit.flush()
    const rows = await server.deps.sql<{ event: string }[]>`
      select event from audit_events
      where grant_id = ${String(decodeJwt(access_token).grant_id)} and event <> 'device.fetched'
      order by id`
    return rows.map(row => row.event)
  }

  test('rotates on every use', async () => {
    const first = await deviceTokens(server, client, ada)
    const second = await body<TokenAnswer>(refresh(first.refresh_token))
    expect(second).toEqual({
      access_token: expect.any(String),
      token_type: 'Bearer',
      expires_in: 3600,
      refresh_token: expect.stringMatching(/^mrt_/),
      scope: first.scope,
    })
    expect(second.refresh_token).not.toBe(first.refresh_token)
    const third = await refresh(second.refresh_token)
    expect(third.status).toBe(200)
  })

  test('a retry within 30 seconds gets the same successor, from anywhere', async () => {
    const first = await deviceTokens(server, client, ada)
    const second = await body<TokenAnswer>(refresh(first.refresh_token))
    server.clock.advance(29)
    const retried = await body<TokenAnswer>(refresh(first.refresh_token, {}, LAPTOP))
    expect(retried.refresh_token).toBe(second.refresh_token)
    expect(await eventsOf(first)).toEqual(['refresh.rotated', 'refresh.retried'])
  })

  const REFUSED = {
    error: 'invalid_grant',
    error_description: 'The refresh token is unknown, expired or was revoked; sign in again',
  }

  test.each([
    ['the same program', LAPTOP],
    ['an older version of it', from('203.0.113.7', 'some-cli/1.12.0-beta.3 (linux)')],
  ])('reuse after that by a process that slept (%s, same network) is refused and ends nothing', async (_, sleeper) => {
    const first = await deviceTokens(server, client, ada)
    const second = await body<TokenAnswer>(refresh(first.refresh_token, {}, LAPTOP))
    server.clock.advance(31)
    for (let i = 0; i < 2; i++) {
      const answer = await refresh(first.refresh_token, {}, sleeper)
      expect([answer.status, await body(answer)]).toEqual([400, REFUSED])
    }
    expect(await alive(second.access_token)).toBe(true)
    expect((await refresh(second.refresh_token, {}, LAPTOP)).status).toBe(200)
    // What can be repeated freely is one row in ten minutes.
    expect(await eventsOf(first)).toEqual(['refresh.rotated', 'refresh.stale'])
  })

  test.each([
    ['another network', from('203.0.113.8', 'some-cli/2.0.1 (linux)')],
    ['another program', from('203.0.113.7', 'thief/2.0.1 (linux)')],
    ['no program', from('203.0.113.7', '')],
  ])('reuse after that from elsewhere (%s) is theft: the family ends', async (_, thief) => {
    const first = await deviceTokens(server, client, ada)
    const second = await body<TokenAnswer>(refresh(first.refresh_token, {}, LAPTOP))
    server.clock.advance(31)
    expect(await body(refresh(first.refresh_token, { scope: 'nonsense' }, thief))).toEqual(REFUSED)
    expect(await alive(second.access_token)).toBe(false)
    expect(await body(refresh(second.refresh_token, {}, LAPTOP))).toEqual(REFUSED)
    expect(await eventsOf(first)).toEqual(['refresh.rotated', 'refresh.reused', 'grant.revoked', 'refresh.refused'])
  })

  test('what counts is where the family was last refreshed from, not where it began', async () => {
    const first = await deviceTokens(server, client, ada)
    const second = await body<TokenAnswer>(refresh(first.refresh_token, {}, LAPTOP))
    const moved = from('198.51.100.4', 'some-cli/2.0.1 (linux)')
    const third = await body<TokenAnswer>(refresh(second.refresh_token, {}, moved))
    server.clock.advance(31)
    expect(await body(refresh(first.refresh_token, {}, moved))).toEqual(REFUSED)
    expect(await alive(third.access_token)).toBe(true)
    expect(await body(refresh(first.refresh_token, {}, LAPTOP))).toEqual(REFUSED)
    expect(await alive(third.access_token)).toBe(false)
  })

  test('the grace period covers one generation: an older token gets nothing, even within 30 seconds', async () => {
    const first = await deviceTokens(server, client, ada)
    const second = await body<TokenAnswer>(refresh(first.refresh_token, {}, LAPTOP))
    const third = await body<TokenAnswer>(refresh(second.refresh_token, {}, LAPTOP))
    expect(await body(refresh(first.refresh_token, {}, LAPTOP))).toEqual(REFUSED)
    expect(await body<TokenAnswer>(refresh(second.refresh_token, {}, LAPTOP))).toMatchObject({
      refresh_token: third.refresh_token,
    })
    expect((await refresh(third.refresh_token, {}, LAPTOP)).status).toBe(200)
    expect(await body(refresh(first.refresh_token, {}, from('192.0.2.1', 'thief')))).toEqual(REFUSED)
    expect(await alive(third.access_token)).toBe(false)
  })

  test('20 parallel refreshes of one token always get one successor and sign nobody out', async () => {
    for (let round = 0; round < RACES; round++) {
      const { refresh_token } = await deviceTokens(server, client, ada)
      const answers = await Promise.all(
        Array.from({ length: 20 }, async () => {
          let answer = await refresh(refresh_token)
          while (answer.status === 503) answer = await refresh(refresh_token)
          return (await answer.json()) as TokenAnswer
        }),
      )
      expect(new Set(answers.map(answer => answer.refresh_token)).size).toBe(1)
      expect((await refresh(answers[0]!.refresh_token)).status).toBe(200)
    }
  })

  test('of connections that refresh at the same moment each gets its own tokens, and an ended one none', async () => {
    const before: TokenAnswer[] = []
    for (let n = 0; n < 4; n++) before.push(await deviceTokens(server, client, ada))
    await server.post('/api/oauth/revoke', { client_id: client, token: before[3]!.refresh_token })
    const presented = [...before.map(({ refresh_token }) => refresh_token), `mrt_${'A'.repeat(43)}`]
    const answers = await Promise.all(presented.map(token => body<TokenAnswer>(refresh(token))))
    const grantOf = ({ access_token }: TokenAnswer) => access_token && decodeJwt(access_token).grant_id
    expect(answers.map(grantOf)).toEqual([...before.slice(0, 3).map(grantOf), undefined, undefined])
    for (const { refresh_token } of answers.slice(0, 3)) expect((await refresh(refresh_token)).status).toBe(200)
  })

  test('connections that refresh while their client is removed end, and none waits for another', async () => {
    for (let round = 0; round < 5; round++) {
      const removed = await registerClient(server, { client_name: `Removed ${round}` })
      const tokens: string[] = []
      for (let n = 0; n < 4; n++) tokens.push((await deviceTokens(server, removed, ada)).refresh_token)
      const refreshed = tokens.map(token => refresh(token, { client_id: removed }))
      await removeClient(server.deps, removed)
      for (const answer of refreshed) expect([200, 400, 401]).toContain((await answer).status)
      expect((await refresh(tokens[0]!, { client_id: removed })).status).toBe(401)
    }
  })

  test('may narrow the scope, never widen it; a wrong scope, resource or client does no harm', async () => {
    const { refresh_token } = await deviceTokens(server, client, ada)
    const other = await registerClient(server, { client_name: 'Other' })
    expect(await body(refresh(refresh_token, { scope: 'mcp' }))).toMatchObject({ error: 'invalid_scope' })
    expect(await body(refresh(refresh_token, { resource: `${server.base}/api/sse` }))).toMatchObject({
      error: 'invalid_target',
    })
    expect(await body(refresh(refresh_token, { client_id: other }))).toMatchObject({ error: 'invalid_grant' })
    expect(await body(refresh(refresh_token, { scope: 'no_such_scope' }))).toMatchObject({ error: 'invalid_scope' })
    // Unknown words are ignored, as they were at the start.
    const narrowed = await body<TokenAnswer>(refresh(refresh_token, { scope: 'mcp:tools:read openid no_such_scope' }))
    expect(narrowed.scope).toBe('mcp:tools:read')
    expect(await body(refresh(narrowed.refresh_token))).toMatchObject({ scope: 'mcp:tools:read mcp:tools:call' })
  })

  test('ignores scopes that were dropped at the start: admin, unknown ones, and those the client may not have', async () => {
    const { id } = await addClient(server.deps, {
      name: 'Reader',
      grantTypes: [DEVICE_CODE_GRANT, 'refresh_token'],
      redirectUris: [],
      scope: ['mcp:tools:read', 'admin'],
    })
    const scope = 'mcp:tools:read mcp:tools:call admin no_such_scope openid'
    const tokens = await deviceTokens(server, id, ada, { scope })
    expect(tokens.scope).toBe('mcp:tools:read')
    const again = await body<TokenAnswer>(refresh(tokens.refresh_token, { client_id: id, scope }))
    expect(again.scope).toBe('mcp:tools:read')
    expect(await body(refresh(again.refresh_token, { client_id: id, scope: 'admin' }))).toMatchObject({
      error: 'invalid_scope',
    })
  })

  test('expires after 30 idle days; rotation does not extend the grant’s 90 days', async () => {
    const idle = await deviceTokens(server, client, ada)
    server.clock.advance(30 * 86_400 + 1)
    expect(await body(refresh(idle.refresh_token))).toMatchObject({ error: 'invalid_grant' })
    ada = await signIn(server)
    let current = await deviceTokens(server, client, ada)
    for (let month = 0; month < 3; month++) {
      server.clock.advance(29.9 * 86_400)
      current = await body<TokenAnswer>(refresh(current.refresh_token))
    }
    server.clock.advance(86_400)
    expect(await body(refresh(current.refresh_token))).toMatchObject({ error: 'invalid_grant' })
    ada = await signIn(server)
  })

  test('ends with its user and with its client', async () => {
    const bob = await signIn(server, 'bob@example.com')
    const tokens = await deviceTokens(server, client, bob)
    await server.deps.sql`update users set disabled_at = ${server.deps.now()} where email = 'bob@example.com'`
    expect(await body(refresh(tokens.refresh_token))).toMatchObject({ error: 'invalid_grant' })
    const doomed = await registerClient(server, { client_name: 'Doomed' })
    const its = await deviceTokens(server, doomed, ada)
    await removeClient(server.deps, doomed)
    expect(await alive(its.access_token)).toBe(false)
    expect((await refresh(its.refresh_token, { client_id: doomed })).status).toBe(401)
  })
})

describe('revocation (RFC 7009) and introspection (RFC 7662)', () => {
  const revoke = (token: string, id = client) => server.post('/api/oauth/revoke', { client_id: id, token })
  const introspect = (token: string, headers: Record<string, string> = basic(machine.id, machine.secret)) =>
    server.post('/api/oauth/introspect', { token }, headers)

  test('revoking either token ends the grant at once; another client cannot; an unknown token gets 200', async () => {
    const other = await registerClient(server, { client_name: 'Other' })
    for (const kind of ['access_token', 'refresh_token'] as const) {
      const tokens = await deviceTokens(server, client, ada)
      expect((await revoke(tokens[kind], other)).status).toBe(200)
      expect(await alive(tokens.access_token)).toBe(true)
      expect((await revoke(tokens[kind])).status).toBe(200)
      expect(await alive(tokens.access_token)).toBe(false)
      expect(
        (
          await server.post('/api/oauth/token', {
            grant_type: 'refresh_token',
            client_id: client,
            refresh_token: tokens.refresh_token,
          })
        ).status,
      ).toBe(400)
    }
    expect((await revoke('nonsense')).status).toBe(200)
    expect((await server.post('/api/oauth/revoke', { token: 'x' })).status).toBe(401)
    expect((await server.post('/api/oauth/revoke', { client_id: client })).status).toBe(400)
  })

  test('revoking a machine’s token ends only that token', async () => {
    const [one, two] = [await body<TokenAnswer>(credentials()), await body<TokenAnswer>(credentials())]
    expect(
      (await server.post('/api/oauth/revoke', { token: one.access_token }, basic(machine.id, machine.secret))).status,
    ).toBe(200)
    expect([await alive(one.access_token), await alive(two.access_token)]).toEqual([false, true])
  })

  test('introspection describes an active token to a confidential client, and nothing to anybody else', async () => {
    const { access_token, refresh_token } = await deviceTokens(server, client, ada)
    const answer = await introspect(access_token)
    const claims = decodeJwt(access_token)
    expect([answer.status, await answer.json()]).toEqual([
      200,
      {
        active: true,
        token_type: 'Bearer',
        scope: 'mcp:tools:read mcp:tools:call',
        client_id: client,
        sub: claims.sub,
        aud: `${server.base}/mcp`,
        iss: server.base,
        iat: claims.iat,
        exp: claims.exp,
        jti: claims.jti,
      },
    ])
    expect((await introspect(access_token, {})).status).toBe(401)
    expect((await server.post('/api/oauth/introspect', { client_id: client, token: access_token })).status).toBe(401)
    await revoke(access_token)
    for (const token of [access_token, refresh_token, machine.secret, 'x'])
      expect(await body(introspect(token))).toEqual({ active: false })
  })

  test('a client that registered itself can introspect only its own tokens', async () => {
    const stranger = (await body<Record<string, string>>(
      server.postJson('/api/oauth/register', {
        grant_types: ['authorization_code'],
        redirect_uris: ['https://x.example/cb'],
      }),
    )) as { client_id: string; client_secret: string }
    const { access_token } = await deviceTokens(server, client, ada)
    expect(await body(introspect(access_token, basic(stranger.client_id, stranger.client_secret)))).toEqual({
      active: false,
    })
  })
})
