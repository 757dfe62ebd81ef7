/** The page of connected apps in Chromium, with an app that really is connected: the client of the MCP SDK. */
// Not on PostgreSQL: it is about pages in a browser; the wire tests of account/ and oauth/ keep connections on both.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { createSignInLink } from '../../src/signin/service.ts'
import { closeTabs, noBrowser, openTab, type Tab } from '../support/browser.ts'
import { type Callback, startCallback } from '../support/callback.ts'
import { type App, createApp, type Session, VERSIONS } from '../support/sdk-client.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

let server: TestServer
let callback: Callback

beforeAll(async () => {
  if (noBrowser) return
  server = await startServer()
  callback = startCallback('127.0.0.1')
})
afterAll(async () => {
  await closeTabs()
  await callback?.close()
  await server?.close()
})

const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()

async function signedInTab(): Promise<Tab> {
  const tab = await openTab({ size: 'phone' })
  await tab.page.goto(await createSignInLink(server.deps, 'ada@example.com'))
  await press(tab.page, 'Sign in')
  await tab.page.waitForURL(`${server.base}/`)
  return tab
}

async function connect(app: App, page: Page): Promise<Session> {
  const first = app.start()
  await first.connect().catch(() => {})
  await page.goto(app.authorizationUrls.at(-1)!.href)
  await press(page, 'Approve')
  await first.finishAuth(await callback.next())
  await page.getByRole('heading', { name: 'Back in the app' }).waitFor() // before the page is sent elsewhere
  const session = app.start()
  await session.connect()
  return session
}

/**
 * The SDK finds both its tokens revoked, and sends its user to the consent page again. Version 1 may do so twice: a second after
 * its stream ended it opens another one, which may be just now.
 */
async function expectCutOff(app: App, session: Session): Promise<void> {
  const requests = app.requests.length
  const error = await session.whoami().then(() => undefined, String)
  const happened = `${error} after ${app.requests.slice(requests).join(', ')}`
  expect([error !== undefined, app.store.tokens], happened).toEqual([true, undefined])
  expect(app.authorizationUrls.length, happened).toBeGreaterThan(1) // the first one led to the connection
  await session.close()
}

test.skipIf(noBrowser).each(VERSIONS)(
  'an app on the SDK, %s, is listed with its name and what it may do, and Disconnect ends it at once',
  async version => {
    const tab = await signedInTab()
    const { page } = tab
    const app = createApp(version, `${server.base}/mcp`, callback.url)
    const session = await connect(app, page)
    await page.goto(`${server.base}/account`)
    const card = page.getByRole('article').filter({ hasText: `App on ${version}` })
    await card.getByText('unverified name').waitFor()
    expect((await card.getByRole('listitem').allTextContents()).slice(0, 2)).toEqual([
      'See which tools you can use',
      'Use tools as you',
    ])
    await card.getByText(`${server.base}/mcp`).waitFor()
    await card.getByText('Disconnect…').click()
    await card.getByRole('button', { name: 'Disconnect', exact: true }).click()
    await card.waitFor({ state: 'detached' })
    await expectCutOff(app, session)
    expect(tab.complaints).toEqual([])
    await tab.close()
  },
)

test.skipIf(noBrowser)('Sign out everywhere signs out this browser and another, and cuts every app off', async () => {
  const [here, elsewhere] = [await signedInTab(), await signedInTab()]
  const apps = VERSIONS.map(version => createApp(version, `${server.base}/mcp`, callback.url))
  const sessions: Session[] = []
  for (const app of apps) sessions.push(await connect(app, here.page))
  await here.page.goto(`${server.base}/account`)
  await here.page.getByText('Sign out everywhere…').click()
  await press(here.page, 'Sign out everywhere')
  await here.page.waitForURL(`${server.base}/`)
  for (const { page, complaints, close } of [here, elsewhere]) {
    await page.goto(`${server.base}/account`)
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    expect(complaints).toEqual([])
    await close()
  }
  for (const [i, app] of apps.entries()) await expectCutOff(app, sessions[i]!)
})
