import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { generateKeyPair } from 'jose'
import { openProviders } from '../../src/signin/providers.ts'
import {
  type FakeProvider,
  type Misbehaviour,
  signed,
  signInAtFake,
  startFakeProvider,
} from '../support/fake-openid-provider.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { count, expectRefusal, isSignedIn, TITLES } from '../support/signin.ts'
import { openBrowser } from '../support/user-agent.ts'

let fake: FakeProvider
let server: TestServer
let otherKey: CryptoKey

beforeAll(async () => {
  fake = await startFakeProvider(() => server.deps.now())
  server = await startServer({ ...fake.env, ALLOWED_DOMAINS: 'example.com' })
  otherKey = (await generateKeyPair('RS256')).privateKey
}, 30_000)
afterAll(async () => {
  await server.close()
  await fake.stop()
})

/** As after a restart: nothing about the provider is cached. */
function forget(): void {
  Object.assign(server.deps, { providers: openProviders(server.deps.config) })
}

const now = () => Math.floor(server.deps.now().getTime() / 1000)

describe('the provider’s answer is refused (OpenID Connect Core 3.1.3.7, RFC 8725)', () => {
  const unsigned = (claims: Record<string, unknown>, alg: string) =>
    `${Buffer.from(JSON.stringify({ alg })).toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`

  const cases: [string, () => Misbehaviour][] = [
    ['a wrong nonce', () => ({ claims: { nonce: 'of-another-trip' } })],
    ['no nonce', () => ({ claims: { nonce: undefined } })],
    ['another audience', () => ({ claims: { aud: 'somebody-else' } })],
    ['no audience', () => ({ claims: { aud: undefined } })],
    ['several audiences, for another party', () => ({ claims: { aud: ['us', 'them'], azp: 'them' } })],
    ['several audiences, for nobody in particular', () => ({ claims: { aud: ['us', 'them'] } })],
    ['another issuer', () => ({ claims: { iss: 'https://elsewhere.example' } })],
    ['no issuer', () => ({ claims: { iss: undefined } })],
    ['an id token that has expired', () => ({ claims: { iat: now() - 600, exp: now() - 61 } })],
    ['an id token without an end', () => ({ claims: { exp: undefined } })],
    ['an id token that is not valid yet', () => ({ claims: { nbf: now() + 300 } })],
    ['no subject', () => ({ claims: { sub: undefined } })],
    ['an empty subject', () => ({ claims: { sub: '' } })],
    ['a subject with a NUL', () => ({ claims: { sub: 'a\u0000b' } })],
    ['an endless subject', () => ({ claims: { sub: 'a'.repeat(256) } })],
    ['a subject that is a number', () => ({ claims: { sub: 7 } })],
    ['an address that is not one', () => ({ claims: { email: 'example.com' } })],
    ['an address with a NUL', () => ({ claims: { email: 'mallory\u0000@example.com' } })],
    ['two addresses in one', () => ({ claims: { email: 'mallory@attacker.net,x@example.com' } })],
    ['alg none', () => ({ idToken: claims => unsigned(claims, 'none') })],
    ['alg none, spelt otherwise', () => ({ idToken: claims => unsigned(claims, 'nOnE') })],
    ['a signature by another key', () => ({ idToken: claims => signed(claims, otherKey) })],
    ['a key that the provider does not have', () => ({ idToken: claims => signed(claims, otherKey, { kid: 'x' }) })],
    [
      'an HMAC with the client secret',
      () => ({ idToken: claims => signed(claims, Buffer.from('a-secret'.padEnd(32, '0')), { alg: 'HS256' }) }),
    ],
    ['an id token that is not a JWT', () => ({ idToken: () => 'nonsense' })],
    ['no id token', () => ({ token: () => Response.json({ access_token: 'x', token_type: 'Bearer' }) })],
    ['an empty object', () => ({ token: () => Response.json({}) })],
    ['a refusal of the code', () => ({ token: () => Response.json({ error: 'invalid_grant' }, { status: 400 }) })],
    ['a refusal of us', () => ({ token: () => Response.json({ error: 'invalid_client' }, { status: 401 }) })],
    [
      'userinfo about somebody else',
      () => ({ claims: { email: undefined }, userinfo: { sub: 'ada', email: 'a@b.c' } }),
    ],
    ['userinfo without a subject', () => ({ claims: { email: undefined }, userinfo: { email: 'ada@example.com' } })],
    [
      'no access token, where userinfo must be asked',
      () => ({ claims: { email: undefined }, tokens: { access_token: undefined } }),
    ],
    ['no address anywhere', () => ({ claims: { email: undefined }, userinfo: { sub: 'mallory' } })],
    ['an iss parameter of another issuer (RFC 9207)', () => ({ callback: { iss: 'https://elsewhere.example' } })],
  ]
  test.each(cases)('%s', async (_, misbehaviour) => {
    fake.misbehave(misbehaviour())
    const browser = openBrowser()
    expectRefusal(browser, server, await signInAtFake(browser, server), 403, TITLES.refused)
    expect(await count(server, 'identities')).toBe(0)
  })

  test('with one line in the audit log', async () => {
    const lines = () =>
      server.deps.sql`select detail from audit_events where event = 'user.refused' and ip = '127.0.0.1'`
    server.clock.advance(601) // the same again within ten minutes is only counted
    await server.deps.audit.flush()
    const before = (await lines()).length
    fake.misbehave({ claims: { nonce: 'of-another-trip' } })
    await signInAtFake(openBrowser(), server)
    await server.deps.audit.flush()
    expect((await lines()).slice(before).map(row => row.detail)).toMatchObject([{ how: 'oidc' }])
  })

  test('neither a code nor an error', async () => {
    fake.misbehave({ callback: { code: undefined } })
    const browser = openBrowser()
    expectRefusal(browser, server, await signInAtFake(browser, server), 403, TITLES.cancelled)
  })
})

describe('the provider counts as down', () => {
  const cases: [string, () => Misbehaviour][] = [
    ['its token endpoint fails', () => ({ token: () => new Response('stack trace', { status: 500 }) })],
    ['its token endpoint answers with a page', () => ({ token: () => new Response('<h1>Hi</h1>') })],
    ['its token endpoint answers null', () => ({ token: () => Response.json(null) })],
    ['its token endpoint refuses without saying how', () => ({ token: () => new Response('no', { status: 400 }) })],
    ['its key set fails', () => ({ jwks: () => new Response('', { status: 500 }) })],
    ['its key set is a page', () => ({ jwks: () => new Response('<h1>Hi</h1>') })],
    ['its key set has no keys', () => ({ jwks: () => Response.json({ sets: [] }) })],
    ['its key set is elsewhere', () => ({ jwks: () => Response.redirect('https://elsewhere.example/jwks', 302) })],
    ['its metadata names another issuer', () => ({ metadata: { issuer: 'https://elsewhere.example' } })],
    ['its metadata has no key set', () => ({ metadata: { jwks_uri: undefined } })],
    ['its key set is a file', () => ({ metadata: { jwks_uri: 'file:///etc/passwd' } })],
    ['its sign-in page is a script', () => ({ metadata: { authorization_endpoint: 'javascript:alert(1)' } })],
  ]
  test.each(cases)('when %s, and works at the next try', async (_, misbehaviour) => {
    forget()
    fake.misbehave(misbehaviour())
    const browser = openBrowser()
    const page = await signInAtFake(browser, server)
    expectRefusal(browser, server, page, 502, TITLES.unreachable)
    expect(page.html).not.toMatch(/stack trace|alert\(|>Hi</)
    fake.misbehave({})
    await signInAtFake(browser, server)
    expect(isSignedIn(browser, server)).toBe(true)
  })
})

describe('the provider’s response is accepted', () => {
  const cases: [string, () => Misbehaviour][] = [
    ['with the audience in a list', () => ({ claims: { aud: ['us'] } })],
    ['with a clock that is not quite ours', () => ({ claims: { exp: now() - 59 } })],
    ['with the address in userinfo only', () => ({ claims: { email: undefined, email_verified: undefined } })],
    ['with its issuer in the callback (RFC 9207)', () => ({ callback: { iss: fake.issuer } })],
  ]
  test.each(cases)('%s', async (_, misbehaviour) => {
    fake.misbehave(misbehaviour())
    const browser = openBrowser()
    await signInAtFake(browser, server)
    expect(isSignedIn(browser, server)).toBe(true)
  })

  test('but an address in userinfo is not verified by an id token that has none', async () => {
    fake.misbehave({
      claims: { sub: 'trudy', email: undefined, email_verified: true },
      userinfo: { sub: 'trudy', email: 'ada@example.com' },
    })
    const browser = openBrowser()
    expectRefusal(browser, server, await signInAtFake(browser, server), 403, TITLES.unverified)
  })

  test('and a name with bidi, control and zero-width characters is shown without them', async () => {
    fake.misbehave({ claims: { sub: 'sly', email: 'sly@example.com', name: '\u202eylS\u0000\u200b <b>' } })
    await signInAtFake(openBrowser(), server)
    const rows = await server.deps.sql`select name from users where email = 'sly@example.com'`
    expect([...rows]).toEqual([{ name: 'ylS <b>' }])
  })
})
