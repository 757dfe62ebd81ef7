/** What the operator calls the site, and the files that its pages load. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseConfig } from '../../src/config.ts'
import { noticeCookie } from '../../src/http/notice.ts'
import type { Viewer } from '../../src/http/session.ts'
import { type KeptPage, page, type View } from '../../src/http/shell.ts'
import { contrast, lightened } from '../../src/lib/colours.ts'
import { openSite } from '../../src/site.ts'
import { csrfOf, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const HTML = { Accept: 'text/html' }
const LOGO = '<svg xmlns="http://www.w3.org/2000/svg"><circle r="9"/></svg>'
const directory = mkdtempSync(join(tmpdir(), 'site-'))
let server: TestServer
beforeAll(async () => {
  writeFileSync(join(directory, 'logo.svg'), LOGO)
  const env = { SITE_NAME: 'Ada & <Sons>', SITE_LOGO: join(directory, 'logo.svg'), SITE_ACCENT: '0b6e4f' }
  server = await startServer(env)
})
afterAll(async () => {
  await server.close()
  rmSync(directory, { recursive: true })
})

describe('the header', () => {
  test.each(['/', '/auth/signin', '/nowhere'])('of %s says whose server it is', async path => {
    const html = await (await server.get(path, HTML)).text()
    expect(html).toContain('<span>Ada &amp; &lt;Sons&gt;</span>')
    expect(html).toContain(`<img src="${server.deps.site.logo}" alt=""`)
    expect(html).not.toContain('Sign out')
  })

  test.each(['/', '/account', '/auth/device', '/auth/signin', '/nowhere', '/auth/callback/nobody'])(
    'of %s says who is signed in, and lets them sign out',
    async path => {
      const cookie = await signIn(server)
      const html = await (await server.get(path, { ...HTML, Cookie: cookie })).text()
      expect(html).toContain('<span class="long">ada@example.com</span>')
      const form = { csrf: csrfOf(html, '/auth/signout') }
      const answer = await server.post('/auth/signout', form, { ...HTML, Cookie: cookie })
      expect([answer.status, answer.headers.get('location')]).toEqual([303, '/'])
      expect((await server.get('/account', { ...HTML, Cookie: cookie })).status).toBe(303)
    },
  )
})

test('a page that is kept for strangers is written once for each language and coding, and nobody else gets that', async () => {
  const { deps } = server
  const kept: KeptPage = new Map()
  let writings = 0
  const ask = async (known: { viewer: Viewer | undefined }, headers: Record<string, string> = {}) => {
    const view: View = ({ language, viewer, notice }) =>
      `${++writings} ${language} ${viewer?.email} ${notice}`.padEnd(600)
    const answer = await page(deps, new Request(server.base, { headers }), view, { known, kept })
    const body = new Uint8Array(await answer.arrayBuffer())
    return (answer.headers.get('content-encoding') === 'gzip' ? Buffer.from(Bun.gunzipSync(body)) : Buffer.from(body))
      .toString()
      .trim()
  }
  const stranger = { viewer: undefined }
  const viewer = (await deps.viewers.find(new Request(server.base, { headers: { Cookie: await signIn(server) } })))!
  const german = { 'Accept-Language': 'de', 'Accept-Encoding': 'gzip' }
  const noticed = { Cookie: noticeCookie(deps, 'Done.').split(';')[0]! }
  for (let round = 0; round < 2; round++) {
    expect(await ask(stranger)).toBe('1 en undefined undefined')
    expect(await ask(stranger, german)).toBe('2 de undefined undefined')
    expect(await ask({ viewer })).toBe(`${3 + 2 * round} en ada@example.com undefined`)
    expect(await ask(stranger, noticed)).toBe(`${4 + 2 * round} en undefined Done.`)
  }
})

describe('a notice', () => {
  test('is shown on the next page, once, in the reader’s language, and nobody else can write one', async () => {
    const cookie = await signIn(server)
    const home = await (await server.get('/', { Cookie: cookie })).text()
    const french = { Cookie: cookie, 'Accept-Language': 'fr' }
    const answer = await server.post('/auth/signout', { csrf: csrfOf(home, '/auth/signout') }, french)
    const [, notice] = answer.headers.getSetCookie().map(value => value.split(';')[0]!)
    const shown = await server.get('/', { Cookie: notice! })
    expect(await shown.text()).toContain('<span>Vous êtes déconnecté.</span>')
    expect(shown.headers.getSetCookie()).toEqual([expect.stringContaining('notice=; Path=/; Max-Age=0')])
    const forged = notice!.replace('=', '=A')
    expect(await (await server.get('/', { Cookie: forged })).text()).not.toContain('role="status"')
  })
})

describe('a file of the pages', () => {
  test.each(['style', 'script', 'htmx', 'icon', 'logo'] as const)(
    '%s may be kept for ever, and is sent compressed to those who can read that',
    async name => {
      const path = server.deps.site[name]
      const fetched: (string | null)[][] = await Promise.all(
        ['br', 'gzip;q=0.5, br;q=0', 'identity'].map(async accepted => {
          const answer = await fetch(server.base + path, { headers: { 'Accept-Encoding': accepted } })
          const { headers } = answer
          return [headers.get('cache-control'), headers.get('content-encoding'), await answer.text()]
        }),
      )
      const text = fetched[2]![2]!
      const forEver = 'public, max-age=31536000, immutable'
      expect(fetched).toEqual([
        [forEver, 'br', text],
        [forEver, 'gzip', text],
        [forEver, null, text],
      ])
    },
  )

  test('under an address of another version is the one of this version, not to be kept', async () => {
    const answer = await server.get('/assets/style.AAAAAAAAAA.css')
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-cache'])
    expect(await answer.text()).toContain('--accent:#0b6e4f')
    expect((await server.get('/assets/other.css')).status).toBe(404)
  })
})

test('pages are compressed; a token in them differs each time, so that its size says nothing (BREACH)', async () => {
  const cookie = await signIn(server)
  const get = () => fetch(`${server.base}/auth/device`, { headers: { Cookie: cookie, 'Accept-Encoding': 'br' } })
  const [one, other] = [await get(), await get()]
  expect(one.headers.get('content-encoding')).toBe('br')
  const [first, second] = [await one.text(), await other.text()].map(html => csrfOf(html, '/auth/signout'))
  expect(first).not.toBe(second)
})

describe('SITE_LOGO and SITE_ACCENT', () => {
  const open = (env: Record<string, string>, bytes = 1) =>
    openSite(
      parseConfig(env, () => new Uint8Array(bytes)),
      () => new Uint8Array(bytes),
    )
  test.each<[problem: string, env: Record<string, string>, bytes: number, message: string]>([
    ['a logo of another type', { SITE_LOGO: 'logo.gif' }, 1, 'SITE_LOGO must be a file that ends in .svg'],
    ['a logo that is too large', { SITE_LOGO: 'logo.png' }, 70_000, 'SITE_LOGO has 69 KB'],
    ['a pale accent', { SITE_ACCENT: '#88aaff' }, 1, 'SITE_ACCENT has too little contrast'],
    ['an accent that is no colour', { SITE_ACCENT: 'blue' }, 1, 'SITE_ACCENT must be a colour such as 2457d6'],
  ])('%s is a problem of the configuration', (_, env, bytes, message) => {
    expect(() => open(env, bytes)).toThrow(message)
  })

  test('the dark theme gets a shade of the accent that stands out', () => {
    const black = lightened('#000000', '#1d2027', 6)
    expect(contrast(black, '#1d2027')).toBeGreaterThanOrEqual(6)
    expect(contrast('#ffffff', '#000000')).toBe(21)
  })

  test('without a name, the pages bear the host of BASE_URL', () => {
    expect(open({ BASE_URL: 'https://tools.example.com' }).name).toBe('tools.example.com')
  })
})
