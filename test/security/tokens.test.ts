import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { newSecret, SECRET_KINDS, type SecretKind } from '../../src/lib/crypto.ts'
import { DEVICE_CODE_GRANT } from '../../src/oauth/grants/types.ts'
import { type DocumentHost, startDocumentHost } from '../support/document-host.ts'
import { deviceTokens, registerClient, rpc, signIn, type TokenAnswer } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

let host: DocumentHost
let server: TestServer
let ada: string
let client: string
let tokens: TokenAnswer
beforeAll(async () => {
  host = await startDocumentHost()
  server = await startServer({}, host.outbound)
  ada = await signIn(server)
  client = await registerClient(server)
  tokens = await deviceTokens(server, client, ada, { scope: 'mcp' })
})
afterAll(async () => {
  await server.close()
  host.close()
})

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('a bearer token', () => {
  test('cannot be any other secret that this server issues', async () => {
    const session = ada.split('=')[1]!
    const others = (Object.keys(SECRET_KINDS) as SecretKind[]).map(newSecret)
    for (const secret of [tokens.refresh_token, session, ...others])
      expect([secret.slice(0, 3), (await rpc(server, secret, 'ping')).status]).toEqual([secret.slice(0, 3), 401])
  })

  test.each([
    ['alg none', { alg: 'none', typ: 'at+jwt' }],
    ['HMAC with the public key', { alg: 'HS256', typ: 'at+jwt' }],
    ['another type', { alg: 'ES256', typ: 'JWT' }],
    ['no type', { alg: 'ES256' }],
    ['a key in the header', { alg: 'ES256', typ: 'at+jwt', jwk: { kty: 'EC' } }],
    ['a key address in the header', { alg: 'ES256', typ: 'at+jwt', jku: 'https://evil.example/keys' }],
    ['critical extensions', { alg: 'ES256', typ: 'at+jwt', crit: ['exp'] }],
  ])('with %s is refused', async (_, header) => {
    const [{ kid }] = server.deps.memory.keys.jwks.keys as [{ kid: string }]
    const [, body, signature] = tokens.access_token.split('.')
    for (const sent of [`${part({ kid, ...header })}.${body}.${signature}`, `${part({ kid, ...header })}.${body}.`])
      expect((await rpc(server, sent, 'ping')).status).toBe(401)
  })

  test('signed by another key with our key id is refused', async () => {
    const { privateKey } = await generateKeyPair('ES256')
    const [{ kid }] = server.deps.memory.keys.jwks.keys as [{ kid: string }]
    const claims = JSON.parse(Buffer.from(tokens.access_token.split('.')[1]!, 'base64url').toString())
    const forged = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', typ: 'at+jwt', kid }).sign(privateKey)
    expect((await rpc(server, forged, 'ping')).status).toBe(401)
  })
})

describe('refresh (RFC 6749 6)', () => {
  // What was dropped at the start is ignored now, so `admin` counts only where it stands alone.
  test.each(['mcp:unknown', 'mcp:"><script>', 'admin', 'constructor', 'MCP'])(
    'into the scope %p, which nobody granted or which is none, is refused and costs nothing',
    async scope => {
      const { refresh_token } = await deviceTokens(server, client, ada, { scope: 'mcp' })
      const refresh = (more: Record<string, string>) =>
        server.post('/api/oauth/token', { grant_type: 'refresh_token', client_id: client, refresh_token, ...more })
      const refused = await refresh({ scope })
      expect([refused.status, await refused.json()]).toMatchObject([400, { error: 'invalid_scope' }])
      expect((await refresh({})).status).toBe(200)
    },
  )
})

describe('introspection (RFC 7662 4)', () => {
  test('tells a client with a metadata document nothing about the tokens of others', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
    const id = `https://client.example:${host.port}/keyed.json`
    host.serveJson('/keyed.json', {
      client_id: id,
      grant_types: [DEVICE_CODE_GRANT],
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [await exportJWK(publicKey)] },
    })
    const now = Math.floor(server.deps.now().getTime() / 1000)
    const assertion = await new SignJWT({ iss: id, sub: id, aud: server.base, exp: now + 60, jti: crypto.randomUUID() })
      .setProtectedHeader({ alg: 'ES256' })
      .sign(privateKey)
    const answer = await server.post('/api/oauth/introspect', {
      token: tokens.access_token,
      client_assertion: assertion,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    })
    expect([answer.status, await answer.json()]).toEqual([200, { active: false }])
  })
})
