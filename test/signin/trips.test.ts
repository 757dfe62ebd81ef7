import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { SignJWT } from 'jose'
import { type FakeProvider, startFakeProvider } from '../support/fake-openid-provider.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { count, expectRefusal, TITLES } from '../support/signin.ts'
import { openBrowser } from '../support/user-agent.ts'

let provider: FakeProvider
let server: TestServer

beforeAll(async () => {
  provider = await startFakeProvider(() => server.deps.now())
  server = await startServer({ ...provider.env, ALLOWED_DOMAINS: 'example.com' })
})
afterAll(async () => {
  await server.close()
  await provider.stop()
})

/** A browser that is about to return from the provider. */
async function onTheWayBack() {
  const browser = openBrowser()
  const stopBefore = `${server.base}/auth/callback/`
  const start = await browser.visit(`${server.base}/auth/signin`)
  const { url } = await browser.press(start, '/auth/signin/oidc', {}, { stopBefore })
  const jar = browser.cookies(server.base)
  const name = [...jar.keys()].find(key => key.startsWith('mcp-oauth-signin-'))!
  return { browser, url, jar, name }
}

describe('a pending sign-in (RFC 8725, RFC 9700 4.7)', () => {
  test('begins one session, even if its callback arrives ten times at once and the provider accepts the code each time', async () => {
    const { browser, url } = await onTheWayBack()
    const sessions = await count(server, 'sessions')
    const Cookie = [...browser.cookies(server.base)].map(pair => pair.join('=')).join('; ')
    const path = url.slice(server.base.length)
    const answers = await Promise.all(Array.from({ length: 10 }, () => server.get(path, { Cookie })))
    expect(answers.map(answer => answer.status).sort()).toEqual([303, ...Array(9).fill(400)])
    expect(await count(server, 'sessions')).toBe(sessions + 1)
  })

  test.each<[string, { alg?: string; typ?: string; exp?: number | null }]>([
    ['with another algorithm', { alg: 'HS512' }],
    ['made for another purpose', { typ: 'JWT' }],
    ['that never expires', { exp: null }],
    ['that has expired', { exp: -1 }],
  ])(
    'is not known by a cookie %s, though our key signed it',
    async (_, { alg = 'HS256', typ = 'sign-in+jwt', exp = 600 }) => {
      const { browser, url, jar, name } = await onTheWayBack()
      const good = jar.get(name)!
      const { exp: __, ...claims } = JSON.parse(Buffer.from(good.split('.')[1]!, 'base64url').toString())
      const sign = (how: { alg: string; typ: string; exp: number | null }) => {
        const token = new SignJWT(claims).setProtectedHeader({ alg: how.alg, typ: how.typ })
        if (how.exp !== null) token.setExpirationTime(Math.floor(server.deps.now().getTime() / 1000) + how.exp)
        return token.sign(server.deps.secrets.signInCookie)
      }
      jar.set(name, await sign({ alg, typ, exp }))
      expectRefusal(browser, server, await browser.visit(url), 400, TITLES.lost)
      jar.set(name, await sign({ alg: 'HS256', typ: 'sign-in+jwt', exp: 600 }))
      expect((await browser.visit(url)).status).toBe(200)
    },
  )
})

test('a callback that is loaded again after it has signed in says as whom, instead of an error', async () => {
  const { browser, url } = await onTheWayBack()
  expect((await browser.visit(url)).url).toBe(`${server.base}/`)
  const again = await browser.visit(url)
  expect([again.url, again.html.includes('You are signed in as')]).toEqual([`${server.base}/auth/signin`, true])
})

describe('a form of signing in', () => {
  test.each([
    ['the browser’s cookie', (form: Record<string, string>) => ({ form, Cookie: '' })],
    ['its token', (_: Record<string, string>, Cookie: string) => ({ form: {}, Cookie })],
    [
      'a token for its cookie',
      (form: Record<string, string>) => ({ form, Cookie: `mcp-oauth-browser=${'A'.repeat(43)}` }),
    ],
    ['a cookie that we could have made', (form: Record<string, string>) => ({ form, Cookie: 'mcp-oauth-browser=x' })],
  ])('without %s starts nothing (login CSRF, RFC 6819 4.4.1.8)', async (_, changed) => {
    const shown = await server.get('/auth/signin')
    const csrf = /name="csrf" value="([^"]+)"/.exec(await shown.text())![1]!
    const good = shown.headers
      .getSetCookie()
      .find(cookie => cookie.startsWith('mcp-oauth-browser='))!
      .split(';')[0]!
    const { form, Cookie } = changed({ csrf }, good)
    for (const path of ['/auth/signin/oidc', '/auth/signin/link']) {
      const answer = await server.post(path, form, { Cookie, Accept: 'text/html' })
      expect([answer.status, answer.headers.get('refresh'), answer.headers.getSetCookie()]).toEqual([403, null, []])
    }
    expect((await server.post('/auth/signin/oidc', { csrf }, { Cookie: good })).status).toBe(200)
  })
})
