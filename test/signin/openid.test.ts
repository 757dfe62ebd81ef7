import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Log } from '../../src/lib/log.ts'
import { openProviders } from '../../src/signin/providers.ts'
import { watchProviders } from '../../src/signin/watch.ts'
import { sendSignInForm } from '../support/flows.ts'
import { signInAtProvider, signInThrough, startProvider, type TestProvider } from '../support/openid-provider.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { count, expectRefusal, isSignedIn, TITLES } from '../support/signin.ts'
import { openBrowser } from '../support/user-agent.ts'

let provider: TestProvider
let server: TestServer

beforeAll(async () => {
  provider = await startProvider()
  server = await startServer({
    ...provider.env,
    ALLOWED_DOMAINS: 'example.com',
    // A second provider, which no test reaches.
    GITHUB_CLIENT_ID: 'github-client',
    GITHUB_CLIENT_SECRET: 'github-secret',
  })
  provider.set({ sub: 'ada', email: 'ada@example.com', email_verified: true, name: 'Ada Lovelace' })
}, 30_000)
afterAll(async () => {
  await server.close()
  await provider.stop()
})

/** A callback URL with some parameters changed; `undefined` leaves one out. */
function changed(callback: string, params: Record<string, string | undefined>): string {
  const url = new URL(callback)
  for (const [name, value] of Object.entries(params)) {
    if (value === undefined) url.searchParams.delete(name)
    else url.searchParams.set(name, value)
  }
  return url.href
}

describe('a sign-in with an OpenID provider (OpenID Connect Core 3.1)', () => {
  test('begins at a page that lists the providers and ends where it was started', async () => {
    const browser = openBrowser()
    const start = await browser.visit(`${server.base}/auth/device?code=BBBB-CCCC`)
    expect(start.url).toBe(`${server.base}/auth/signin?return_to=%2Fauth%2Fdevice%3Fcode%3DBBBB-CCCC`)
    expect(start.html).toContain('Continue with Test OP')
    expect(start.html).toContain('Continue with GitHub')
    const end = await signInThrough(browser, server, 'ada', '/auth/device?code=BBBB-CCCC')
    expect([end.url, end.status]).toEqual([`${server.base}/auth/device?code=BBBB-CCCC`, 200])
    expect(end.html).toContain('ada@example.com')
    expect(end.html).toContain('value="BBBB-CCCC"')
    // Nothing of the sign-in is left behind.
    expect([...browser.cookies(server.base).keys()]).toEqual(['mcp-oauth-browser', 'mcp-oauth-session'])
  })

  test('started again and again, keeps only the newest few cookies, so that the browser never gets 431', async () => {
    const cookies = new Map<string, string>()
    const long = `/auth/device?code=${'x'.repeat(2_000)}`
    for (let i = 0; i < 30; i++) {
      const Cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const answer = await sendSignInForm(
        server,
        '/auth/signin/oidc',
        { return_to: i % 2 === 0 ? long : '/account' },
        { Cookie },
      )
      expect(answer.status).toBe(200)
      for (const header of answer.headers.getSetCookie()) {
        const [, name, value] = /^([^=]+)=([^;]*)/.exec(header)!
        if (value === '') cookies.delete(name!)
        else cookies.set(name!, value!)
      }
      expect(cookies.size).toBeLessThanOrEqual(4)
    }
    expect(cookies.size).toBeGreaterThanOrEqual(2)
    expect([...cookies.values()].join('').length).toBeLessThan(12_000)
  })

  test('uses PKCE with S256, a nonce and a state, each new every time', async () => {
    const seen = new Set<string>()
    for (let i = 0; i < 2; i++) {
      const answer = await sendSignInForm(server, '/auth/signin/oidc')
      expect(answer.status).toBe(200)
      const [, url] = /^0; url=(.*)$/.exec(answer.headers.get('refresh') ?? '')!
      const { origin, pathname, searchParams } = new URL(url!)
      expect(origin + pathname).toBe(`${provider.issuer}/auth`)
      expect(Object.fromEntries(searchParams)).toEqual({
        response_type: 'code',
        client_id: 'mcp-oauth-server',
        redirect_uri: `${server.base}/auth/callback/oidc`,
        scope: 'openid email profile',
        state: expect.stringMatching(/^[A-Za-z0-9_-]{32}$/),
        nonce: expect.stringMatching(/^[A-Za-z0-9_-]{32}$/),
        code_challenge: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
        code_challenge_method: 'S256',
      })
      for (const name of ['state', 'nonce', 'code_challenge']) seen.add(searchParams.get(name)!)
    }
    expect(seen.size).toBe(6)
  })

  test('redirects by a refresh, because Chromium applies form-action to redirects after a form (CSP3 6.4.2)', async () => {
    const answer = await sendSignInForm(server, '/auth/signin/oidc')
    expect(answer.headers.get('content-security-policy')).toEndWith("form-action 'self'")
    expect(await answer.text()).toContain('Continue to Test OP')
  })

  test('of a known user updates the name and address', async () => {
    provider.set({ sub: 'grace', email: 'grace@example.com', email_verified: true, name: 'Grace' })
    await signInThrough(openBrowser(), server, 'grace')
    const users = await count(server, 'users')
    provider.set({ sub: 'grace', email: 'hopper@example.com', email_verified: true, name: 'Grace Hopper' })
    const end = await signInThrough(openBrowser(), server, 'grace', '/account')
    expect(end.html).toContain('hopper@example.com')
    expect(await count(server, 'users')).toBe(users)
  })

  test('in two tabs at once succeeds in both, even for a new user', async () => {
    provider.set({ sub: 'new', email: 'new@example.com', email_verified: true })
    const users = await count(server, 'users')
    const browser = openBrowser()
    const one = await signInAtProvider(browser, server, 'new', '/account')
    const two = await signInAtProvider(browser, server, 'new', '/auth/device')
    const other = openBrowser()
    const three = await signInAtProvider(other, server, 'new', '/account')
    const ends = await Promise.all([browser.visit(two), browser.visit(one), other.visit(three)])
    expect(ends.map(end => [end.url, end.status])).toEqual([
      [`${server.base}/auth/device`, 200],
      [`${server.base}/account`, 200],
      [`${server.base}/account`, 200],
    ])
    expect(await count(server, 'users')).toBe(users + 1)
  })
})

describe('the callback refuses (RFC 9700 4.4, 4.7)', () => {
  test.each([
    ['no state', { state: undefined }],
    ['another state', { state: 'A'.repeat(32) }],
    ['a state that could not be one', { state: '../../x' }],
    ['no state beside an error', { state: undefined, code: undefined, error: 'access_denied' }],
  ])('%s', async (_, params: Record<string, string | undefined>) => {
    const browser = openBrowser()
    const callback = await signInAtProvider(browser, server, 'ada')
    expectRefusal(browser, server, await browser.visit(changed(callback, params)), 400, TITLES.lost)
    // The correct response still works.
    await browser.visit(callback)
    expect(isSignedIn(browser, server)).toBe(true)
  })

  test('a state from another browser, without its cookie', async () => {
    const callback = await signInAtProvider(openBrowser(), server, 'ada')
    const victim = openBrowser()
    expectRefusal(victim, server, await victim.visit(callback), 400, TITLES.lost)
    // Not even while the victim has a sign-in of their own in progress.
    await signInAtProvider(victim, server, 'ada')
    expectRefusal(victim, server, await victim.visit(callback), 400, TITLES.lost)
  })

  test('another sign-in’s cookie under this one’s name, or one that we did not sign', async () => {
    const browser = openBrowser()
    const one = await signInAtProvider(browser, server, 'ada')
    const jar = browser.cookies(server.base)
    const [name] = [...jar.keys()].filter(key => key.startsWith('mcp-oauth-signin-'))
    const good = jar.get(name!)!
    await signInAtProvider(browser, server, 'ada')
    const [other] = [...jar.keys()].filter(key => key.startsWith('mcp-oauth-signin-') && key !== name)
    const [header, payload] = good.split('.')
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`
    for (const bad of [jar.get(other!)!, unsigned, `${header}.${payload}.${'A'.repeat(43)}`, 'nonsense']) {
      jar.set(name!, bad)
      expectRefusal(browser, server, await browser.visit(one), 400, TITLES.lost)
    }
  })

  test('the same response twice, with the old cookie of this browser', async () => {
    const browser = openBrowser()
    const callback = await signInAtProvider(browser, server, 'ada')
    const old = new Map(browser.cookies(server.base))
    await browser.visit(callback)
    expect(isSignedIn(browser, server)).toBe(true)
    expect((await browser.visit(callback)).url).toBe(`${server.base}/auth/signin`) // which says who is signed in
    const thief = openBrowser()
    for (const [name, value] of old) thief.cookies(server.base).set(name, value)
    expectRefusal(thief, server, await thief.visit(callback), 403, TITLES.refused)
  })

  test('a response at the callback of another provider (mix-up, RFC 9700 4.4)', async () => {
    const browser = openBrowser()
    const callback = await signInAtProvider(browser, server, 'ada')
    const mixedUp = callback.replace('/callback/oidc', '/callback/github')
    expectRefusal(browser, server, await browser.visit(mixedUp), 400, TITLES.lost)
    const nowhere = await browser.visit(callback.replace('/callback/oidc', '/callback/nobody'))
    expectRefusal(browser, server, nowhere, 404, 'There is no such sign-in method')
  })

  test.each([
    ['of another issuer', 'https://elsewhere.example'],
    ['that only begins like the issuer', 'ISSUER/'],
    ['that is missing although the provider promises it', undefined],
  ])('an iss parameter %s (RFC 9207 2.4)', async (_, iss) => {
    const browser = openBrowser()
    const callback = await signInAtProvider(browser, server, 'ada')
    expect(new URL(callback).searchParams.get('iss')).toBe(provider.issuer)
    const wrong = changed(callback, { iss: iss?.replace('ISSUER', provider.issuer) })
    expectRefusal(browser, server, await browser.visit(wrong), 403, TITLES.refused)
    // It was refused before the code was used up.
    await browser.visit(callback)
    expect(isSignedIn(browser, server)).toBe(true)
  })

  test('a sign-in that the person cancelled at the provider, and says so', async () => {
    const browser = openBrowser()
    const stopBefore = `${server.base}/auth/callback/`
    const start = await browser.visit(`${server.base}/auth/signin?return_to=/auth/device?code=BBBB-CCCC`)
    const login = await browser.press(start, '/auth/signin/oidc', {}, { stopBefore })
    const [, abort] = /href="([^"]*\/abort)"/.exec(login.html)!
    const callback = await browser.visit(new URL(abort!, login.url).href, { stopBefore })
    expect(new URL(callback.url).searchParams.get('error')).toBe('access_denied')
    const cancelled = await browser.visit(callback.url)
    expectRefusal(browser, server, cancelled, 403, TITLES.cancelled)
    // Its button starts again, for the same device.
    expect(cancelled.html).toContain('<a class="button" href="/auth/signin">Sign in</a>')
    expect((await browser.visit(`${server.base}/auth/signin`)).html).toContain('waiting with the code <b>BBBB-CCCC</b>')
    const shouting = changed(callback.url, { error: '<script>alert(1)</script>', error_description: 'PWNED' })
    const page = await browser.visit(shouting)
    expectRefusal(browser, server, page, 403, TITLES.cancelled)
    expect(page.html).not.toMatch(/alert|PWNED/)
  })

  test('a repeated parameter', async () => {
    const browser = openBrowser()
    const callback = await signInAtProvider(browser, server, 'ada')
    expect((await browser.visit(`${callback}&code=another`)).status).toBe(400)
    expect(isSignedIn(browser, server)).toBe(false)
  })

  test('a sign-in that took more than ten minutes', async () => {
    const browser = openBrowser()
    const callback = await signInAtProvider(browser, server, 'ada')
    server.clock.advance(601)
    expectRefusal(browser, server, await browser.visit(callback), 400, TITLES.lost)
  })
})

describe('starting a sign-in', () => {
  test('with an unknown provider is a 404, and nothing is fetched', async () => {
    const answer = await sendSignInForm(server, '/auth/signin/nobody')
    expect(answer.status).toBe(404)
    expect(await answer.text()).toContain('choose another one')
  })

  test('takes a form: a link or an image on another page starts nothing', async () => {
    expect((await server.get('/auth/signin/oidc')).status).toBe(405)
  })

  test('the operator sees at the start, and in /readyz?verbose, that a provider cannot be reached, until it can', async () => {
    const providers = openProviders(server.deps.config)
    Object.assign(server.deps, { providers })
    await provider.stop()
    const seen = async () => (await server.get('/readyz?verbose')).json()
    const lines: unknown[] = []
    const back = Promise.withResolvers<void>()
    const line = (level: string) => (fields: object, message: string) => {
      lines.push([level, fields, message])
      void (level === 'warn'
        ? seen()
            .then(state => lines.push(state))
            .then(() => provider.start())
        : back.resolve())
    }
    const log = { warn: line('warn'), info: line('info') } as unknown as Log
    const stop = watchProviders({ providers, log }, 5)
    await back.promise
    stop()
    const detail = `${provider.env.OIDC_ISSUER}/.well-known/openid-configuration cannot be reached`
    expect(lines).toEqual([
      ['warn', { provider: 'oidc', detail }, 'nobody can sign in with this provider'],
      { status: 'ok', database: 'ok', providers: { github: 'ok', oidc: 'unreachable' } },
      ['info', { provider: 'oidc' }, 'the sign-in provider works again'],
    ])
    expect(await seen()).toEqual({ status: 'ok', database: 'ok', providers: { github: 'ok', oidc: 'ok' } })
    expect(await (await server.get('/readyz')).json()).toEqual({ status: 'ok' })
  })

  test('while the provider is down is a 502 that says what to do, and works again when it is back', async () => {
    // Nothing is known of it yet.
    Object.assign(server.deps, { providers: openProviders(server.deps.config) })
    await provider.stop()
    const browser = openBrowser()
    const start = await browser.visit(`${server.base}/auth/signin`)
    expect(start.status).toBe(200)
    const page = await browser.press(start, '/auth/signin/oidc')
    expectRefusal(browser, server, page, 502, TITLES.unreachable)
    expect(page.html).toContain('Try again in a minute')
    expect(page.html).toContain('<a class="button" href="/auth/signin">Sign in</a>')
    await provider.start()
    await signInThrough(browser, server, 'ada')
    expect(isSignedIn(browser, server)).toBe(true)
    // It goes away between the start and the callback.
    const other = openBrowser()
    const callback = await signInAtProvider(other, server, 'ada')
    await provider.stop()
    expectRefusal(other, server, await other.visit(callback), 502, TITLES.unreachable)
    await provider.start()
    await other.visit(callback)
    expect(isSignedIn(other, server)).toBe(true)
  })
})
