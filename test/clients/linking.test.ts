/** People link accounts at real upstream servers in Chromium, and use them from mcp-remote and clients of both SDKs. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { createSignInLink } from '../../src/signin/service.ts'
import { closeTabs, noBrowser, openTab, shows, type Tab } from '../support/browser.ts'
import { follow, ROOT } from '../support/command.ts'
import { decide, signIn } from '../support/flows.ts'
import { type Front, startFront, tokenFor } from '../support/front.ts'
import { node, startBridge } from '../support/mcp-remote.ts'
import { notesUser } from '../support/notes-people.ts'
import { type NotesServer, startNotes } from '../support/notes-server.ts'
import { freePort } from '../support/ports.ts'
import { connectClient } from '../support/sdk-client.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { startWiki, type WikiServer } from '../support/wiki-server.ts'

setDefaultTimeout(300_000)

const home = mkdtempSync(join(tmpdir(), 'linking-'))
let notes: NotesServer
let twin: TestServer
let wiki: WikiServer
let example: { url: string; stop(): Promise<void> }
let server: Front
let tabs: Record<'ada' | 'bob', Tab>

beforeAll(async () => {
  if (noBrowser) return
  notes = startNotes()
  // Browsers send the cookies of a host to all its ports, so this one has another name.
  const port = await freePort()
  twin = await startServer({ PORT: String(port), BASE_URL: `http://127.0.0.1:${port}` })
  wiki = await startWiki()
  example = await startExample()
  server = await startFront({
    notes: { url: notes.url, auth: 'user' },
    twin: { url: `${twin.base}/mcp`, auth: 'user' },
    wiki: { url: wiki.url, auth: { scopes: ['openid', 'email', 'wiki:read'] } },
    example: { url: example.url, auth: 'user' },
  })
  tabs = { ada: await signedIn('ada'), bob: await signedIn('bob') }
})
afterAll(async () => {
  rmSync(home, { recursive: true, force: true })
  await closeTabs()
  await server?.close()
  await example?.stop()
  await wiki?.[Symbol.asyncDispose]()
  await twin?.close()
  await notes?.[Symbol.asyncDispose]()
})

/** The example server of SDK 1, unmodified, which requires a bearer token of its own authorization server. */
async function startExample() {
  const [MCP_PORT, MCP_AUTH_PORT] = [String(await freePort()), String(await freePort())]
  const script = 'node_modules/@modelcontextprotocol/sdk/dist/esm/examples/server/simpleStreamableHttp.js'
  const child = Bun.spawn([node ?? process.execPath, script, '--oauth', '--oauth-strict'], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', MCP_PORT, MCP_AUTH_PORT },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const out = follow(child.stdout)
  await out.until(/MCP Streamable HTTP Server listening/)
  void out.text()
  return {
    url: `http://localhost:${MCP_PORT}/mcp`,
    async stop() {
      child.kill()
      await child.exited
    },
  }
}

/** A person's own browser, signed in at this server. */
async function signedIn(login: string, javaScriptEnabled = true): Promise<Tab> {
  const tab = await openTab({ size: 'phone', javaScriptEnabled })
  await tab.page.goto(await createSignInLink(server.deps, `${login}@example.com`))
  await press(tab.page, 'Sign in')
  await tab.page.waitForURL(`${server.base}/`)
  return tab
}

const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()

/** From our page through the upstream's sign-in, and back. @param there What the person does at the upstream. */
async function linkAt(page: Page, url: string, name: string, there: () => Promise<void>): Promise<void> {
  await page.goto(`${url}${url.includes('?') ? '&' : '?'}again=1`)
  await shows(page, `Link your account at ${name}?`)
  await press(page, 'Continue')
  await there()
  await shows(page, `Your account at ${name} is linked`)
  expect(new URL(page.url()).search).toBe('')
}

const pageOf = (name: string) => `${server.base}/account/upstreams/${name}`
const textOf = (result: unknown) => (result as { content: { text: string }[] }).content[0]!.text
const clientFor = async (version: 1 | 2, login: string, name?: string) =>
  connectClient(
    version,
    `${server.base}/mcp${name === undefined ? '' : `/${name}`}`,
    await tokenFor(server, name, 'mcp', `${login}@example.com`),
  )

async function linkTwin(login: 'ada' | 'bob', url: string): Promise<void> {
  const { page } = tabs[login]
  await page.goto(await createSignInLink(twin.deps, `${login}@twin.example`))
  await press(page, 'Sign in')
  await page.waitForURL(`${twin.base}/`)
  await linkAt(page, url, 'twin', async () => {
    await page.getByRole('heading', { name: 'Connect this app?' }).waitFor()
    await press(page, 'Approve')
  })
}

describe.skipIf(noBrowser)('a person links an account', () => {
  test.each([true, false])('from the account page, and unlinks it there; with scripts: %p', async scripts => {
    const { page, complaints, close } = await signedIn('carol', scripts)
    await page.goto(`${server.base}/account`)
    const link = page.locator('a[href="/account/upstreams/notes"]')
    await link.click()
    await shows(page, 'Link your account at notes?')
    await press(page, 'Continue')
    await shows(page, 'Your account at notes is linked')
    const carol = await notesUser(server, 'carol')
    expect(await carol.call()).toBe('nobody') // as whom the notes server knows this browser
    await press(page, 'Unlink notes')
    await link.waitFor()
    expect(complaints).toEqual([])
    await close()
  })

  test.skipIf(!node)(
    'at another instance of this server, with the link that a call through mcp-remote returned',
    async () => {
      const { client, connect, link } = startBridge(`${server.base}/mcp`, home, ['--device-code'])
      const approve = async (printed: string) =>
        decide(server, await signIn(server), new URL(printed).searchParams.get('code')!)
      await Promise.all([connect(), link.then(approve)])
      const asked = textOf(await client.callTool({ name: 'twin__connect' }))
      const [url] = /http:\S+\/account\/upstreams\/twin\?for=\S+/.exec(asked)!
      await linkTwin('ada', url)
      expect((await client.listTools()).tools.map(({ name }) => name)).toContain('twin__whoami')
      const { structuredContent } = await client.callTool({ name: 'twin__whoami' })
      expect(structuredContent).toMatchObject({
        user: { email: 'ada@twin.example' },
        client: { name: expect.stringContaining('MCP gateway at') },
        resource: `${twin.base}/mcp`,
      })
      await client.close()
      expect(tabs.ada.complaints).toEqual([])
    },
  )

  test('at a server behind oidc-provider, which says who they are and rotates its tokens', async () => {
    for (const login of ['ada', 'bob'] as const) {
      const { page } = tabs[login]
      await linkAt(page, pageOf('wiki'), 'wiki', async () => {
        await page.locator('input[name=login]').fill(login)
        await page.locator('input[name=password]').fill('any')
        await page.locator('button[type=submit]').click()
        await page.getByRole('button', { name: 'Continue' }).click()
      })
      await page.goto(`${server.base}/account`)
      expect(await page.getByText(`${login}@wiki.example`).count()).toBe(1)
    }
    for (const version of [1, 2] as const) {
      const client = await clientFor(version, 'ada', 'wiki')
      expect(textOf(await client.callTool({ name: 'whoami' }))).toBe('ada')
      await client.close()
    }
    for (let round = 1; round <= 2; round++) {
      server.clock.advance(3600)
      expect(await (await notesUser(server, 'ada', 'wiki')).call()).toBe('ada')
      expect(wiki.grants.filter(grant => grant === 'refresh_token')).toHaveLength(round)
    }
  })

  test('at the example server of the SDK, which requires a bearer token', async () => {
    for (const login of ['ada', 'bob'] as const)
      await linkAt(tabs[login].page, pageOf('example'), 'example', async () => {})
    for (const version of [1, 2] as const) {
      const client = await clientFor(version, 'ada', 'example')
      expect(textOf(await client.callTool({ name: 'greet', arguments: { name: 'Ada' } }))).toBe('Hello, Ada!')
      await client.close()
    }
  })

  test('and in 100 interleaved calls of two people, from sessions and modern clients, nobody is taken for the other', async () => {
    for (const login of ['ada', 'bob'] as const) await linkTwin(login, pageOf('twin'))
    const clients = await Promise.all(
      (['ada', 'bob'] as const).flatMap(login =>
        ([1, 2] as const).map(async version => ({ login, client: await clientFor(version, login) })),
      ),
    )
    const calls = Array.from({ length: 25 }, (_, i) =>
      clients.map(async ({ login, client }) => {
        if (i % 2) return [login, textOf(await client.callTool({ name: 'wiki__whoami' }))]
        const { structuredContent } = await client.callTool({ name: 'twin__whoami' })
        const { user } = structuredContent as { user: { email: string } }
        return [`${login}@twin.example`, user.email]
      }),
    ).flat()
    const wrong = (await Promise.all(calls)).filter(([expected, found]) => expected !== found)
    expect([calls.length, wrong]).toEqual([100, []])
    for (const { client } of clients) await client.close()
  })
})
