/**
 * The way back to an app that the user need not be asked about again: sign-in form, authorization endpoint, app. Chromium
 * holds every redirect that follows a form against the form-action of the form's page, so only a browser shows that it arrives.
 */
// Not on PostgreSQL: it is about what Chromium does with redirects.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { addClient } from '../../src/oauth/clients/index.ts'
import { createSignInLink } from '../../src/signin/service.ts'
import { closeTabs, noBrowser, openTab } from '../support/browser.ts'
import { type Callback, startCallback } from '../support/callback.ts'
import { type FakeProvider, startFakeProvider } from '../support/fake-openid-provider.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

let provider: FakeProvider
let server: TestServer
/** On another host than the server and the provider, over TLS: where consent is remembered. */
let app: Callback
let authorizationUrl: string

beforeAll(async () => {
  if (noBrowser) return
  provider = await startFakeProvider(() => server.deps.now())
  server = await startServer({ ...provider.env, ALLOWED_DOMAINS: 'example.com' })
  app = startCallback('client.example', { tls: true })
  const { id } = await addClient(server.deps, {
    name: 'House app',
    grantTypes: ['authorization_code', 'refresh_token'],
    redirectUris: [app.url],
    scope: ['mcp:tools:read', 'mcp:tools:call'],
  })
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: id,
    redirect_uri: app.url,
    state: 'xyz',
    code_challenge: 'A'.repeat(43),
    code_challenge_method: 'S256',
  })
  authorizationUrl = `${server.base}/api/oauth/authorize?${query}`
})
afterAll(async () => {
  await closeTabs()
  await app?.close()
  await server?.close()
  await provider?.stop()
})

const press = (page: Page, name: string | RegExp) => page.getByRole('button', { name }).click()

const WAYS: [how: string, signIn: (page: Page) => Promise<void>][] = [
  ['the provider, who knows them already', page => press(page, /^Continue with/)],
  [
    'a one-time link',
    async page => {
      await page.goto(await createSignInLink(server.deps, 'mallory@example.com'))
      await press(page, 'Sign in')
    },
  ],
]

test.skipIf(noBrowser).each(WAYS)(
  'who signs in through %s is asked once, and then goes straight to the app',
  async (_, signIn) => {
    for (const asked of [true, false]) {
      const { page, complaints, close } = await openTab()
      await page.goto(authorizationUrl)
      await signIn(page)
      if (asked) await press(page, 'Approve')
      await page.waitForURL(`${app.url}?**`)
      await page.getByRole('heading', { name: 'Back in the app' }).waitFor()
      expect(Object.fromEntries(await app.next())).toEqual({ code: expect.any(String), state: 'xyz', iss: server.base })
      expect(complaints).toEqual([])
      await close()
    }
    await server.deps.sql`delete from consents`
  },
)
