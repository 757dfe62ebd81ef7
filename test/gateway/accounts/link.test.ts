/** Users link their own accounts at an upstream, which is a second instance of this server. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { csrfOf, modernRpc, rpc } from '../../support/flows.ts'
import { type Front, startFront, tokenFor } from '../../support/front.ts'
import { beginLink, link, type Person, personAt } from '../../support/linking.ts'
import { startServer, type TestServer } from '../../support/server.ts'

let upstream: TestServer
let server: Front
let ada: Person
let bob: Person
let adaHere: string
let adaHub: string
let bobHere: string

beforeAll(async () => {
  upstream = await startServer()
  server = await startFront({ notes: { url: `${upstream.base}/mcp`, auth: 'user' } })
  ada = await personAt(server, upstream, 'ada@example.com', 'ada@notes.example')
  bob = await personAt(server, upstream, 'bob@example.com', 'bob@notes.example')
  adaHere = await tokenFor(server, 'notes')
  adaHub = await tokenFor(server)
  bobHere = await tokenFor(server, 'notes', 'mcp', 'bob@example.com')
})
afterAll(async () => {
  await server.close()
  await upstream.close()
})

const AT = '/mcp/notes'
type Result = { tools: { name: string }[]; structuredContent: object; content: { text: string }[]; isError?: boolean }
const resultOf = async (answer: Promise<Response>) => ((await (await answer).json()) as { result: Result }).result
const namesOf = async (answer: Promise<Response>) => (await resultOf(answer)).tools.map(({ name }) => name)
const linkUrl = () => `${server.base}/account/upstreams/notes`
const pageFor = async (cookie: string, path = '/account') =>
  (await server.get(path, { Cookie: cookie, Accept: 'text/html' })).text()

describe('before an account is linked', () => {
  test('the server lists one tool, at its endpoint and in the hub', async () => {
    expect(await namesOf(rpc(server, adaHere, 'tools/list', {}, AT))).toEqual(['notes__connect'])
    expect(await namesOf(modernRpc(server, adaHere, 'tools/list', {}, { path: AT }))).toEqual(['notes__connect'])
    expect(await namesOf(rpc(server, adaHub, 'tools/list'))).toContain('notes__connect')
    expect(await namesOf(rpc(server, adaHub, 'tools/list'))).not.toContain('notes__whoami')
  })

  test('that tool returns the URL where the account is linked', async () => {
    const address =
      /Open http:\/\/localhost:\d+\/account\/upstreams\/notes\?for=[\w-]{16} in a browser to link it, then try again\.$/
    const expected = { content: [{ type: 'text', text: expect.stringMatching(address) }] }
    expect(await resultOf(rpc(server, adaHere, 'tools/call', { name: 'notes__connect' }, AT))).toEqual(
      expected as never,
    )
    expect(await resultOf(rpc(server, adaHub, 'tools/call', { name: 'notes__connect' }))).toEqual(expected as never)
    // A tool that the client cached earlier.
    const remembered = await resultOf(rpc(server, adaHere, 'tools/call', { name: 'whoami' }, AT))
    expect(remembered).toEqual({ ...expected, isError: true } as never)
  })

  test('the page names the server and where the person signs in', async () => {
    const html = await pageFor(ada.here, '/account/upstreams/notes')
    const { host } = new URL(upstream.base)
    expect(html).toContain('Link your account at notes?')
    expect(html).toContain(`<dt>Server</dt><dd>${host}</dd><dt>Sign-in</dt><dd>${host}</dd>`)
    expect(await pageFor(ada.here)).toContain('href="/account/upstreams/notes"')
  })

  test('the browser is redirected with PKCE, state and the resource, for a client that registered itself', async () => {
    const url = await beginLink(server, ada.here, 'notes')
    expect(url.origin + url.pathname).toBe(`${upstream.base}/api/oauth/authorize`)
    const { client_id, state, code_challenge, ...rest } = Object.fromEntries(url.searchParams)
    expect(rest).toEqual({
      response_type: 'code',
      redirect_uri: `${linkUrl()}/callback`,
      code_challenge_method: 'S256',
      resource: `${upstream.base}/mcp`,
      scope: 'mcp:tools:read mcp:tools:call offline_access',
      prompt: 'consent',
    })
    const again = await beginLink(server, bob.here, 'notes')
    expect(again.searchParams.get('client_id')).toBe(client_id!)
    expect([
      again.searchParams.get('state') === state,
      again.searchParams.get('code_challenge') === code_challenge,
    ]).toEqual([false, false])
  })
})

describe('a linked account', () => {
  test('is used for its person’s calls only, in both eras, at the endpoint and in the hub', async () => {
    await link(server, upstream, ada, 'notes')
    const calls = [
      modernRpc(server, adaHere, 'tools/call', { name: 'whoami' }, { path: AT }),
      rpc(server, adaHere, 'tools/call', { name: 'whoami' }, AT),
      modernRpc(server, adaHub, 'tools/call', { name: 'notes__whoami' }),
      rpc(server, adaHub, 'tools/call', { name: 'notes__whoami' }),
    ]
    for (const answer of calls)
      expect((await resultOf(answer)).structuredContent).toMatchObject({ user: { email: 'ada@notes.example' } })
    expect((await resultOf(rpc(server, bobHere, 'tools/call', { name: 'whoami' }, AT))).isError).toBe(true)
  })

  test('shows the server’s own tools to its person, and to nobody else', async () => {
    expect(await namesOf(rpc(server, adaHere, 'tools/list', {}, AT))).toContain('whoami')
    expect(await namesOf(rpc(server, adaHub, 'tools/list'))).toContain('notes__whoami')
    expect(await namesOf(rpc(server, adaHub, 'tools/list'))).not.toContain('notes__connect')
    expect(await namesOf(rpc(server, bobHere, 'tools/list', {}, AT))).toEqual(['notes__connect'])
  })

  test('is on the account page; unlinking it there removes it and revokes its tokens at the upstream', async () => {
    const html = await pageFor(ada.here)
    expect(html).toContain('<span class="badge good">linked</span>')
    const connected = async () =>
      (await (await upstream.get('/account', { Cookie: ada.there })).text()).includes('MCP gateway at')
    expect(await connected()).toBe(true)
    const action = '/account/upstreams/notes/unlink'
    const answer = await server.post(action, { csrf: csrfOf(html, action) }, { Cookie: ada.here, Accept: 'text/html' })
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/account'])
    expect(await pageFor(ada.here)).toContain('<span class="badge calm">not linked</span>')
    expect(await namesOf(rpc(server, adaHere, 'tools/list', {}, AT))).toEqual(['notes__connect'])
    while (await connected()) await Bun.sleep(20)
  })
})
