import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { csrfOf, decide, enterCode, poll, registerClient, requestDevice, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const XSS = `"'><script>alert(1)</script><img src=x onerror=alert(1)>`

let server: TestServer
let ada: string
let client: string
beforeAll(async () => {
  server = await startServer()
  ada = await signIn(server, `x"><script>alert(1)</script>@example.com`)
  client = await registerClient(server, {
    client_name: XSS,
    redirect_uris: ['http://localhost/callback?x=%22%3E%3Cscript%3E'],
    grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
  })
})
afterAll(() => server.close())

const HTML = { Accept: 'text/html' }

/** No tag or attribute of a stranger, and the policy that would stop it. */
async function expectSafe(answer: Response): Promise<string> {
  const html = await answer.text()
  expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8')
  expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
  expect(answer.headers.get('referrer-policy')).toBe('same-origin')
  expect(answer.headers.get('cache-control')).toBe('no-store')
  expect(answer.headers.get('x-frame-options')).toBe('DENY')
  const policy = answer.headers.get('content-security-policy')!
  for (const part of ["default-src 'none'", "script-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"])
    expect(policy).toContain(part)
  expect(policy).not.toContain('unsafe')
  // What stands quoted in an attribute ends only with the quote; outside, the only scripts are the layout's.
  const tags = html.replace(/(?<! src)="[^"]*"/g, '')
  const own = [server.deps.site.script, server.deps.site.passkeys, server.deps.site.htmx].map(
    address => `<script src="${address}" defer>`,
  )
  expect((tags.match(/<script[^>]*>/g) ?? []).filter(tag => !own.includes(tag))).toEqual([])
  expect(tags).not.toMatch(/<img src=x|<[^>]*\son\w+=/)
  return html
}

describe('text from strangers on pages', () => {
  test('client name, user agent and address are text on the device pages, from entry to the connected app', async () => {
    const device = (await (
      await server.post('/api/oauth/device', { client_id: client }, { 'User-Agent': XSS })
    ).json()) as { user_code: string; device_code: string }
    await expectSafe(await server.get(`/auth/device?code=${encodeURIComponent(XSS)}`, { Cookie: ada, ...HTML }))
    await expectSafe(await enterCode(server, ada, XSS.slice(0, 60)))
    const path = await decide(server, ada, device.user_code)
    for (const at of [path, `${path}/status`])
      expect(await expectSafe(await server.get(at, { Cookie: ada, ...HTML }))).toContain('&lt;script')
    expect((await poll(server, client, device.device_code)).status).toBe(200)
    for (const at of [path, '/account'])
      expect(await expectSafe(await server.get(at, { Cookie: ada, ...HTML }))).toContain('&lt;script')
    const { user_code } = await requestDevice(server, client)
    const undecided = (await enterCode(server, ada, user_code)).headers.get('location')!
    await expectSafe(await server.get(undecided, { Cookie: ada, ...HTML }))
  })

  test('client name, redirect and state are text on the consent page', async () => {
    const query = new URLSearchParams({
      response_type: 'code',
      client_id: client,
      state: XSS,
      code_challenge: 'a'.repeat(43),
      code_challenge_method: 'S256',
      [XSS]: XSS,
    })
    const answer = await server.get(`/api/oauth/authorize?${query}`, { Cookie: ada, ...HTML })
    expect(await expectSafe(answer)).toContain('&lt;script')
  })

  test.each([
    `/auth/signin?return_to=${encodeURIComponent(`/account?${XSS}`)}`,
    `/auth/signin/link?token=${encodeURIComponent(XSS)}`,
    `/auth/callback/${encodeURIComponent(XSS)}?error=${encodeURIComponent(XSS)}`,
    `/api/oauth/authorize?client_id=${encodeURIComponent(XSS)}`,
    `/api/oauth/authorize?${encodeURIComponent(XSS)}=1&${encodeURIComponent(XSS)}=2`,
    `/${encodeURIComponent(XSS)}`,
  ])('what stands in the address %s is text', async path => {
    await expectSafe(await server.get(path, HTML))
  })
})

describe('where a sign-in leads', () => {
  test.each([
    '//evil.example',
    '/\\evil.example',
    'https://evil.example',
    '/account/../..//evil.example',
    '/account#@evil.example',
    '/auth/signout',
    'javascript:alert(1)',
    '/account?\u00e9',
  ])('%p is not taken', async returnTo => {
    const page = await server.get(`/auth/signin?return_to=${encodeURIComponent(returnTo)}`, HTML)
    const cookie = page.headers.getSetCookie().find(item => item.includes('return-to='))!
    const value = /return-to=([^;]*)/.exec(cookie)![1]!
    expect(Buffer.from(value, 'base64url').toString()).toBe('/')
  })
})

describe('a state change', () => {
  test('from another site, a sibling site or no page is refused, even with the right token', async () => {
    const csrf = csrfOf(await (await server.get('/auth/device', { Cookie: ada })).text(), '/api/oauth/device/verify')
    for (const from of [
      { 'Sec-Fetch-Site': 'cross-site' },
      { 'Sec-Fetch-Site': 'same-site' },
      { 'Sec-Fetch-Site': 'none' },
      { Origin: 'null' },
      { Origin: 'https://evil.example' },
      { Origin: `${server.base}.evil.example` },
      { Origin: server.base.replace('http:', 'https:') },
    ]) {
      const form = { user_code: 'BCDF-GHJK', csrf }
      const answer = await server.post('/api/oauth/device/verify', form, { Cookie: ada, ...HTML, ...from } as never)
      expect([from, answer.status]).toEqual([from, 403])
    }
  })

  test('with the token of another form is refused', async () => {
    const html = await (await server.get('/account', { Cookie: ada })).text()
    const csrf = csrfOf(html, '/auth/signout')
    const answer = await server.post(
      '/api/oauth/device/verify',
      { user_code: 'BCDF-GHJK', csrf },
      { Cookie: ada, ...HTML },
    )
    expect(answer.status).toBe(403)
  })
})
