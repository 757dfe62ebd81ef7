import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import {
  csrfOf,
  decide,
  deviceTokens,
  enterCode,
  registerClient,
  requestDevice,
  rpc,
  signIn,
} from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let client: string
let ada: string
beforeAll(async () => {
  server = await startServer()
  client = await registerClient(server)
  ada = await signIn(server)
})
afterAll(() => server.close())

const htmx = (cookie: string, page = '/account') => ({
  Accept: 'text/html',
  Cookie: cookie,
  'HX-Request': 'true',
  'HX-Current-URL': server.base + page,
})
const csrfFor = async (page: string, action: string) =>
  csrfOf(await (await server.get(page, { Cookie: ada })).text(), action)

describe('what htmx asks for', () => {
  test('without a session leads to the sign-in page, and back to the open page', async () => {
    const device = await requestDevice(server, client)
    const page = await decide(server, ada, device.user_code)
    const answers = [
      await server.get(`${page}/status`, htmx('', page)),
      await server.post('/api/oauth/device/verify', { user_code: 'x' }, htmx('', page)),
      await server.post('/account/disconnect', { id: crypto.randomUUID() }, htmx('', page)),
    ]
    for (const answer of answers)
      expect([answer.status, answer.headers.get('hx-redirect'), await answer.text()]).toEqual([
        204,
        `/auth/signin?return_to=${encodeURIComponent(page)}`,
        '',
      ])
    for (const strange of ['', 'nonsense', 'https://evil.example/auth/signout', 'javascript:alert(1)']) {
      const answer = await server.get(`${page}/status`, { ...htmx(''), 'HX-Current-URL': strange })
      expect(answer.headers.get('hx-redirect')).toStartWith('/auth/signin?return_to=')
    }
  })

  test('with a wrong code is the form with what was typed, and with the right one the next page', async () => {
    const csrf = await csrfFor('/auth/device', '/api/oauth/device/verify')
    const wrong = await server.post('/api/oauth/device/verify', { user_code: 'BBBB-BBBB', csrf }, htmx(ada))
    const html = await wrong.text()
    expect([wrong.status, html.startsWith('<div class="card" id="entry">')]).toEqual([400, true])
    for (const text of ['role="alert"', 'value="BBBB-BBBB"', 'aria-describedby="problem"']) expect(html).toContain(text)
    const { user_code } = await requestDevice(server, client)
    const right = await server.post('/api/oauth/device/verify', { user_code, csrf }, htmx(ada))
    expect([right.status, right.headers.get('hx-redirect')]).toEqual([
      204,
      expect.stringMatching(/^\/auth\/device\/[0-9a-f-]{36}$/),
    ])
  })

  test('with an error replaces the open page with that error’s page', async () => {
    const answer = await server.post('/api/oauth/device/verify', { user_code: 'x', csrf: 'stale' }, htmx(ada))
    const swap = ['hx-retarget', 'hx-reswap', 'hx-reselect'].map(name => answer.headers.get(name))
    expect([answer.status, ...swap]).toEqual([403, 'body', 'innerHTML', 'body > *'])
    expect(await answer.text()).toContain('This form has expired')
  })

  test('for a connection ends it, says so, and shows what is left', async () => {
    const grace = await signIn(server, 'grace@example.com')
    const tokens = [await deviceTokens(server, client, grace), await deviceTokens(server, client, grace)]
    const html = await (await server.get('/account', { Cookie: grace })).text()
    const ids = [...new Set([...html.matchAll(/name="id" value="([^"]+)"/g)].map(([, id]) => id!))]
    const csrf = csrfOf(html, '/account/disconnect')
    const end = (id: string) => server.post('/account/disconnect', { id, csrf }, htmx(grace))
    const first = await end(ids[0]!)
    const text = await first.text()
    expect([
      first.status,
      text.includes('No app is connected'),
      text.includes(ids[0]!),
      text.includes(ids[1]!),
    ]).toEqual([200, false, false, true])
    expect(text).toContain('<span>One connection of Test client has ended.</span>')
    expect(await (await end(ids[0]!)).text()).toContain('This connection had already ended.')
    expect(await (await end(ids[1]!)).text()).toContain('No app is connected as you.')
    for (const { access_token } of tokens) expect((await rpc(server, access_token, 'tools/list')).status).toBe(401)
    const plain = await server.post(
      '/account/disconnect',
      { id: ids[0]!, csrf },
      { Cookie: grace, Accept: 'text/html' },
    )
    expect([plain.status, plain.headers.get('location')]).toEqual([303, '/account'])
  })
})

describe('a code that a person typed', () => {
  const wide = (text: string) => text.replace(/[!-~]/g, letter => String.fromCodePoint(letter.codePointAt(0)! + 0xfee0))
  test.each<[string, (code: string) => string]>([
    ['in full width', wide],
    [
      'in full width, with the long vowel mark that input methods write for a dash',
      code => wide(code).replace('\uff0d', '\u30fc'),
    ],
    ['with line breaks and tabs', code => `\r\n\t${code.replace('-', '\n')}\n`],
    ['with no-break, ideographic and zero-width spaces', code => [...code].join('\u200b').replace('-', '\u00a0\u3000')],
    ['with a byte-order mark and marks of direction', code => `\ufeff\u202a${code}\u202c`],
    ['with a minus sign, in quotes', code => `“${code.replace('-', '\u2212')}”`],
    ['in small letters, with dots', code => [...code.toLowerCase()].join('.')],
  ])('%s is the same code', async (_, typed) => {
    const { user_code } = await requestDevice(server, client)
    expect((await enterCode(server, ada, typed(user_code))).status).toBe(303)
  })

  test.each(['', ' ', '\n', '\u0000', '\ud800', 'x'.repeat(5000), '\u202e', '💥', '%zz', 'BBBB-BBBB'])(
    'and is %p shows the form again, never an error page',
    async typed => {
      server.clock.advance(16 * 60)
      const answer = await enterCode(server, ada, typed)
      const html = await answer.text()
      expect([answer.status, html.includes('role="alert"'), html.includes('name="user_code"')]).toEqual([
        400,
        true,
        true,
      ])
      const link = await server.get(`/auth/device?code=${encodeURIComponent(typed.toWellFormed())}`, { Cookie: ada })
      expect(link.status).toBe(200)
    },
  )

  test('or left empty does not count as a guess', async () => {
    server.clock.advance(16 * 60)
    for (let i = 0; i < 7; i++) expect((await enterCode(server, ada, '')).status).toBe(400)
    const { user_code } = await requestDevice(server, client)
    expect((await enterCode(server, ada, user_code)).status).toBe(303)
  })
})
