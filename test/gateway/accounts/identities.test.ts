/** Who this server is to an upstream's authorization server: registered by hand, known by its own document, or configured. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { type Front, startFront } from '../../support/front.ts'
import { allowAt, beginLink, pathOf, personAt } from '../../support/linking.ts'
import { HTML, type NotesUser, notesUser } from '../../support/notes-people.ts'
import { type NotesServer, startNotes } from '../../support/notes-server.ts'
import { freePort } from '../../support/ports.ts'
import { startServer, type TestServer } from '../../support/server.ts'
import { TEST_CERTIFICATE, TEST_KEY } from '../../support/tls.ts'

describe('at a server where clients are registered by hand', () => {
  let notes: NotesServer
  let server: Front
  const registered = {
    client_id: 'by-hand',
    client_secret: 'the secret of that client',
    scopes: ['notes:read', 'more'],
  }

  beforeAll(async () => {
    notes = startNotes()
    server = await startFront({
      notes: { url: notes.url, auth: { ...registered, issuer: notes.origin } },
      bare: {
        url: notes.url,
        auth: {
          ...registered,
          authorization_endpoint: `${notes.origin}/authorize`,
          token_endpoint: `${notes.origin}/token`,
          revocation_endpoint: `${notes.origin}/revoke`,
        },
      },
    })
  })
  afterAll(async () => {
    await server.close()
    await notes[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    notes.requests.length = 0
    notes.seen.length = 0
    notes.replace.clear()
  })

  async function linkAndCall(name: string): Promise<NotesUser> {
    const ada = await notesUser(server, 'ada', name)
    await ada.link()
    expect(await ada.call()).toBe('ada')
    const { authorization, body } = notes.seen.find(({ path }) => path === '/token')!
    expect(authorization).toBe(`Basic ${btoa('by-hand:the+secret+of+that+client')}`)
    expect(Object.fromEntries(new URLSearchParams(body))).toEqual({
      grant_type: 'authorization_code',
      code: expect.any(String),
      code_verifier: expect.any(String),
      redirect_uri: `${server.base}/account/upstreams/${name}/callback`,
      resource: notes.url,
    })
    return ada
  }

  test('it uses the id, secret and scopes of the entry, and registers nothing', async () => {
    const asked = await beginLink(server, (await notesUser(server, 'ada')).cookie, 'notes')
    expect([asked.searchParams.get('client_id'), asked.searchParams.get('scope')]).toEqual([
      'by-hand',
      'notes:read more',
    ])
    await linkAndCall('notes')
    expect(notes.requests).not.toContain('POST /register')
  })

  test('and that has no metadata, it uses the endpoints of the entry, and asks for no metadata', async () => {
    for (const path of [
      '/.well-known/oauth-protected-resource/mcp',
      '/.well-known/oauth-authorization-server',
      '/.well-known/openid-configuration',
    ])
      notes.replace.set(path, () => new Response('', { status: 404 }))
    const ada = await linkAndCall('bare')
    expect(notes.requests.filter(request => request.includes('.well-known'))).toEqual([])
    await server.deps.gateway!.accounts.unlink({ id: await idOf(server, ada), email: 'ada@example.com' }, 'bare', null)
    while (!notes.requests.includes('POST /revoke')) await Bun.sleep(10)
  })
})

async function idOf(server: TestServer, { login }: NotesUser): Promise<string> {
  const [row] = await server.deps.sql<{ id: string }[]>`select id from users where email = ${`${login}@example.com`}`
  return row!.id
}

describe('at a server that reads client id metadata documents', () => {
  test('a server with an https address is known by its own document, and registers nothing', async () => {
    const port = await freePort()
    const upstream = await startServer(
      {},
      {
        ca: TEST_CERTIFICATE,
        isAllowed: address => address === '127.0.0.1', // for the upstream, loopback is the public internet
        resolve: async () => ['127.0.0.1'],
      },
    )
    const server = await startFront(
      { notes: { url: `${upstream.base}/mcp`, auth: 'user' } },
      {
        BASE_URL: `https://client.example:${port}`,
      },
    )
    const tls = Bun.serve({
      hostname: '127.0.0.1',
      port,
      tls: { key: TEST_KEY, cert: TEST_CERTIFICATE },
      fetch: request => fetch(`http://127.0.0.1:${server.port}${new URL(request.url).pathname}`),
    })
    const ada = await personAt(server, upstream, 'ada@example.com')
    const asked = await beginLink(server, ada.here, 'notes')
    expect(asked.searchParams.get('client_id')).toBe(`${server.base}/.well-known/mcp-oauth-server/client.json`)
    const shown = await upstream.get(pathOf(asked), { Cookie: ada.there, ...HTML })
    expect(await shown.text()).toContain(`from client.example:${port}`)
    const callback = await allowAt(upstream, ada.there, asked)
    const back = await server.get(pathOf(callback), { Cookie: ada.here, ...HTML })
    expect([back.status, back.headers.get('location')]).toEqual([303, '/account/upstreams/notes'])
    const [clients] = await upstream.deps.sql<
      { n: number }[]
    >`select count(*)::int as n from clients where source = 'dynamic'`
    expect(clients!.n).toBe(0)
    await tls.stop(true)
    await server.close()
    await upstream.close()
  })
})
