/** Passkeys with Chromium's virtual authenticator (WebAuthn Level 3, 11): adding, signing in, renaming, removing, and misuse. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { CDPSession, Page } from 'playwright-core'
import { createSignInLink, disableUsers, enableUsers } from '../../src/signin/service.ts'
import { newestEvents } from '../support/audit.ts'
import { closeTabs, noBrowser, openTab, shows, type Tab } from '../support/browser.ts'
import { registerClient, requestDevice, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

let server: TestServer

beforeAll(async () => {
  if (!noBrowser) server = await startServer()
})
afterAll(async () => {
  await closeTabs()
  await server?.close()
})

const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()

interface Device {
  cdp: CDPSession
  id: string
}

/** A device with a fingerprint reader in a tab's browser. */
async function plugIn({ page }: Tab): Promise<Device> {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('WebAuthn.enable')
  const { authenticatorId: id } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  })
  return { cdp, id }
}

async function signInWithLink({ page }: Tab, email: string): Promise<void> {
  await page.goto(await createSignInLink(server.deps, email))
  await press(page, 'Sign in')
  await page.waitForURL(`${server.base}/`)
}

async function add({ page }: Tab, name: string): Promise<void> {
  await page.goto(`${server.base}/account/passkeys`)
  await page.locator('#name').fill(name)
  await press(page, 'Add a passkey')
  await page.getByText(`The passkey “${name}” is added.`).waitFor()
}

async function signOut({ page }: Tab): Promise<void> {
  await press(page, 'Sign out')
  await page.getByText('You are signed out.').waitFor()
}

describe.skipIf(noBrowser)('a person', () => {
  test('adds a passkey after the first link, and then signs in without a name; a device’s code is kept', async () => {
    const tab = await openTab({ size: 'phone' })
    const { page, complaints } = tab
    await plugIn(tab)
    await signInWithLink(tab, 'ada@example.com')
    await add(tab, 'phone')
    await signOut(tab)

    const { verification_uri_complete, user_code } = await requestDevice(server, await registerClient(server))
    await page.goto(verification_uri_complete)
    await press(page, 'Sign in with a passkey')
    await shows(page, 'Connect a device')
    expect(await page.getByLabel('Code', { exact: true }).inputValue()).toBe(user_code)

    await page.goto(`${server.base}/account/passkeys`)
    const row = page.getByRole('listitem').filter({ hasText: 'phone' })
    await row.getByText('Last used').waitFor()
    await row.getByText('Rename…').click()
    await row.getByLabel('Name, such as').fill('pocket')
    await press(page, 'Save')
    await page.getByText('The passkey is renamed.').waitFor()
    await page.getByText('Remove…').click()
    await page.getByText('This is your only way to sign in.').waitFor()
    await server.deps.audit.flush()
    const events = (await newestEvents(server, 20)).filter(({ email }) => email === 'ada@example.com')
    const signedIn = events.flatMap(({ event, detail }) => (event === 'user.signed_in' ? [detail.how] : []))
    expect([signedIn, events.some(({ event }) => event === 'passkey.added')]).toEqual([['passkey', 'link'], true])
    expect(complaints).toEqual([])
    await tab.close()
  })

  test('has several, and loses only the one that is removed', async () => {
    const [first, second] = [await openTab(), await openTab()]
    for (const [tab, name] of [
      [first, 'laptop'],
      [second, 'key'],
    ] as const) {
      await plugIn(tab)
      await signInWithLink(tab, 'grace@example.com')
      await add(tab, name)
    }
    await first.page.reload()
    await first.page.getByRole('listitem').filter({ hasText: 'key' }).getByText('Remove…').click()
    await press(first.page, 'Remove')
    await first.page.getByText('The passkey “key” is removed.').waitFor()
    for (const [{ page }, works] of [
      [first, true],
      [second, false],
    ] as const) {
      await signOut({ page } as Tab)
      await page.goto(`${server.base}/auth/signin?return_to=/account`)
      await press(page, 'Sign in with a passkey')
      await shows(page, works ? 'Connected apps' : 'The passkey was not accepted')
      await page.context().close()
    }
  })

  test('who is disabled cannot sign in with it; a clone whose counter falls behind is refused', async () => {
    const tab = await openTab()
    const { page } = tab
    const device = await plugIn(tab)
    await signInWithLink(tab, 'hedy@example.com')
    await add(tab, 'laptop')
    await signOut(tab)
    const tryIt = async (heading: string) => {
      await page.goto(`${server.base}/auth/signin?return_to=/account`)
      await press(page, 'Sign in with a passkey')
      await shows(page, heading)
    }
    await disableUsers(server.deps, 'hedy@example.com')
    await tryIt('The passkey was not accepted')
    await enableUsers(server.deps, 'hedy@example.com')
    await tryIt('Connected apps')
    await signOut(tab)
    const { credentials } = await device.cdp.send('WebAuthn.getCredentials', { authenticatorId: device.id })
    await server.deps.sql`update passkeys set counter = 1000 where name = 'laptop'`
    await tryIt('The passkey was not accepted')
    expect(credentials.length).toBe(1)
    await tab.close()
  })

  test('is told when the sign-in is too old, or nothing was verified: the device must recognize its owner', async () => {
    const tab = await openTab()
    const { page } = tab
    const { cdp, id: authenticatorId } = await plugIn(tab)
    await signInWithLink(tab, 'joan@example.com')
    await add(tab, 'laptop')
    server.clock.advance(31 * 60)
    await page.locator('#name').fill('another')
    await press(page, 'Add a passkey')
    await page.getByText('You signed in a while ago.').waitFor()
    await signOut(tab)
    await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false })
    await page.goto(`${server.base}/auth/signin`)
    await press(page, 'Sign in with a passkey')
    await page.getByText('No passkey was used.').waitFor()
    await tab.close()
  })
})

describe.skipIf(noBrowser)('an answer', () => {
  test('is accepted once, only in the browser that asked, and only while its challenge is fresh', async () => {
    const tab = await openTab()
    const { page } = tab
    await plugIn(tab)
    await signInWithLink(tab, 'katherine@example.com')
    await add(tab, 'laptop')
    await signOut(tab)
    // Keeps what the form would send.
    const sent: { body: string; cookie: string }[] = []
    await page.route('**/auth/passkey', async route => {
      sent.push({ body: route.request().postData()!, cookie: (await route.request().allHeaders()).cookie! })
      await route.fulfill({ status: 204 }) // the page stays
    })
    const catchOne = async () => {
      await page.goto(`${server.base}/auth/signin?return_to=/account`)
      await press(page, 'Sign in with a passkey')
      while (sent.length === 0) await Bun.sleep(10)
      return sent.pop()!
    }
    const send = async ({ body, cookie }: { body: string; cookie: string }) => {
      const form = Object.fromEntries(new URLSearchParams(body))
      return (await server.post('/auth/passkey', form, { Cookie: cookie, Accept: 'text/html' })).status
    }
    const caught = await catchOne()
    const elsewhere = caught.cookie.replace(/mcp-oauth-passkey=[^;]+/, '')
    expect([await send({ ...caught, cookie: elsewhere }), await send(caught), await send(caught)]).toEqual([
      403, 303, 403,
    ])
    const late = await catchOne()
    server.clock.advance(301)
    expect(await send(late)).toBe(403)
    const forged = { ...(await catchOne()) }
    forged.body = forged.body.replace(/csrf=[^&]+/, 'csrf=x')
    expect(await send(forged)).toBe(403)
    await tab.close()
  })
})

test.skipIf(noBrowser)(
  'others’ passkeys can be neither renamed nor removed, and none can be added to another session',
  async () => {
    const [row] = await server.deps.sql<{ id: string }[]>`select id from passkeys limit 1`
    const mallory = await signIn(server, 'mallory@example.com')
    const csrf = /name="csrf" value="([^"]+)"/.exec(
      (await (await server.get('/account/passkeys', { Cookie: mallory })).text()).split('/account/passkeys/add')[1]!,
    )![1]!
    const headers = { Cookie: mallory, Accept: 'text/html' }
    for (const action of ['rename', 'remove'])
      await server.post(`/account/passkeys/${action}`, { id: row!.id, name: 'mine', csrf }, headers)
    const [after] = await server.deps.sql<{ name: string }[]>`select name from passkeys where id = ${row!.id}`
    expect(after!.name).not.toBe('mine')
    const answer = await server.post('/account/passkeys/add', { credential: '{}', name: 'x', csrf }, headers)
    expect(answer.status).toBe(403)
    server.clock.advance(31 * 60)
    const late = await server.post('/account/passkeys/options', { csrf }, headers)
    expect([late.status, late.headers.get('location')]).toEqual([
      303,
      '/auth/signin?return_to=%2Faccount%2Fpasskeys&again=1',
    ])
  },
)
