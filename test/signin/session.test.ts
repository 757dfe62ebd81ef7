import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createSignInLink } from '../../src/signin/service.ts'
import { csrfOf, sendSignInForm, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { count, SESSION } from '../support/signin.ts'

const GITHUB = { GITHUB_CLIENT_ID: 'github-client', GITHUB_CLIENT_SECRET: 'github-secret' }
const DAY = 86_400

let server: TestServer

beforeAll(async () => {
  server = await startServer(GITHUB)
}, 30_000)
afterAll(() => server.close())

const HTML = { Accept: 'text/html' }

/** Whether a Cookie header still opens the account page. */
async function isAlive(cookie: string, on = server): Promise<boolean> {
  const answer = await on.get('/account', { Cookie: cookie, ...HTML })
  if (answer.status === 200) return true
  expect([answer.status, answer.headers.get('location')]).toEqual([303, '/auth/signin?return_to=%2Faccount'])
  return false
}

async function useLink(headers: Record<string, string> = {}, on = server): Promise<Response> {
  const link = new URL(await createSignInLink(on.deps, 'ada@example.com'))
  return sendSignInForm(on, '/auth/signin/link', { token: link.searchParams.get('token')! }, { ...HTML, ...headers })
}

async function signOutToken(cookie: string): Promise<string> {
  return csrfOf(await (await server.get('/account', { Cookie: cookie, ...HTML })).text(), '/auth/signout')
}

test('a passkey that is refused leads back to the sign-in page, and is a step of the attempt', async () => {
  const refused = await sendSignInForm(server, '/auth/passkey', { credential: '{}' }, HTML)
  expect([refused.status, await refused.text()]).toEqual([403, expect.stringContaining('href="/auth/signin"')])
  await server.deps.steps.flush()
  const steps = await server.deps.sql`select status, answer from connection_steps where step = 'sign-in'`
  expect(steps).toContainEqual({ status: 403, answer: 'passkey: not a credential' })
})

describe('a session (RFC 6265bis, SECURITY: Browser)', () => {
  test('begins with a new id, whatever the browser sent (no fixation)', async () => {
    const chosen = `${SESSION}=mse_${'A'.repeat(43)}`
    const first = await useLink({ Cookie: chosen })
    const cookies = first.headers.getSetCookie().filter(cookie => cookie.startsWith(`${SESSION}=`))
    expect(cookies).toEqual([
      expect.stringMatching(/^mcp-oauth-session=mse_[\w-]{43}; Path=\/; Max-Age=1209600; HttpOnly; SameSite=Lax$/),
    ])
    expect(cookies[0]).not.toContain(chosen)
    expect(await isAlive(chosen)).toBe(false)
  })

  test('ends when the same browser signs in again; that of another browser does not', async () => {
    const one = await signIn(server)
    const elsewhere = await signIn(server)
    const again = await useLink({ Cookie: one })
    const two = again.headers.getSetCookie()[0]!.split(';')[0]!
    expect(two).not.toBe(one)
    expect([await isAlive(one), await isAlive(two), await isAlive(elsewhere)]).toEqual([false, true, true])
  })

  test('is in the database as a hash only', async () => {
    const cookie = await signIn(server)
    const rows = await server.deps.sql`select row_to_json(sessions)::text as row from sessions`
    expect(JSON.stringify(rows)).not.toContain(cookie.slice(cookie.indexOf('mse_') + 4))
    const hash = new Bun.CryptoHasher('sha256').update(cookie.split('=')[1]!).digest()
    expect((await server.deps.sql`select 1 from sessions where id_hash = ${hash}`).length).toBe(1)
  })

  test.each(['', 'nonsense', `mse_${'A'.repeat(43)}`, `mrt_${'A'.repeat(43)}`, 'mse_%00', `mse_${'é'.repeat(43)}`])(
    'is not %p',
    async id => {
      expect(await isAlive(`${SESSION}=${id}`)).toBe(false)
    },
  )

  test('ends after 14 days, used or not', async () => {
    const cookie = await signIn(server)
    server.clock.advance(14 * DAY - 5)
    expect(await isAlive(cookie)).toBe(true)
    server.clock.advance(6)
    expect(await isAlive(cookie)).toBe(false)
  })

  test('is requested by a redirect that ignores a forged Host header', async () => {
    for (const host of ['[', 'a:99999', '%zz', 'evil.example']) {
      const answer = await server.get('/auth/device?code=BBBB-CCCC', { Host: host, ...HTML })
      expect([host, answer.status, answer.headers.get('location')]).toEqual([
        host,
        303,
        '/auth/signin?return_to=%2Fauth%2Fdevice%3Fcode%3DBBBB-CCCC',
      ])
    }
  })

  test('is requested by a form, and leads back to its page', async () => {
    const pages = { '/account/tokens/add': '/account/tokens', '/account/disconnect': '/account' }
    for (const [path, page] of Object.entries({ ...pages, '/api/oauth/device/verify': '/auth/device' })) {
      const answer = await server.post(path, {}, HTML)
      expect([path, answer.status, answer.headers.get('location')]).toEqual([
        path,
        303,
        `/auth/signin?return_to=${encodeURIComponent(page)}`,
      ])
    }
  })

  test('is requested from programs in JSON', async () => {
    const answer = await server.get('/account', { Accept: 'application/json' })
    expect([answer.status, await answer.json()]).toEqual([
      401,
      { error: 'access_denied', error_description: 'Sign in first' },
    ])
  })
})

describe('signing out', () => {
  test('ends the session on the server, clears the cookie, and leaves other sessions alone', async () => {
    const cookie = await signIn(server)
    const elsewhere = await signIn(server)
    const answer = await server.post('/auth/signout', { csrf: await signOutToken(cookie) }, { Cookie: cookie, ...HTML })
    expect([answer.status, answer.headers.get('location'), answer.headers.getSetCookie()]).toEqual([
      303,
      '/',
      [
        'mcp-oauth-session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax',
        expect.stringMatching(/^mcp-oauth-notice=[\w-]+\.\d+\.[\w-]{43}; Path=\/; Max-Age=60; HttpOnly; SameSite=Lax$/),
      ],
    ])
    expect([await isAlive(cookie), await isAlive(elsewhere)]).toEqual([false, true])
  })

  test('without a session goes to the front page', async () => {
    const answer = await server.post('/auth/signout', {}, HTML)
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/'])
  })

  test('takes a form: a link or an image on another page signs nobody out', async () => {
    const cookie = await signIn(server)
    expect((await server.get('/auth/signout', { Cookie: cookie, ...HTML })).status).toBe(405)
    expect(await isAlive(cookie)).toBe(true)
  })

  test.each([
    ['no token', '', {}],
    ['a wrong token', 'A'.repeat(43), {}],
    ['the token of another session', 'OTHER', {}],
    ['the token of another form', 'DEVICE', {}],
    ['the right token from another site', 'RIGHT', { 'Sec-Fetch-Site': 'cross-site' }],
    ['the right token from a sibling site', 'RIGHT', { 'Sec-Fetch-Site': 'same-site' }],
    ['the right token from nowhere', 'RIGHT', { 'Sec-Fetch-Site': 'none' }],
    ['the right token with a foreign Origin', 'RIGHT', { Origin: 'https://evil.example' }],
  ])('is refused with %s', async (_, kind, headers) => {
    const cookie = await signIn(server)
    const device = await (await server.get('/auth/device', { Cookie: cookie, ...HTML })).text()
    const tokens: Record<string, string> = {
      RIGHT: await signOutToken(cookie),
      OTHER: await signOutToken(await signIn(server)),
      DEVICE: csrfOf(device, '/api/oauth/device/verify'),
    }
    const answer = await server.post(
      '/auth/signout',
      { csrf: tokens[kind] ?? kind },
      { Cookie: cookie, ...HTML, ...headers },
    )
    expect(answer.status).toBe(403)
    expect(await answer.text()).toContain('Go back, reload that page, and submit the form again')
    expect(await isAlive(cookie)).toBe(true)
  })
})

describe('a form on another site', () => {
  test.each([
    ['Sec-Fetch-Site: cross-site', { 'Sec-Fetch-Site': 'cross-site' }],
    ['Sec-Fetch-Site: same-site', { 'Sec-Fetch-Site': 'same-site' }],
    ['a foreign Origin', { Origin: 'https://evil.example' }],
    ['an Origin that a sandboxed frame hides, on plain http', { Origin: 'null' }],
    ['an Origin that is no URL', { Origin: 'evil' }],
  ])('neither starts a sign-in nor begins a session (%s)', async (_, headers) => {
    const sessions = await count(server, 'sessions')
    const started = await sendSignInForm(server, '/auth/signin/github', {}, { ...HTML, ...headers })
    expect([started.status, started.headers.getSetCookie(), started.headers.get('refresh')]).toEqual([403, [], null])
    expect((await useLink(headers)).status).toBe(403)
    expect(await count(server, 'sessions')).toBe(sessions)
  })

  test.each([
    ['ours', () => ({ 'Sec-Fetch-Site': 'same-origin', Origin: server.base })],
    ['ours without an Origin that is told', () => ({ 'Sec-Fetch-Site': 'same-origin', Origin: 'null' })],
    ['ours on plain http', () => ({ Origin: server.base })],
    ['of a browser that says nothing', () => ({})],
  ])('differs from a form that is %s', async (_, headers: () => Record<string, string>) => {
    expect((await useLink(headers())).status).toBe(303)
    expect((await sendSignInForm(server, '/auth/signin/github', {}, { ...HTML, ...headers() })).status).toBe(200)
  })
})

describe('cookies', () => {
  /** The Set-Cookie headers of a sign-in page, of a start and of a link, values left out. */
  async function cookiesOf(on: TestServer): Promise<string[]> {
    const answers = [
      await on.get('/auth/signin'),
      await sendSignInForm(on, '/auth/signin/github', {}, HTML),
      await useLink({}, on),
    ]
    return answers
      .flatMap(answer => answer.headers.getSetCookie())
      .map(cookie => cookie.replace(/signin-[\w-]{12}=/, 'signin-STATE=').replace(/=[^;]*/, '=VALUE'))
  }

  test('on http have the plain name, because browsers refuse the prefix there', async () => {
    expect(await cookiesOf(server)).toEqual([
      'mcp-oauth-browser=VALUE; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax',
      'mcp-oauth-return-to=VALUE; Path=/; Max-Age=600; HttpOnly; SameSite=Lax',
      'mcp-oauth-signin-STATE=VALUE; Path=/; Max-Age=600; HttpOnly; SameSite=Lax',
      'mcp-oauth-session=VALUE; Path=/; Max-Age=1209600; HttpOnly; SameSite=Lax',
      'mcp-oauth-return-to=VALUE; Path=/; Max-Age=0; HttpOnly; SameSite=Lax',
    ])
  })

  test('stay below the browsers’ limit of 4096 bytes, even with the longest return path', async () => {
    const returnTo = `/auth/device?code=${'a'.repeat(1000 - 18)}`
    const answers = [
      await server.get(`/auth/signin?return_to=${encodeURIComponent(returnTo)}`),
      await sendSignInForm(server, '/auth/signin/github', { return_to: returnTo }, HTML),
    ]
    const pairs = answers.flatMap(answer => answer.headers.getSetCookie()).map(cookie => cookie.split(';')[0]!)
    expect(pairs.filter(pair => pair.length > returnTo.length)).toHaveLength(2)
    for (const pair of pairs) expect(pair.length).toBeLessThan(4096 - '__Host-'.length)
  })

  test('with an https BASE_URL are __Host- and Secure, and nothing else is read', async () => {
    const secure = await startServer({ ...GITHUB, BASE_URL: 'https://auth.example.com', SESSION_TTL: '3600' })
    try {
      expect(await cookiesOf(secure)).toEqual([
        '__Host-browser=VALUE; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure',
        '__Host-return-to=VALUE; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure',
        '__Host-signin-STATE=VALUE; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure',
        '__Host-session=VALUE; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure',
        '__Host-return-to=VALUE; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure',
      ])
      const cookie = await signIn(secure)
      expect(cookie).toStartWith('__Host-session=mse_')
      expect(await isAlive(cookie, secure)).toBe(true)
      // What a sibling host or plain http could have set.
      for (const name of ['session', SESSION, '__host-session', '__Secure-session', ' x__Host-session'])
        expect([name, await isAlive(cookie.replace('__Host-session', name), secure)]).toEqual([name, false])
      secure.clock.advance(3601)
      expect(await isAlive(cookie, secure)).toBe(false)
    } finally {
      await secure.close()
    }
  }, 30_000)
})
