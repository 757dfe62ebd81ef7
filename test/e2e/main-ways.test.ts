/** The three main ways, signing in, approving an app and approving a device, without a mouse and without JavaScript. */
// Not on PostgreSQL: it is about pages in a browser; the wire tests of signin/ and oauth/ keep what is decided on both.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { createSignInLink } from '../../src/signin/service.ts'
import { closeTabs, noBrowser, openTab, shows } from '../support/browser.ts'
import { type Callback, startCallback } from '../support/callback.ts'
import { poll, registerClient, requestDevice } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

let server: TestServer
let app: Callback

beforeAll(async () => {
  if (noBrowser) return
  server = await startServer()
  app = startCallback('localhost')
})
afterAll(async () => {
  await closeTabs()
  await app?.close()
  await server?.close()
})

/** What an app opens in the browser. */
async function authorizeUrl(): Promise<string> {
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: await registerClient(server, { grant_types: ['authorization_code'], redirect_uris: [app.url] }),
    redirect_uri: app.url,
    code_challenge: 'A'.repeat(43),
    code_challenge_method: 'S256',
  })
  return `${server.base}/api/oauth/authorize?${query}`
}

/** Moves the focus with Tab until it is on the element with this text, which must show it (WCAG 2.2 2.4.7). */
async function reach(page: Page, text: string): Promise<void> {
  for (let steps = 0; steps < 30; steps++) {
    await page.keyboard.press('Tab')
    const [found, outline] = (await page.evaluate(
      '[document.activeElement.textContent.trim(), getComputedStyle(document.activeElement).outlineStyle]',
    )) as [string, string]
    if (found !== text) continue
    expect([text, outline]).toEqual([text, 'solid'])
    return
  }
  throw new Error(`Tab does not lead to ${text}`)
}

async function activate(page: Page, text: string): Promise<void> {
  await reach(page, text)
  await page.keyboard.press('Enter')
}

test.skipIf(noBrowser)('work with the keyboard alone (WCAG 2.2 2.1.1)', async () => {
  const { page, complaints, close } = await openTab()
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('WebAuthn.enable')
  const options = { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true } as const
  await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: { ...options, isUserVerified: true, automaticPresenceSimulation: true },
  })
  await page.goto(await createSignInLink(server.deps, 'ada@example.com'))
  await activate(page, 'Sign in')
  await page.waitForURL(`${server.base}/`)
  await page.goto(`${server.base}/account/passkeys`)
  await page.locator('#name').focus()
  await page.keyboard.type('laptop')
  await page.keyboard.press('Enter')
  await page.getByText('The passkey “laptop” is added.').waitFor()
  await activate(page, 'Sign out')
  await page.getByText('You are signed out.').waitFor()

  await page.goto(await authorizeUrl())
  await shows(page, /^Sign in to /)
  await activate(page, 'Sign in with a passkey')
  await shows(page, 'Connect this app?')
  await activate(page, 'Approve')
  expect((await app.next()).get('code')).toEqual(expect.any(String))

  const client = await registerClient(server)
  const { device_code, verification_uri_complete } = await requestDevice(server, client)
  await page.getByRole('heading', { name: 'Back in the app' }).waitFor()
  await page.goto(verification_uri_complete)
  await activate(page, 'Continue')
  await shows(page, 'Did you start this?')
  await activate(page, 'Approve')
  await shows(page, 'Approved')
  expect((await poll(server, client, device_code)).status).toBe(200)

  await page.goto(`${server.base}/account`)
  await activate(page, 'Disconnect… Test client')
  await activate(page, 'Disconnect')
  await page.locator('[role=status]:focus').waitFor()
  expect(await page.getByRole('status').textContent()).toBe('Test client is disconnected.')
  expect(complaints).toEqual([])
  await close()
})

test.skipIf(noBrowser)('work without JavaScript', async () => {
  const { page, complaints, close } = await openTab({ size: 'phone', javaScriptEnabled: false })
  const press = (name: string) => page.getByRole('button', { name, exact: true }).click()
  await page.goto(await authorizeUrl())
  await shows(page, /^Sign in to /)
  await page.goto(await createSignInLink(server.deps, 'grace@example.com'))
  await press('Sign in')
  await shows(page, 'Connect this app?')
  await press('Approve')
  expect((await app.next()).get('code')).toEqual(expect.any(String))

  const client = await registerClient(server)
  const { device_code, user_code } = await requestDevice(server, client)
  await page.getByRole('heading', { name: 'Back in the app' }).waitFor()
  await page.goto(`${server.base}/auth/device`)
  await page.getByLabel('Code').fill(user_code)
  await press('Continue')
  await press('Approve')
  await shows(page, 'Approved')
  expect((await poll(server, client, device_code)).status).toBe(200)

  await page.goto(`${server.base}/account`)
  await page.getByText('Rename…').click()
  await page.getByLabel('Name, such as').fill('tablet')
  await press('Save')
  await page.getByText('The connection of Test client is now called “tablet”.').waitFor()
  await page.getByText('Disconnect…').click()
  await press('Disconnect')
  await page.getByText('Test client is disconnected.').waitFor()
  await page.getByText('No app is connected as you.').waitFor()
  expect(complaints).toEqual([])
  await close()
})
