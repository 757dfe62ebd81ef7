// Not on PostgreSQL: it is about pages in a browser; the wire tests of oauth/device keep the codes on both.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { createSignInLink } from '../../src/signin/service.ts'
import {
  closeTabs,
  EVERY_SIZE,
  noBrowser,
  openTab,
  overflow,
  shows,
  type Tab,
  type TabOptions,
} from '../support/browser.ts'
import { poll, registerClient, requestDevice, rpc, type TokenAnswer } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

let server: TestServer
let client: string

beforeAll(async () => {
  if (noBrowser) return
  server = await startServer()
  client = await registerClient(server, { client_name: 'Pocket assistant' })
})
afterAll(async () => {
  await closeTabs()
  await server?.close()
})

/** Out of reach of the earlier tests' rate limits. */
const later = () => server.clock.advance(16 * 60)

const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()
const code = (page: Page) => page.getByLabel('Code')

async function followSignInLink(page: Page): Promise<void> {
  await page.goto(await createSignInLink(server.deps, 'ada@example.com'))
  await press(page, 'Sign in')
}

async function signedInTab(options: TabOptions = {}): Promise<Tab> {
  const tab = await openTab(options)
  await followSignInLink(tab.page)
  return tab
}

/** Every test ends with this: no console error, no violation of the content security policy, nothing that did not load. */
async function closeSilent({ complaints, close }: Tab): Promise<void> {
  expect(complaints).toEqual([])
  await close()
}

async function enter(page: Page, userCode: string): Promise<void> {
  await page.goto(`${server.base}/auth/device`)
  await code(page).fill(userCode)
  await press(page, 'Continue')
  await page.locator('[role=alert], .decision').waitFor()
}

async function pollError(deviceCode: string): Promise<string> {
  return ((await (await poll(server, client, deviceCode)).json()) as { error: string }).error
}

describe('the device page in Chromium (RFC 8628 3.3)', () => {
  test.skipIf(noBrowser).each(EVERY_SIZE)(
    'on a %s: a code typed by hand is approved, and the page notices by itself when the device has its token',
    async size => {
      const tab = await signedInTab({ size })
      const { page } = tab
      const asked: string[] = []
      page.on('request', request => request.url().endsWith('/status') && asked.push(request.url()))
      await page.clock.install()
      const { user_code, device_code } = await requestDevice(server, client)
      await enter(page, user_code.toLowerCase().replace('-', ' '))
      await shows(page, 'Did you start this?')
      await page.getByText('Pocket assistant').waitFor()
      await page.getByText(user_code).waitFor()
      await press(page, 'Approve')
      await shows(page, 'Approved')
      await page.evaluate('window.sameDocument = true')

      const answered = page.waitForResponse(/\/status$/)
      await page.clock.runFor(2_000)
      await answered
      await shows(page, 'Approved')
      expect((await poll(server, client, device_code)).status).toBe(200)
      await page.clock.runFor(2_000)
      await page.getByRole('heading', { name: 'Connected' }).waitFor()
      expect(await page.title()).toStartWith('Connected · ')
      expect(await page.evaluate('window.sameDocument')).toBe(true)

      const before = asked.length
      await page.clock.runFor(20_000)
      expect([before > 0, asked.length]).toEqual([true, before])
      await closeSilent(tab)
    },
  )

  test.skipIf(noBrowser).each(EVERY_SIZE)(
    'on a %s: the link with the code in it fills the code in, and Deny denies, also at 320 pixels',
    async size => {
      const tab = await signedInTab({ size })
      const { page } = tab
      await page.setViewportSize({ width: 320, height: 568 })
      const { user_code, device_code, verification_uri_complete } = await requestDevice(server, client)
      await page.goto(verification_uri_complete)
      expect(await code(page).inputValue()).toBe(user_code)
      expect(await overflow(page)).toBe(0)
      await press(page, 'Continue')
      await page.getByRole('heading', { name: 'Did you start this?' }).waitFor()
      expect(await overflow(page)).toBe(0)
      expect(await pollError(device_code)).toBe('authorization_pending')
      await press(page, 'Deny')
      await shows(page, 'Denied')
      expect(await overflow(page)).toBe(0)
      expect(await pollError(device_code)).toBe('access_denied')
      await closeSilent(tab)
    },
  )

  test.skipIf(noBrowser)('works with the keyboard alone (WCAG 2.2 2.1.1)', async () => {
    const tab = await signedInTab()
    const { page } = tab
    const { user_code, device_code } = await requestDevice(server, client)
    await page.goto(`${server.base}/auth/device`)
    await page.locator('#user_code:focus').waitFor()
    await page.keyboard.type(user_code)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Did you start this?' }).waitFor()
    const reached: unknown[] = []
    for (let i = 0; i < 8; i++) {
      await page.keyboard.press('Tab')
      reached.push(await page.evaluate('document.activeElement.textContent'))
    }
    expect(reached).toEqual([
      'Skip to the content',
      new URL(server.base).host,
      'Accountada@example.com',
      'Sign out',
      '',
      '',
      'Deny',
      'Approve',
    ])
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Approved' }).waitFor()
    expect((await poll(server, client, device_code)).status).toBe(200)
    await closeSilent(tab)
  })

  test.skipIf(noBrowser)('works without JavaScript, from signing in to Connected', async () => {
    const tab = await openTab({ size: 'phone', javaScriptEnabled: false })
    const { page } = tab
    const { user_code, device_code, verification_uri_complete } = await requestDevice(server, client)
    await page.goto(verification_uri_complete)
    await shows(page, /^Sign in to /)
    await followSignInLink(page)
    expect(await code(page).inputValue()).toBe(user_code)
    await press(page, 'Continue')
    await press(page, 'Approve')
    const look = page.getByRole('link', { name: 'See whether it has connected' })
    await look.click()
    await shows(page, 'Approved')
    expect((await poll(server, client, device_code)).status).toBe(200)
    await look.click()
    await shows(page, 'Connected')
    await closeSilent(tab)
  })

  test.skipIf(noBrowser)('returns to the code after signing in on the way', async () => {
    const tab = await openTab({ size: 'phone' })
    const { page } = tab
    const { user_code, verification_uri_complete } = await requestDevice(server, client)
    await page.goto(verification_uri_complete)
    await shows(page, /^Sign in to /)
    await followSignInLink(page)
    await page.waitForURL(verification_uri_complete)
    expect(await code(page).inputValue()).toBe(user_code)
    await closeSilent(tab)
  })

  test.skipIf(noBrowser)('keeps a wrong code in the field and says what to do, until there are too many', async () => {
    later()
    const tab = await signedInTab({ size: 'phone' })
    const { page } = tab
    const alert = page.getByRole('alert')
    await page.goto(`${server.base}/auth/device`)
    await page.evaluate('window.sameDocument = true')
    for (let i = 0; i < 5; i++) {
      await code(page).fill('BBBB-BBBB')
      await press(page, 'Continue')
      await alert.filter({ hasText: `Tries left: ${4 - i}.` }).waitFor()
      // The message comes without a page load, and the field has the focus.
      expect(await page.evaluate('window.sameDocument')).toBe(true)
      await page.locator('#user_code:focus').waitFor()
      expect(await alert.textContent()).toContain('No device is waiting with this code')
      expect(await code(page).inputValue()).toBe('BBBB-BBBB')
      expect(await code(page).getAttribute('aria-describedby')).toBe(await alert.getAttribute('id'))
    }
    const { user_code } = await requestDevice(server, client)
    await code(page).fill(user_code)
    await press(page, 'Continue')
    const refused = alert.filter({ hasText: 'Too many wrong codes. Wait 15 minutes' })
    await refused.waitFor()
    await page.getByRole('link', { name: 'Try again' }).click()
    await refused.waitFor()
    expect(await code(page).count()).toBe(0)
    later()
    await closeSilent(tab)
  })

  test.skipIf(noBrowser)('says that a code has expired: before it was entered, and before it was decided', async () => {
    later()
    const tab = await signedInTab()
    const { page } = tab
    const first = await requestDevice(server, client)
    server.clock.advance(601)
    await enter(page, first.user_code)
    expect(await page.getByRole('alert').textContent()).toContain('expires after a few minutes')
    const second = await requestDevice(server, client)
    await enter(page, second.user_code)
    server.clock.advance(601)
    await press(page, 'Approve')
    await shows(page, 'This code has expired')
    expect(await pollError(second.device_code)).toBe('expired_token')
    await closeSilent(tab)
  })

  test.skipIf(noBrowser)('keeps waiting when the server is down for a moment', async () => {
    const tab = await signedInTab()
    const { page } = tab
    const { user_code, device_code } = await requestDevice(server, client)
    await enter(page, user_code)
    await page.route(/\/status$/, route => route.fulfill({ status: 503, body: '<h1>Back in a moment</h1>' }), {
      times: 1,
    })
    await page.clock.install()
    await press(page, 'Approve')
    const answered = page.waitForResponse(/\/status$/)
    await page.clock.runFor(2_000)
    await (await answered).finished()
    await shows(page, 'Approved')
    expect((await poll(server, client, device_code)).status).toBe(200)
    await page.clock.runFor(2_000)
    await page.getByRole('heading', { name: 'Connected' }).waitFor()
    await tab.close()
  })

  test.skipIf(noBrowser)('leads to the sign-in page and back when the session ends while it waits', async () => {
    const tab = await signedInTab()
    const { page } = tab
    const { user_code } = await requestDevice(server, client)
    await enter(page, user_code)
    await page.clock.install()
    await press(page, 'Approve')
    const waiting = page.url()
    await page.context().clearCookies()
    await page.clock.runFor(2_000)
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await followSignInLink(page)
    await page.getByRole('heading', { name: 'Approved' }).waitFor()
    expect(page.url()).toBe(waiting)
    await closeSilent(tab)
  })

  test.skipIf(noBrowser)('shows an error of the form as a page, not in the card', async () => {
    const { page, close } = await signedInTab()
    await page.goto(`${server.base}/auth/device`)
    await page.evaluate(`document.querySelector('#entry [name=csrf]').value = 'stale'`)
    await code(page).fill('BBBB-BBBB')
    await press(page, 'Continue')
    await page.getByRole('heading', { name: 'This form has expired' }).waitFor()
    expect([await page.locator('header').count(), await page.locator('.card').count()]).toEqual([1, 1])
    await close()
  })

  test.skipIf(noBrowser)('runs no injected script (SECURITY: content security policy)', async () => {
    const { page, complaints, close } = await signedInTab()
    await page.goto(`${server.base}/auth/device`)
    await page.evaluate(`document.body.append(
      Object.assign(document.createElement('script'), { textContent: 'window.ran = true' }),
    )`)
    expect(await page.evaluate('typeof window.ran')).toBe('undefined')
    expect(complaints).toEqual([expect.stringContaining('Content Security Policy')])
    await close()
  })
})

describe('the connected apps in Chromium', () => {
  test.skipIf(noBrowser)('shows an app as soon as it has connected, and Disconnect ends its token', async () => {
    const tab = await signedInTab({ size: 'phone' })
    const { page } = tab
    const name = 'Soon gone'
    const gone = await registerClient(server, { client_name: name })
    const { user_code, device_code } = await requestDevice(server, gone)
    await enter(page, user_code)
    await press(page, 'Approve')
    const { access_token } = (await (await poll(server, gone, device_code)).json()) as TokenAnswer
    expect((await rpc(server, access_token, 'tools/list')).status).toBe(200)
    await page.getByRole('link', { name: 'Your connected apps' }).click()
    const app = page.getByRole('article').filter({ hasText: name })
    await page.evaluate('window.sameDocument = true')
    await app.getByText('Disconnect…').click()
    await app.getByRole('button', { name: 'Disconnect', exact: true }).click()
    await app.waitFor({ state: 'detached' })
    const word = page.getByRole('status')
    expect(await word.textContent()).toContain(`${name} is disconnected.`)
    await page.locator('[role=status]:focus').waitFor()
    expect(await page.evaluate('window.sameDocument')).toBe(true)
    expect((await rpc(server, access_token, 'tools/list')).status).toBe(401)
    await press(page, 'Sign out')
    await page.goto(`${server.base}/account`)
    await shows(page, /^Sign in to /)
    await closeSilent(tab)
  })
})
