import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createSignInLink } from '../../src/signin/service.ts'
import { sendSignInForm } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { expectRefusal, isSignedIn, SESSION, TITLES } from '../support/signin.ts'
import { openBrowser } from '../support/user-agent.ts'

let server: TestServer

beforeAll(async () => {
  server = await startServer()
}, 30_000)
afterAll(() => server.close())

async function newToken(email = 'ada@example.com'): Promise<string> {
  return new URL(await createSignInLink(server.deps, email)).searchParams.get('token')!
}

const use = (token: string, headers: Record<string, string> = {}) =>
  sendSignInForm(server, '/auth/signin/link', { token }, { Accept: 'text/html', ...headers })

describe('a one-time sign-in link', () => {
  test('signs one browser in, through a page that asks first', async () => {
    const browser = openBrowser()
    const link = await createSignInLink(server.deps, 'ada@example.com')
    expect(link).toMatch(new RegExp(`^${server.base}/auth/signin/link\\?token=mln_[A-Za-z0-9_-]{43}$`))
    const page = await browser.visit(link)
    expect([page.status, isSignedIn(browser, server)]).toEqual([200, false])
    expect(page.headers.get('cache-control')).toBe('no-store')
    expect(page.headers.get('referrer-policy')).toBe('same-origin')
    const end = await browser.press(page, '/auth/signin/link')
    expect([end.url, end.status]).toEqual([`${server.base}/`, 200])
    expect(end.html).toContain('ada@example.com')
  })

  test('is not used up by opening it, as link previews do', async () => {
    const token = await newToken()
    for (let i = 0; i < 3; i++) expect((await server.get(`/auth/signin/link?token=${token}`)).status).toBe(200)
    expect((await use(token)).status).toBe(303)
  })

  test('works once: of 20 parallel uses exactly one signs in, 5 times over', async () => {
    for (let round = 0; round < 5; round++) {
      const token = await newToken()
      const answers = await Promise.all(Array.from({ length: 20 }, () => use(token)))
      expect(answers.map(answer => answer.status).sort()).toEqual([303, ...Array(19).fill(403)])
      const sessions = answers.flatMap(answer => answer.headers.getSetCookie()).filter(one => one.startsWith(SESSION))
      expect(sessions.length).toBe(1)
    }
  })

  test('works for 15 minutes', async () => {
    const early = await newToken()
    const late = await newToken()
    server.clock.advance(15 * 60 - 5)
    expect((await use(early)).status).toBe(303)
    server.clock.advance(6)
    expect((await use(late)).status).toBe(403)
  })

  test('wrong, malformed, missing, expired and used links get the same page, which says what to do next', async () => {
    const used = await newToken()
    await use(used)
    const expired = await newToken()
    server.clock.advance(15 * 60 + 1)
    const bodies = new Set<string>()
    for (const token of ['', 'nonsense', `mln_${'A'.repeat(43)}`, `mse_${'A'.repeat(43)}`, used, expired]) {
      const browser = openBrowser()
      const shown = await browser.visit(`${server.base}/auth/signin/link?token=${token}`)
      expectRefusal(browser, server, shown, 403, TITLES.deadLink)
      const pressed = await (await use(token)).text() // of a page that was opened while the link worked
      for (const html of [shown.html, pressed]) bodies.add(html.replace(/<code>[^<]*<\/code>/, '')) // the reference for the log
    }
    expect(bodies.size).toBe(1)
    expect([...bodies][0]).toContain('Ask the operator of this server for a new one.')
  })

  test('a refused use is in the audit log, without the link', async () => {
    const token = `mln_${'B'.repeat(43)}`
    await use(token)
    await server.deps.audit.flush()
    const [last] = await server.deps.sql`select event, ip, detail from audit_events order by id desc limit 1`
    expect(last).toEqual({ event: 'user.refused', ip: '127.0.0.1', detail: { how: 'link' } })
  })

  test('is in the database as a hash only', async () => {
    const token = await newToken('hashed@example.com')
    await server.deps.audit.flush()
    const tables = await server.deps.sql<{ name: string }[]>`
      select table_name as name
      from information_schema.tables
      where table_schema = 'public'`
    expect(tables.length).toBeGreaterThan(10)
    for (const { name } of tables) {
      const rows = await server.deps.sql`select row_to_json(t)::text as row from ${server.deps.sql(name)} as t`
      expect(JSON.stringify(rows)).not.toContain(token.slice(4))
    }
    const hash = new Bun.CryptoHasher('sha256').update(token).digest()
    const found = await server.deps.sql`select used_at from sign_in_links where token_hash = ${hash}`
    expect([...found]).toEqual([{ used_at: null }])
  })

  test('does not show a malicious token', async () => {
    const answer = await server.get(`/auth/signin/link?token=${encodeURIComponent('"><script>alert(1)</script>')}`)
    expect([answer.status, (await answer.text()).includes('alert(1)')]).toEqual([403, false])
  })

  test.each([
    ['of another site', { 'Sec-Fetch-Site': 'cross-site' }],
    ['of a sibling site', { 'Sec-Fetch-Site': 'same-site' }],
    ['with a foreign Origin', { Origin: 'https://evil.example' }],
  ])('is not used by a form %s (login CSRF, RFC 6819 4.4.1.8)', async (_, headers) => {
    const token = await newToken()
    const answer = await use(token, headers)
    expect([answer.status, answer.headers.getSetCookie()]).toEqual([403, []])
    expect((await use(token)).status).toBe(303)
  })
})

describe('after a link the browser is where it was going', () => {
  /** Opens the sign-in page with a return_to, then uses a link in the same browser. @returns where it ends. */
  async function landing(returnTo: string, raw = encodeURIComponent(returnTo)): Promise<string> {
    const browser = openBrowser()
    await browser.visit(`${server.base}/auth/signin?return_to=${raw}`)
    const page = await browser.visit(await createSignInLink(server.deps, 'ada@example.com'))
    const end = await browser.press(page, '/auth/signin/link')
    expect(browser.cookies(server.base).has('mcp-oauth-return-to')).toBe(false)
    return end.url
  }

  test.each([
    '/',
    '/account',
    '/account/passkeys',
    '/account/upstreams/notes-2.x?for=abc_-1',
    '/auth/device?code=BBBB-CCCC',
    '/admin/users',
    '/auth/device/0f0e0d0c-0b0a-0908-0706-050403020100',
    '/api/oauth/authorize/0f0e0d0c-0b0a-4908-8706-050403020100',
    '/auth/device?code=a;b,c"\\%20%zz',
  ])('%s', async path => {
    expect(await landing(path)).toBe(new URL(path, server.base).href)
  })

  test.each([
    '//evil.example',
    '//evil.example/account',
    '///evil.example',
    '/\\evil.example',
    '\\\\evil.example',
    '/\\/evil.example',
    'https:evil.example',
    'https://evil.example/',
    'https://evil.example/account',
    'javascript:alert(1)',
    'data:text/html,x',
    'evil.example',
    '@evil.example',
    '.evil.example',
    ':80@evil.example/',
    '/@evil.example',
    '/account@evil.example',
    '/account/../../evil',
    '/account/upstreams/../evil',
    '/account/upstreams/notes/callback?code=x',
    '/auth/device/../../evil',
    '/auth/device/%2e%2e/%2e%2e/evil',
    '/auth/device%2f..%2f..%2fevil',
    '/%2fevil.example',
    '/%5cevil.example',
    '/auth/signout',
    '/auth/signin',
    '/auth/callback/oidc?code=x',
    '/api/oauth/authorize?client_id=c',
    '/api/oauth/authorize/decision',
    '/authorize?client_id=c',
    '/account#x',
    '/account ?x',
    '/account?é',
    ' /account',
    '/account\u2028',
    `/account?${'a'.repeat(4000)}`,
  ])('and not at %s', async path => {
    expect(await landing(path)).toBe(`${server.base}/`)
  })

  test.each(['%2Faccount%0d%0aSet-Cookie:%20a=b', '%2F%09%2Fevil.example', '%00', '%0A//evil.example', '%7F'])(
    'and a return_to with control characters (%s) is refused',
    async raw => {
      const answer = await server.get(`/auth/signin?return_to=${raw}`, { Accept: 'text/html' })
      expect([answer.status, answer.headers.getSetCookie()]).toEqual([400, []])
    },
  )

  test('a path of 1000 characters is kept, a longer one is ignored', async () => {
    const longest = `/auth/device?code=${'a'.repeat(1000 - 18)}`
    expect(await landing(longest)).toBe(server.base + longest)
    expect(await landing(`${longest}a`)).toBe(`${server.base}/`)
  })

  test.each(['%zz', '%', 'L2V2aWw', Buffer.from('//evil.example').toString('base64url'), '\u00ff'])(
    'a return-to cookie of somebody else (%s) neither leads away nor uses the link up for nothing',
    async cookie => {
      const answer = await use(await newToken(), { Cookie: `mcp-oauth-return-to=${cookie}` })
      expect([answer.status, answer.headers.get('location')]).toEqual([303, '/'])
    },
  )
})
