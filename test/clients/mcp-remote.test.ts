/** mcp-remote, the bridge of desktop clients, used by people and machines. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addClient } from '../../src/oauth/clients/index.ts'
import { createSignInLink } from '../../src/signin/service.ts'
import { noBrowser, openTab } from '../support/browser.ts'
import { node, startBridge as startWith } from '../support/mcp-remote.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

if (!node) console.warn('Skipping mcp-remote: it needs node')

let server: TestServer
let homes: string

beforeAll(async () => {
  server = await startServer()
  homes = mkdtempSync(join(tmpdir(), 'mcp-remote-'))
})
afterAll(async () => {
  await server.close()
  rmSync(homes, { recursive: true, force: true })
})

const startBridge = (config: string, args: string[], env: Record<string, string> = {}) =>
  startWith(`${server.base}/mcp`, join(homes, config), args, env)

/** What the person with the link does: signs in, and approves on the page. */
async function approveInBrowser(link: string): Promise<void> {
  const { page, complaints, close } = await openTab({ size: 'phone' })
  try {
    await page.goto(link)
    await page.goto(await createSignInLink(server.deps, 'ada@example.com'))
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('button', { name: 'Continue' }).click()
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByRole('heading', { name: 'Connected' }).waitFor()
    expect(complaints).toEqual([])
  } finally {
    await close()
  }
}

describe('mcp-remote 0.15.1', () => {
  test.skipIf(!node || noBrowser)(
    '--device-code: the link it prints is approved in Chromium, then it serves MCP over stdio',
    async () => {
      const { client, connect, link } = startBridge('person', ['--device-code'])
      await Promise.all([connect(), link.then(approveInBrowser)])
      const { tools } = await client.listTools()
      expect(tools.map(tool => tool.name)).toEqual(['list_connections', 'whoami'])
      const { structuredContent } = await client.callTool({ name: 'whoami' })
      expect(structuredContent).toEqual({
        user: { id: expect.any(String), email: 'ada@example.com', name: '', admin: false },
        client: { id: expect.stringMatching(/^c_/), name: expect.stringContaining('MCP') },
        scope: ['mcp:tools:read', 'mcp:tools:call'],
        resource: `${server.base}/mcp`,
        expires_at: expect.any(String),
      })
      await client.close()

      // After a restart it uses its stored tokens: nobody is asked.
      const again = startBridge('person', ['--device-code'])
      await again.connect()
      expect((await again.client.callTool({ name: 'whoami' })).structuredContent).toMatchObject({
        user: { email: 'ada@example.com' },
      })
      await again.client.close()
    },
  )

  test.skipIf(!node)('--client-credentials: a machine that an operator added calls a tool', async () => {
    const { id, secret } = await addClient(server.deps, {
      name: 'Nightly report',
      grantTypes: ['client_credentials'],
      redirectUris: [],
      scope: ['mcp:tools:read', 'mcp:tools:call'],
    })
    const info = JSON.stringify({ client_id: id, client_secret: '${MACHINE_SECRET}' })
    const { client, connect } = startBridge('machine', ['--client-credentials', '--static-oauth-client-info', info], {
      MACHINE_SECRET: secret!,
    })
    await connect()
    expect((await client.callTool({ name: 'whoami' })).structuredContent).toMatchObject({
      user: null,
      client: { id, name: 'Nightly report' },
      scope: ['mcp:tools:read', 'mcp:tools:call'],
    })
    await client.close()
  })
})
