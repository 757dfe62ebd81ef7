/** Calls by users without a linked account: URL elicitation where the client supports it, in either era. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import {
  ElicitationCompleteNotificationSchema,
  ToolListChangedNotificationSchema,
  UrlElicitationRequiredError,
} from '@modelcontextprotocol/sdk/types.js'
import { modernRpc } from '../../support/flows.ts'
import { type Front, startFront, tokenFor } from '../../support/front.ts'
import { link, type Person, personAt } from '../../support/linking.ts'
import { startServer, type TestServer } from '../../support/server.ts'

let upstream: TestServer
let server: Front
beforeAll(async () => {
  upstream = await startServer()
  server = await startFront({ notes: { url: `${upstream.base}/mcp`, auth: 'user' } })
})
afterAll(async () => {
  await server.close()
  await upstream.close()
})

const here = (email: string): Promise<Person> => personAt(server, upstream, email)
const addressOf = (path: string) => new URL(`http://127.0.0.1:${server.port}${path}`)
const withToken = (token: string) => ({ requestInit: { headers: { Authorization: `Bearer ${token}` } } })
const emailOf = (result: unknown) =>
  (result as { structuredContent: { user: { email: string } } }).structuredContent.user.email
const PAGE = /^http:\/\/localhost:\d+\/account\/upstreams\/notes\?for=[\w-]{16}$/

describe('a session of 2025-11-25 that supports URL elicitation', () => {
  test('gets -32042, is told when the account is linked and the list has changed, and continues', async () => {
    const ada = await here('ada@example.com')
    const client = new Client({ name: 'test', version: '1' }, { capabilities: { elicitation: { url: {} } } })
    const completed = Promise.withResolvers<string>()
    const changed = Promise.withResolvers<void>()
    client.setNotificationHandler(ElicitationCompleteNotificationSchema, ({ params }) =>
      completed.resolve(params.elicitationId),
    )
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => changed.resolve())
    const transport = new StreamableHTTPClientTransport(
      addressOf('/mcp'),
      withToken(await tokenFor(server, undefined, 'mcp', ada.email)),
    )
    await client.connect(transport)
    const error = await client.callTool({ name: 'notes__connect' }).catch(error => error)
    expect(error).toBeInstanceOf(UrlElicitationRequiredError)
    const [asked] = (error as UrlElicitationRequiredError).elicitations
    expect(asked).toEqual({
      mode: 'url',
      elicitationId: expect.any(String),
      url: expect.stringMatching(PAGE),
      message:
        'This requires your account at notes, which is not linked to this server yet. Link it in your browser to continue.',
    })
    await link(server, upstream, ada, 'notes')
    expect(await completed.promise).toBe(asked!.elicitationId)
    await changed.promise
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain('notes__whoami')
    expect(emailOf(await client.callTool({ name: 'notes__whoami' }))).toBe(ada.email)
    await client.close()
  })

  test('one that declared forms only gets a result with the URL', async () => {
    const client = new Client({ name: 'test', version: '1' }, { capabilities: { elicitation: {} } })
    const token = await tokenFor(server, 'notes', 'mcp', 'forms@example.com')
    await client.connect(new StreamableHTTPClientTransport(addressOf('/mcp/notes'), withToken(token)))
    const { content } = (await client.callTool({ name: 'notes__connect' })) as { content: { text: string }[] }
    expect(content[0]!.text).toMatch(
      / Open http:\/\/localhost:\d+\/account\/upstreams\/notes\?for=[\w-]{16} in a browser to link it, then try again\.$/,
    )
    await client.close()
  })
})

describe('a client of 2026-07-28 that supports URL elicitation', () => {
  const _meta = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: { url: {} } } }

  test('is asked, waits for the person, and its call continues by itself', async () => {
    const bob = await here('bob@example.com')
    const client = new ModernClient(
      { name: 'test', version: '2' },
      { versionNegotiation: { mode: 'auto' }, capabilities: { elicitation: { url: {} } } },
    )
    const urls: string[] = []
    let linking: Promise<void> | undefined
    client.setRequestHandler('elicitation/create', async ({ params }) => {
      urls.push((params as { url: string }).url)
      // The person takes a moment.
      linking = Bun.sleep(200).then(() => link(server, upstream, bob, 'notes'))
      return { action: 'accept' }
    })
    await client.connect(
      new ModernTransport(addressOf('/mcp/notes'), withToken(await tokenFor(server, 'notes', 'mcp', bob.email))),
    )
    expect(emailOf(await client.callTool({ name: 'whoami' }))).toBe(bob.email)
    expect(urls).toEqual([expect.stringMatching(PAGE)])
    await linking
    await client.close()
  })

  test('on the wire it is input_required; declining is acknowledged, and the upstream sees nothing of it', async () => {
    const token = await tokenFor(server, 'notes', 'mcp', 'eve@example.com')
    const call = async (more: object = {}) => {
      const answer = await modernRpc(
        server,
        token,
        'tools/call',
        { name: 'whoami', ...more },
        { path: '/mcp/notes', meta: _meta },
      )
      return ((await answer.json()) as { result: Record<string, unknown> }).result
    }
    expect(await call()).toEqual({
      resultType: 'input_required',
      inputRequests: {
        'mcp-oauth-server/link': {
          method: 'elicitation/create',
          params: {
            mode: 'url',
            message:
              'This requires your account at notes, which is not linked to this server yet. Link it in your browser to continue.',
            url: expect.stringMatching(PAGE),
          },
        },
      },
    })
    const declined = await call({ inputResponses: { 'mcp-oauth-server/link': { action: 'decline' } } })
    expect(declined).toMatchObject({
      content: [{ type: 'text', text: 'The user did not open the page.' }],
      isError: true,
    })
  })
})

describe('the link that a client gets', () => {
  test('links nothing if somebody else opens it, and says so', async () => {
    const [carol, mallory] = [await here('carol@example.com'), await here('mallory@example.com')]
    const token = await tokenFor(server, 'notes', 'mcp', mallory.email)
    const answer = await modernRpc(server, token, 'tools/call', { name: 'notes__connect' }, { path: '/mcp/notes' })
    const { result } = (await answer.json()) as { result: { content: { text: string }[] } }
    const [url] = /http\S+/.exec(result.content[0]!.text)!
    const page = (cookie: string) => server.get(url.replace(server.base, ''), { Cookie: cookie, Accept: 'text/html' })
    const refused = await page(carol.here)
    expect([refused.status, await refused.text()]).toEqual([
      403,
      expect.stringContaining('This link is for somebody else'),
    ])
    expect((await page(mallory.here)).status).toBe(200)
  })
})
