/** A person links an account at an upstream server in Chromium, from the account page to the first call. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import type { Browser } from 'playwright-core'
import { createSignInLink } from '../../src/signin/service.ts'
import { launchBrowser, noBrowser, openTab } from '../support/browser.ts'
import { type Front, startFront } from '../support/front.ts'
import { notesUser } from '../support/notes-people.ts'
import { type NotesServer, startNotes } from '../support/notes-server.ts'

setDefaultTimeout(60_000)

let notes: NotesServer
let server: Front
let browser: Browser

beforeAll(async () => {
  if (noBrowser) return
  notes = startNotes()
  server = await startFront({ notes: { url: notes.url, auth: 'user' } })
  browser = await launchBrowser()
})
afterAll(async () => {
  await browser?.close()
  await server?.close()
  await notes?.[Symbol.asyncDispose]()
})

test.skipIf(noBrowser).each([true, false])(
  'account page, question, sign-in there, and back; with scripts: %p',
  async javaScriptEnabled => {
    const { page, complaints, close } = await openTab(browser, { size: 'phone', javaScriptEnabled })
    await page.goto(await createSignInLink(server.deps, 'ada@example.com'))
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await page.waitForURL('**/auth/device')
    await page.goto(`${server.base}/account`)
    await page.getByRole('link', { name: 'Link account' }).click()
    await page.getByRole('heading', { name: 'Link your account at notes?' }).waitFor()
    await page.getByRole('button', { name: 'Continue' }).click()
    await page.getByRole('heading', { name: 'Your account at notes is linked' }).waitFor()
    expect(new URL(page.url()).search).toBe('')
    const ada = await notesUser(server, 'ada')
    expect(await ada.call()).toBe('nobody') // as whom the notes server knows this browser
    await page.getByRole('button', { name: 'Unlink your account at notes' }).click()
    await page.getByRole('link', { name: 'Link account' }).waitFor()
    expect(complaints).toEqual([])
    await close()
  },
)
