// Not on PostgreSQL: it is about what Chromium does with a policy.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { createSignInLink } from '../../src/signin/service.ts'
import { closeTabs, noBrowser, openTab } from '../support/browser.ts'
import { startCallback } from '../support/callback.ts'
import { registerClient } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

let server: TestServer

beforeAll(async () => {
  if (noBrowser) return
  server = await startServer()
})
afterAll(async () => {
  await closeTabs()
  await server?.close()
})

test.skipIf(noBrowser)(
  'an app may send the browser on from its redirect URI to a page on the web (CSP form-action)',
  async () => {
    const web = startCallback('client.example', { tls: true })
    const success = new URL('/success', web.url).href
    const local = startCallback('localhost', { onward: success })
    const query = new URLSearchParams({
      response_type: 'code',
      client_id: await registerClient(server, {
        grant_types: ['authorization_code'],
        redirect_uris: [local.url],
      }),
      redirect_uri: local.url,
      code_challenge: 'A'.repeat(43),
      code_challenge_method: 'S256',
    })
    const { page, complaints, close } = await openTab()
    await page.goto(await createSignInLink(server.deps, 'ada@example.com'))
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.waitForURL(`${server.base}/`)
    await page.goto(`${server.base}/api/oauth/authorize?${query}`)
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.waitForURL(success)
    expect((await local.next()).get('code')).toEqual(expect.any(String))
    expect(complaints).toEqual([])
    await close()
    await local.close()
    await web.close()
  },
)

test.skipIf(noBrowser)(
  'an app may send the browser on to its private-use scheme; the page says what to do',
  async () => {
    const local = startCallback('localhost', { onward: 'pocket-app://signed-in' })
    const query = new URLSearchParams({
      response_type: 'code',
      client_id: await registerClient(server, { grant_types: ['authorization_code'], redirect_uris: [local.url] }),
      redirect_uri: local.url,
      code_challenge: 'A'.repeat(43),
      code_challenge_method: 'S256',
    })
    const { page, complaints, close } = await openTab()
    await page.goto(await createSignInLink(server.deps, 'ada@example.com'))
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.goto(`${server.base}/api/oauth/authorize?${query}`)
    await page.getByRole('button', { name: 'Approve' }).click()
    expect((await local.next()).get('code')).toEqual(expect.any(String))
    await page.getByText('you can close this window').waitFor()
    expect(complaints.filter(text => text.includes('Content Security Policy'))).toEqual([])
    await close()
    await local.close()
  },
)
