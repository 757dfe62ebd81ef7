import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { DEVICE_CODE_GRANT } from '../../src/oauth/grants/types.ts'
import { type DocumentHost, startDocumentHost } from '../support/document-host.ts'
import { sendSignInForm } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

let host: DocumentHost
let server: TestServer
beforeAll(async () => {
  host = await startDocumentHost()
  server = await startServer({}, host.outbound)
})
afterAll(async () => {
  await server.close()
  host.close()
})
beforeEach(() => server.clock.advance(601)) // away from the limits of the tests before

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const unsigned = (claims: Record<string, unknown>, alg = 'ES256') =>
  `${part({ alg })}.${part({ aud: server.base, exp: Math.floor(server.deps.now().getTime() / 1000) + 60, jti: 'x', ...claims })}.${'A'.repeat(86)}`
const prove = (client_assertion: string) =>
  server.post('/api/oauth/token', {
    grant_type: DEVICE_CODE_GRANT,
    device_code: 'x',
    client_assertion,
    client_assertion_type: TYPE,
  })
const register = async (keys: Record<string, unknown>) =>
  (await (
    await server.postJson('/api/oauth/register', {
      grant_types: [DEVICE_CODE_GRANT],
      token_endpoint_auth_method: 'private_key_jwt',
      ...keys,
    })
  ).json()) as { client_id: string; token_endpoint_auth_method: string }
const auditRows = async () => {
  await server.deps.audit.flush()
  return (await server.deps.sql<{ n: number }[]>`select count(*)::int as n from audit_events`)[0]!.n
}

describe('a client', () => {
  const secretOf = async (method: string) =>
    (await (
      await server.postJson('/api/oauth/register', {
        grant_types: [DEVICE_CODE_GRANT],
        token_endpoint_auth_method: method,
      })
    ).json()) as { client_id: string; client_secret: string }
  const poll = { grant_type: DEVICE_CODE_GRANT, device_code: 'x' }

  test.each(['client_secret_basic', 'client_secret_post'])(
    'registered for %s may send its secret either way',
    async method => {
      const { client_id, client_secret } = await secretOf(method)
      const answers = [
        await server.post('/api/oauth/token', { ...poll, client_id, client_secret }),
        await server.post('/api/oauth/token', poll, {
          Authorization: `Basic ${btoa(`${client_id}:${client_secret}`)}`,
        }),
      ]
      for (const answer of answers)
        expect([answer.status, await answer.json()]).toMatchObject([400, { error: 'invalid_grant' }])
    },
  )

  test('without a secret is not locked out by a neighbor that sends one', async () => {
    const { client_id } = (await (
      await server.postJson('/api/oauth/register', {
        client_name: 'Public',
        grant_types: [DEVICE_CODE_GRANT],
        token_endpoint_auth_method: 'none',
      })
    ).json()) as { client_id: string }
    for (let i = 0; i < 30; i++) {
      const answer = await server.post('/api/oauth/token', { ...poll, client_id, client_secret: `guess ${i}` })
      expect(answer.status).toBe(401)
    }
    const answer = await server.post('/api/oauth/token', { ...poll, client_id })
    expect([answer.status, await answer.json()]).toMatchObject([400, { error: 'invalid_grant' }])
  })

  test.each(['Basic', 'Basic ', 'basic  '])('that sends %j alone is told how to authenticate', async header => {
    const answer = await server.post('/api/oauth/token', poll, { Authorization: header })
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Basic realm="oauth"'])
  })
})

describe('an invalid assertion (RFC 7523 3)', () => {
  test.each([[5], [null], [{}], [['a']], ['']])('from the issuer %j names no client', async iss => {
    const answer = await prove(unsigned({ iss, sub: iss }))
    expect([400, 401]).toContain(answer.status)
    expect(['invalid_request', 'invalid_client']).toContain(((await answer.json()) as { error: string }).error)
  })

  test.each([
    ['a point off the curve', { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' }, 'ES256'],
    ['an unknown curve', { kty: 'EC', crv: 'P-999', x: 'AA', y: 'AA' }, 'ES256'],
    ['no members', { kty: 'EC' }, 'ES256'],
    ['a tiny modulus', { kty: 'RSA', n: 'AQ', e: 'AQ' }, 'RS256'],
    ['a short Edwards key', { kty: 'OKP', crv: 'Ed25519', x: 'A' }, 'EdDSA'],
    ['an RSA key for PS256', { kty: 'RSA', n: 'AA', e: 'AA' }, 'PS256'],
  ])('against %s is refused like any other', async (_, key, alg) => {
    const { client_id } = await register({ jwks: { keys: [key] } })
    const answer = await prove(unsigned({ iss: client_id, sub: client_id }, alg))
    expect([answer.status, await answer.json()]).toMatchObject([401, { error: 'invalid_client' }])
  })

  test.each(['\u0000', '\ud800', '\u202e'])('a key id %j is not stored', async kid => {
    expect(await register({ jwks: { keys: [{ kty: 'EC', kid }] } })).toMatchObject({
      token_endpoint_auth_method: 'none',
    })
  })
})

describe('what strangers can make the server do', () => {
  test('key set fetches caused by one network are limited: 429 with Retry-After', async () => {
    const before = host.connections
    let last = new Response()
    for (let i = 0; i < 4; i++) {
      const jwks_uri = `https://keys.example:${host.port}/none-${i}.json`
      const { client_id } = await register({ jwks_uri })
      for (let j = 0; j < 19; j++) last = await prove(unsigned({ iss: client_id, sub: client_id }))
    }
    expect(host.connections - before).toBe(30)
    expect([last.status, Number(last.headers.get('retry-after')) > 0, await last.json()]).toMatchObject([
      429,
      true,
      { error: 'slow_down' },
    ])
  })

  test('repeated refusals are one row of the audit log in ten minutes', async () => {
    const before = await auditRows()
    for (let i = 0; i < 150; i++)
      expect((await server.post('/api/oauth/token', { grant_type: 'x', client_id: `unknown${i}` })).status).toBe(401)
    for (let i = 0; i < 30; i++)
      expect((await sendSignInForm(server, '/auth/signin/link', { token: `unknown${i}` })).status).toBe(403)
    expect((await auditRows()) - before).toBe(2)
    server.clock.advance(601)
    await server.post('/api/oauth/token', { grant_type: 'x', client_id: 'unknown' })
    expect((await auditRows()) - before).toBe(3)
  })

  test('a 429 page says when to try again', async () => {
    const request = (i: number) =>
      server.get(
        `/api/oauth/authorize?client_id=${encodeURIComponent(`https://client.example:${host.port}/none-${i}.json`)}`,
        { Accept: 'text/html' },
      )
    let last = await request(0)
    for (let i = 1; i <= 60; i++) last = await request(i)
    expect([last.status, last.headers.get('content-type')]).toEqual([429, 'text/html; charset=utf-8'])
    expect(Number(last.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await last.text()).toMatch(
      /<h1>Please wait<\/h1><p>Too many requests; try again in \d+ (minutes|seconds)\.<\/p>/,
    )
  })
})
