import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { addClient } from '../../../src/oauth/clients/index.ts'
import { DEVICE_CODE_GRANT } from '../../../src/oauth/grants/types.ts'
import { type DocumentHost, startDocumentHost } from '../../support/document-host.ts'
import { startServer, type TestServer } from '../../support/server.ts'

const TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const TOKEN = 'an initial access token, 32 characters'

let host: DocumentHost
let server: TestServer
let machine: string
let keys: CryptoKeyPair
let strangers: CryptoKeyPair

beforeAll(async () => {
  host = await startDocumentHost()
  server = await startServer({ INITIAL_ACCESS_TOKEN: TOKEN }, host.outbound)
  keys = await generateKeyPair('ES256', { extractable: true })
  strangers = await generateKeyPair('ES256')
  const jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), kty: 'EC' }] }
  machine = (
    await addClient(server.deps, {
      name: 'Signing machine',
      grantTypes: ['client_credentials'],
      redirectUris: [],
      scope: ['mcp'],
      keys: { jwks },
    })
  ).id
})
afterAll(async () => {
  await server.close()
  host.close()
})

interface Changes {
  claims?: Record<string, unknown>
  header?: Record<string, unknown>
  key?: CryptoKey
}

function assertion(
  { claims = {}, header = {}, key = keys.privateKey }: Changes = {},
  client = machine,
): Promise<string> {
  const now = Math.floor(server.deps.now().getTime() / 1000)
  const payload = {
    iss: client,
    sub: client,
    aud: server.base,
    iat: now,
    exp: now + 60,
    jti: crypto.randomUUID(),
    ...claims,
  }
  return new SignJWT(payload).setProtectedHeader({ alg: 'ES256', ...header }).sign(key)
}
const send = (client_assertion: string, more: Record<string, string> = {}) =>
  server.post('/api/oauth/token', {
    grant_type: 'client_credentials',
    client_assertion,
    client_assertion_type: TYPE,
    ...more,
  })

describe('private_key_jwt (RFC 7523)', () => {
  test('a signed assertion authenticates the client, with the issuer or the token endpoint as audience', async () => {
    expect((await send(await assertion())).status).toBe(200)
    expect((await send(await assertion({ claims: { aud: `${server.base}/api/oauth/token` } }))).status).toBe(200)
    expect((await send(await assertion(), { client_id: machine })).status).toBe(200)
  })

  test('works once, even for 10 requests at once', async () => {
    const once = await assertion()
    expect((await send(once)).status).toBe(200)
    expect((await send(once)).status).toBe(401)
    const raced = await assertion()
    const answers = await Promise.all(Array.from({ length: 10 }, () => send(raced)))
    expect(answers.filter(answer => answer.status === 200)).toHaveLength(1)
  })

  test.each<[string, () => Changes]>([
    ['another key', () => ({ key: strangers.privateKey })],
    ['another audience', () => ({ claims: { aud: 'https://elsewhere.example' } })],
    ['another subject', () => ({ claims: { sub: 'c_other' } })],
    ['no jti', () => ({ claims: { jti: undefined } })],
    ['no exp', () => ({ claims: { exp: undefined } })],
    ['an exp in the past', () => ({ claims: { exp: Math.floor(server.deps.now().getTime() / 1000) - 60 } })],
    ['an exp far away', () => ({ claims: { exp: Math.floor(server.deps.now().getTime() / 1000) + 86_400 } })],
  ])('refuses an assertion with %s', async (_, changes) => {
    server.clock.advance(301)
    const answer = await send(await assertion(changes()), { client_id: machine })
    expect([answer.status, await answer.json()]).toEqual([
      401,
      { error: 'invalid_client', error_description: expect.any(String) },
    ])
  })

  test('refuses alg none, the public key as an HMAC secret, and keys in the header', async () => {
    const now = Math.floor(server.deps.now().getTime() / 1000)
    const claims = { iss: machine, sub: machine, aud: server.base, exp: now + 60, jti: 'x' }
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const hmac = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256' })
      .sign(Buffer.from(JSON.stringify(await exportJWK(keys.publicKey))))
    const embedded = await assertion({
      key: strangers.privateKey,
      header: { jwk: await exportJWK(strangers.publicKey) },
    })
    const pointed = await assertion({
      key: strangers.privateKey,
      header: { jku: `https://keys.example:${host.port}/keys.json` },
    })
    const before = host.lookups
    for (const bad of [`${encode({ alg: 'none' })}.${encode(claims)}.`, hmac, embedded, pointed, 'x', 'a.b.c']) {
      expect((await send(bad, { client_id: machine })).status).toBe(401)
    }
    expect(host.lookups).toBe(before)
  })

  test('two authentication methods at once, or another assertion type, is invalid_request', async () => {
    const secret = await send(await assertion(), { client_id: machine, client_secret: 'x' })
    const type = await send(await assertion(), { client_assertion_type: 'saml' })
    expect([secret.status, type.status]).toEqual([400, 400])
  })

  test('a client with keys cannot authenticate by its id alone or by a secret', async () => {
    expect(
      (await server.post('/api/oauth/token', { grant_type: 'client_credentials', client_id: machine })).status,
    ).toBe(401)
    expect(
      (
        await server.post('/api/oauth/token', {
          grant_type: 'client_credentials',
          client_id: machine,
          client_secret: '',
        })
      ).status,
    ).toBe(401)
  })

  test('keys may be registered, or published at a URL that is fetched safely', async () => {
    host.serveJson('/keys.json', { keys: [await exportJWK(keys.publicKey)] })
    const metadata = {
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: 'private_key_jwt',
      jwks_uri: `https://keys.example:${host.port}/keys.json`,
    }
    const registered = await server.postJson('/api/oauth/register', metadata, { Authorization: `Bearer ${TOKEN}` })
    const { client_id, token_endpoint_auth_method } = (await registered.json()) as Record<string, string>
    expect(token_endpoint_auth_method).toBe('private_key_jwt')
    expect((await send(await assertion({}, client_id))).status).toBe(200)
  })

  test('a published private key is not accepted', async () => {
    const jwks = { keys: [await exportJWK(keys.privateKey)] }
    const registered = await server.postJson('/api/oauth/register', {
      grant_types: [DEVICE_CODE_GRANT],
      token_endpoint_auth_method: 'private_key_jwt',
      keys: { jwks },
    })
    expect(await registered.json()).toMatchObject({ token_endpoint_auth_method: 'none' })
  })

  test('only short, flat members of registered keys are kept; a URL with a user name is refused', async () => {
    const register = async (more: Record<string, unknown>) =>
      (await (
        await server.postJson('/api/oauth/register', {
          grant_types: [DEVICE_CODE_GRANT],
          token_endpoint_auth_method: 'private_key_jwt',
          ...more,
        })
      ).json()) as Record<string, unknown>
    const key = await exportJWK(keys.publicKey)
    const odd = { ...key, x5c: ['AA'], extra: { deep: [[[]]] } }
    expect(await register({ jwks: { keys: [odd] } })).toMatchObject({ jwks: { keys: [key] } })
    const nested = JSON.parse(`${'['.repeat(5000)}${']'.repeat(5000)}`)
    for (const bad of [
      { jwks: { keys: [{ ...key, kid: nested }] } },
      { jwks_uri: 'https://a:b@keys.example/keys.json' },
    ])
      expect(await register(bad)).toMatchObject({ token_endpoint_auth_method: 'none' })
  })
})
