/** Plain http away from loopback, where Chromium says nothing in Sec-Fetch-Site: only Origin and a cookie tell a forged form. */
// Not on PostgreSQL: it is about what a browser sends.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { createSignInLink } from '../../src/signin/service.ts'
import { closeTabs, noBrowser, openTab, shows } from '../support/browser.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

const HOST = 'auth.example'

let server: TestServer
let base: string

beforeAll(async () => {
  if (noBrowser) return
  server = await startServer()
  base = server.base.replace('localhost', HOST)
  server.deps.config.BASE_URL = base
})
afterAll(async () => {
  await closeTabs()
  await server?.close()
})

test.skipIf(noBrowser)('our own forms sign in, enter a code and sign out', async () => {
  const { page, complaints, close } = await openTab()
  const posts: (string | null)[][] = []
  page.on('request', request => {
    if (request.method() !== 'POST') return
    void request.allHeaders().then(({ origin, 'sec-fetch-site': site }) => posts.push([origin ?? null, site ?? null]))
  })
  await page.goto(await createSignInLink(server.deps, 'ada@example.com'))
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL(`${base}/`)
  await page.goto(`${base}/auth/device`)
  await page.getByLabel('Code').fill('BBBB-BBBB')
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.getByRole('alert').waitFor()
  await page.goto(`${base}/account`)
  await page.getByRole('button', { name: 'Sign out', exact: true }).click()
  await page.waitForURL(`${base}/`)
  expect(posts).toEqual([
    [base, null],
    [base, null],
    [base, null],
  ])
  expect(complaints).toEqual([])
  await close()
})

test.skipIf(noBrowser).each([
  ['of another site', ''],
  ['whose Origin is hidden by a sandboxed frame', 'sandbox'],
  ['whose Origin is hidden by a referrer policy', 'no-referrer'],
])('a form %s does not sign a browser in (login CSRF)', async (_, how) => {
  const link = await createSignInLink(server.deps, 'mallory@example.com')
  const token = new URL(link).searchParams.get('token')
  const form = `<form method="post" action="${base}/auth/signin/link"><input name="token" value="${token}"></form><script>document.forms[0].submit()</script>`
  const evil = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: () =>
      new Response(form, {
        headers: {
          'Content-Type': 'text/html',
          ...(how === 'sandbox' ? { 'Content-Security-Policy': 'sandbox allow-scripts allow-forms' } : {}),
          ...(how === 'no-referrer' ? { 'Referrer-Policy': 'no-referrer' } : {}),
        },
      }),
  })
  const { page, close } = await openTab()
  // The victim has been on our sign-in page, so that the cookie is there.
  await page.goto(`${base}/auth/signin`)
  await page.goto(`http://evil.example:${evil.port}/`)
  await page.waitForURL(`${base}/auth/signin/link`)
  await shows(page, 'This form has expired')
  await page.goto(`${base}/account`)
  await shows(page, /^Sign in to /)
  await close()
  await evil.stop(true)
})
