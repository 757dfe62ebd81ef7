/** The clients of the MCP SDK get their own tokens; Chromium acts for the person. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { Page } from 'playwright-core'
import { createSignInLink } from '../../src/signin/service.ts'
import { closeTabs, noBrowser, openTab, shows, type Tab } from '../support/browser.ts'
import { type Callback, startCallback } from '../support/callback.ts'
import { type DocumentHost, startDocumentHost } from '../support/document-host.ts'
import {
  type App,
  type AppOptions,
  createApp,
  type Session,
  STATE,
  VERSIONS,
  type Version,
} from '../support/sdk-client.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

const USER_TOOLS = ['list_connections', 'whoami']
const DEFAULT_WORDS = ['See which tools you can use', 'Use tools as you']
const HOUR = 3600

let server: TestServer
let host: DocumentHost
let callback: Callback

beforeAll(async () => {
  if (noBrowser) return
  host = await startDocumentHost()
  server = await startServer({}, host.outbound)
  callback = startCallback('localhost')
})
afterAll(async () => {
  await closeTabs()
  await callback?.close()
  await server?.close()
  host?.close()
})

const appOf = (version: Version, options: AppOptions = {}, redirectUrl = callback.url) =>
  createApp(version, `${server.base}/mcp`, redirectUrl, options)
const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()
const consentHeading = (page: Page) => page.getByRole('heading', { name: 'Connect this app?' })
const permissions = (page: Page) => page.locator('fieldset label').allTextContents()

/** Both SDKs say with this error that the user was sent to the authorization endpoint. */
async function expectSentToUser(work: Promise<unknown>): Promise<void> {
  expect(await work.then(String, error => (error as Error).constructor.name)).toBe('UnauthorizedError')
}

/** Opens where an application sent its user, and signs in with a link on the way. */
async function arriveAtConsent(page: Page, url: URL): Promise<void> {
  await page.goto(url.href)
  await shows(page, /^Sign in to /)
  await page.goto(await createSignInLink(server.deps, 'ada@example.com'))
  await press(page, 'Sign in')
  await consentHeading(page).waitFor()
}

/** Presses a button on the consent page. @returns the parameters that the application gets at its redirect URI. */
async function decide(page: Page, decision: 'Approve' | 'Deny', at: Callback = callback): Promise<URLSearchParams> {
  await press(page, decision)
  await page.waitForURL(`${at.url}**`)
  await shows(page, 'Back in the app')
  return at.next()
}

/** The whole flow. @returns a connected session, and the person's tab. */
async function dance(app: App): Promise<{ session: Session; tab: Tab }> {
  const first = app.start()
  await expectSentToUser(first.connect())
  const tab = await openTab()
  await arriveAtConsent(tab.page, app.authorizationUrls.at(-1)!)
  await first.finishAuth(await decide(tab.page, 'Approve'))
  const session = app.start()
  await session.connect()
  return { session, tab }
}

async function endSilent(tab: Tab, ...sessions: Session[]): Promise<void> {
  for (const session of sessions) await session.close()
  expect(tab.complaints).toEqual([])
  await tab.close()
}

describe.each(VERSIONS)('the client of the MCP SDK, %s', version => {
  test.skipIf(noBrowser).each(['localhost', '127.0.0.1'])(
    'goes from 401 over metadata, registration, sign-in and consent to a tool call, answered at http://%s',
    async name => {
      const at = startCallback(name)
      const app = appOf(version, {}, at.url)
      const first = app.start()
      await expectSentToUser(first.connect())
      expect(app.requests).toEqual([
        'POST /mcp 401',
        'GET /.well-known/oauth-protected-resource/mcp 200',
        'GET /.well-known/oauth-authorization-server 200',
        'POST /api/oauth/register 201',
      ])

      const tab = await openTab({ size: 'phone' })
      await arriveAtConsent(tab.page, app.authorizationUrls[0]!)
      await tab.page.getByText(`App on ${version}`).waitFor()
      await tab.page.getByText('unverified name').waitFor()
      expect((await permissions(tab.page)).slice(0, 2)).toEqual(DEFAULT_WORDS)
      const answer = await decide(tab.page, 'Approve', at)
      expect(Object.fromEntries(answer)).toEqual({
        code: expect.stringMatching(/^\S{40,}$/),
        state: STATE,
        iss: server.base,
      })
      await first.finishAuth(answer)

      app.requests.length = 0
      const session = app.start()
      await session.connect()
      expect(await session.listTools()).toEqual(USER_TOOLS)
      expect(await session.whoami()).toMatchObject({
        user: { email: 'ada@example.com', admin: false },
        client: { name: `App on ${version}` },
        resource: `${server.base}/mcp`,
      })
      expect(app.requests.filter(request => !/^(POST \/mcp 20[02]|GET \/mcp (200|405))$/.test(request))).toEqual([])
      await endSilent(tab, first, session)
      await at.close()
    },
  )

  test.skipIf(noBrowser)('gets access_denied when the person presses Deny (RFC 6749 4.1.2.1)', async () => {
    const app = appOf(version)
    const session = app.start()
    await expectSentToUser(session.connect())
    const tab = await openTab()
    await arriveAtConsent(tab.page, app.authorizationUrls[0]!)
    const answer = await decide(tab.page, 'Deny')
    expect(Object.fromEntries(answer)).toEqual({
      error: 'access_denied',
      error_description: 'The user denied the request',
      state: STATE,
      iss: server.base,
    })
    // Version 2 reads the answer itself; for version 1 there is no code to hand over.
    if (version === 'version 2') await expect(session.finishAuth(answer)).rejects.toThrow('The user denied the request')
    expect(app.store.tokens).toBeUndefined()
    await endSilent(tab, session)
  })

  test.skipIf(noBrowser)('refreshes by itself when the access token has expired, and nobody is asked', async () => {
    const app = appOf(version)
    const { session, tab } = await dance(app)
    for (let hour = 0; hour < 3; hour++) {
      const before = app.store.tokens!
      server.clock.advance(HOUR + 1)
      expect(await session.whoami()).toMatchObject({ user: { email: 'ada@example.com' } })
      expect(app.store.tokens!.refresh_token).not.toBe(before.refresh_token)
      expect(app.store.tokens!.access_token).not.toBe(before.access_token)
    }
    expect(app.authorizationUrls.length).toBe(1)
    await endSilent(tab, session)
  })

  test.skipIf(noBrowser)(
    'two processes that share a token store and refresh at the same moment both go on, then and later',
    async () => {
      // Refreshes wait here until both processes have sent theirs, so that both hold the same refresh token.
      const sent: string[] = []
      let bothSent = Promise.withResolvers<void>()
      const app = appOf(version, {
        async fetch(url, init) {
          const form = new URLSearchParams(String(init?.body))
          if (form.get('grant_type') === 'refresh_token') {
            if (sent.push(form.get('refresh_token')!) % 2 === 0) bothSent.resolve()
            await bothSent.promise
          }
          return fetch(url, init)
        },
      })
      const { session, tab } = await dance(app)
      const other = app.start()
      await other.connect()
      for (let hour = 0; hour < 2; hour++) {
        const before = app.store.tokens!.refresh_token!
        bothSent = Promise.withResolvers<void>()
        server.clock.advance(HOUR + 1)
        const called = await Promise.all([session.whoami(), other.whoami()])
        for (const result of called) expect(result).toMatchObject({ user: { email: 'ada@example.com' } })
        expect(sent.slice(-2)).toEqual([before, before])
      }
      expect(sent.length).toBe(4)
      expect(app.authorizationUrls.length).toBe(1)
      await endSilent(tab, session, other)
    },
  )

  test.skipIf(noBrowser)(
    'asks for more by itself when a call needs it: the person sees the wider request, and the call works',
    async () => {
      // Version 1 answers a 403 with a refresh where it can, and a refresh never widens: so here it holds no refresh token.
      const app = appOf(version, version === 'version 1' ? { grantTypes: ['authorization_code'] } : {})
      app.askFor = 'mcp:tools:read'
      const { session, tab } = await dance(app)
      app.askFor = undefined
      expect(app.store.tokens!.scope).toBe('mcp:tools:read')
      expect(await session.listTools()).toEqual(USER_TOOLS)

      await expectSentToUser(session.whoami())
      expect(app.requests.filter(request => request.endsWith(' 403'))).toEqual(['POST /mcp 403'])
      const asked = app.authorizationUrls[1]!
      // RFC 6750 3.1: the challenge names what the call needs; version 2 adds what the token has already.
      expect(asked.searchParams.get('scope')).toBe(
        version === 'version 1' ? 'mcp:tools:call' : 'mcp:tools:read mcp:tools:call offline_access',
      )
      await tab.page.goto(asked.href)
      await consentHeading(tab.page).waitFor()
      expect(await permissions(tab.page)).toContain('Use tools as you')
      await session.finishAuth(await decide(tab.page, 'Approve'))
      const wider = app.start()
      await wider.connect()
      expect(await wider.whoami()).toMatchObject({ scope: asked.searchParams.get('scope')!.split(' ') })
      await endSilent(tab, session, wider)
    },
  )

  test.skipIf(noBrowser)(
    'is known by its metadata document: nothing is registered, and the person sees its host',
    async () => {
      const path = `/app-${version.at(-1)}.json`
      const clientMetadataUrl = `https://client.example:${host.port}${path}`
      host.serveJson(path, {
        client_id: clientMetadataUrl,
        client_name: 'Documented app',
        redirect_uris: ['http://localhost/callback'],
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: 'none',
      })
      const app = appOf(version, { clientMetadataUrl })
      const first = app.start()
      await expectSentToUser(first.connect())
      const tab = await openTab()
      await arriveAtConsent(tab.page, app.authorizationUrls[0]!)
      await tab.page.getByText('Documented app', { exact: true }).waitFor()
      await tab.page.getByText(`from client.example:${host.port}`, { exact: true }).waitFor()
      expect(await tab.page.getByText('unverified name').count()).toBe(0)
      await first.finishAuth(await decide(tab.page, 'Approve'))
      const session = app.start()
      await session.connect()
      expect(await session.whoami()).toMatchObject({ client: { id: clientMetadataUrl, name: 'Documented app' } })
      server.clock.advance(HOUR + 1)
      expect(await session.listTools()).toEqual(USER_TOOLS)
      expect(app.requests.filter(request => request.includes('/register'))).toEqual([])
      expect(app.authorizationUrls.length).toBe(1)
      await endSilent(tab, first, session)
    },
  )
})

test.skipIf(noBrowser)(
  'version 1 with a refresh token is told 403 and keeps what it has; without its tokens it asks for all again',
  async () => {
    const app = appOf('version 1')
    app.askFor = 'mcp:tools:read'
    const { session, tab } = await dance(app)
    app.askFor = undefined
    await expect(session.whoami()).rejects.toThrow('403')
    expect(await session.listTools()).toEqual(USER_TOOLS)
    delete app.store.tokens
    await expectSentToUser(session.whoami())
    expect(app.authorizationUrls[1]!.searchParams.get('scope')).toBe('mcp:tools:read mcp:tools:call')
    await tab.page.goto(app.authorizationUrls[1]!.href)
    await session.finishAuth(await decide(tab.page, 'Approve'))
    const wider = app.start()
    await wider.connect()
    expect(await wider.whoami()).toMatchObject({ scope: ['mcp:tools:read', 'mcp:tools:call'] })
    await endSilent(tab, session, wider)
  },
)
