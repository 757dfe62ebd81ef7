/** Attacks over HTTP: none gets a token, causes a request or learns anything. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { csrfOf } from '../../support/flows.ts'
import { type Front, startFront } from '../../support/front.ts'
import { pathOf } from '../../support/linking.ts'
import { allowAtNotes, HTML, type NotesUser, notesUser } from '../../support/notes-people.ts'
import { metadataOf, type NotesServer, startNotes } from '../../support/notes-server.ts'
import { count } from '../../support/signin.ts'

const SECRET = 'a-token-that-nobody-may-read'
const METADATA = '/.well-known/oauth-authorization-server'
const RESOURCE = '/.well-known/oauth-protected-resource/mcp'
let notes: NotesServer
let server: Front
let ada: NotesUser
let bob: NotesUser

beforeAll(async () => {
  notes = startNotes()
  server = await startFront({ notes: { url: notes.url, auth: 'user' } }, { ACCESS_TOKEN_TTL: '86400' })
  ada = await notesUser(server, 'ada')
  bob = await notesUser(server, 'bob')
})
afterAll(async () => {
  await server.close()
  await notes[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await server.deps.sql`delete from upstream_accounts`
  notes.replace.clear()
  notes.requests.length = 0
  notes.seen.length = 0
  server.clock.advance(400) // past what is remembered of the server
})

const come = (callback: URL, cookie = ada.cookie) => server.get(pathOf(callback), { Cookie: cookie, ...HTML })
const tokenRequests = () => notes.requests.filter(request => request === 'POST /token').length
const page = (path: string, cookie = ada.cookie) => server.get(path, { Cookie: cookie, ...HTML })

async function expectNothingLinked(answer: Response, status = 400): Promise<string> {
  const html = await answer.text()
  expect(answer.status).toBe(status)
  expect(html).not.toContain(SECRET)
  expect(await count(server, 'upstream_accounts')).toBe(0)
  return html
}

describe('the way back from the authorization server', () => {
  test('works once: a state that is replayed links nothing', async () => {
    const callback = await allowAtNotes(server, ada.cookie, 'ada')
    expect((await come(callback)).status).toBe(303)
    await server.deps.sql`delete from upstream_accounts`
    await expectNothingLinked(await come(callback))
    expect(tokenRequests()).toBe(1)
  })

  test('belongs to the browser that began it: another one ends nothing', async () => {
    const callback = await allowAtNotes(server, ada.cookie, 'ada')
    const html = await expectNothingLinked(await come(callback, bob.cookie))
    expect(html).toContain('This was started in another browser or too long ago')
    const stranger = await server.get(pathOf(callback), HTML)
    expect([stranger.status, stranger.headers.get('location')]).toEqual([303, '/auth/signin?return_to=%2Faccount'])
    expect(tokenRequests()).toBe(0)
    expect((await come(callback)).status).toBe(303)
  })

  test('takes ten minutes at most', async () => {
    const callback = await allowAtNotes(server, ada.cookie, 'ada')
    server.clock.advance(601)
    await expectNothingLinked(await come(callback))
  })

  test.each([
    ['another issuer', (url: URL) => url.searchParams.set('iss', 'https://other.example')],
    ['no issuer, though the server said that it sends one', (url: URL) => url.searchParams.delete('iss')],
    ['another state', (url: URL) => url.searchParams.set('state', 'x'.repeat(43))],
    ['two codes', (url: URL) => url.searchParams.append('code', 'another')],
    ['no code', (url: URL) => url.searchParams.delete('code')],
  ])('with %s sends no code anywhere', async (_, change) => {
    const callback = await allowAtNotes(server, ada.cookie, 'ada')
    change(callback)
    const answer = await come(callback)
    expect([400, 502]).toContain(answer.status)
    await expectNothingLinked(answer, answer.status)
    expect(tokenRequests()).toBe(0)
  })

  test('says nothing of what the server wrote into an error', async () => {
    const callback = await allowAtNotes(server, ada.cookie, 'ada')
    callback.searchParams.delete('code')
    callback.searchParams.set('error', 'access_denied')
    callback.searchParams.set('error_description', SECRET)
    await expectNothingLinked(await come(callback))
  })
})

test('repeated at will it adds one row to the audit log, and a hundred trips in ten minutes', async () => {
  server.clock.advance(601)
  await server.deps.audit.flush()
  const before = await count(server, 'audit_events')
  for (let i = 0; i < 50; i++) await page(`/account/upstreams/notes/callback?state=x${i}&code=y`)
  await server.deps.audit.flush()
  expect((await count(server, 'audit_events')) - before).toBe(1)
  const html = await (await page('/account/upstreams/notes')).text()
  const csrf = csrfOf(html, '/account/upstreams/notes/link')
  const begin = () => server.post('/account/upstreams/notes/link', { csrf }, { Cookie: ada.cookie, ...HTML })
  const trips = await count(server, 'upstream_trips')
  for (let i = 0; i < 100; i++) expect((await begin()).status).toBe(200)
  const limited = await begin()
  expect([limited.status, limited.headers.get('retry-after')]).toEqual([429, expect.stringMatching(/^\d+$/)])
  expect((await count(server, 'upstream_trips')) - trips).toBe(100)
  expect((await allowAtNotes(server, bob.cookie, 'bob')).pathname).toEndWith('/callback')
  server.clock.advance(601)
})

describe('a token endpoint', () => {
  test.each<[what: string, answer: () => Response]>([
    ['HTML', () => new Response(`<html>${SECRET}</html>`, { headers: { 'Content-Type': 'text/html' } })],
    [
      'a gigabyte',
      () =>
        new Response(new ReadableStream({ pull: controller => controller.enqueue(new Uint8Array(1 << 20).fill(32)) }), {
          headers: { 'Content-Type': 'application/json' },
        }),
    ],
    [
      'an error that holds a token',
      () => Response.json({ error: 'invalid_grant', error_description: SECRET }, { status: 400 }),
    ],
    ['an error of its own making', () => Response.json({ error: SECRET }, { status: 400 })],
    ['a redirect', () => new Response(null, { status: 307, headers: { Location: `${notes.origin}/elsewhere` } })],
    ['no token', () => Response.json({ token_type: 'Bearer', extra: SECRET })],
    ['a token of another type', () => Response.json({ access_token: SECRET, token_type: 'mac' })],
  ])('that answers with %s links nothing and is repeated nowhere', async (_, answer) => {
    const callback = await allowAtNotes(server, ada.cookie, 'ada')
    notes.replace.set('/token', answer)
    await expectNothingLinked(await come(callback), 502)
    expect(notes.requests).not.toContain('POST /elsewhere')
    await server.deps.audit.flush()
    const [logged] = await server.deps.sql<{ n: number }[]>`
      select count(*)::int as n from audit_events where detail::text like ${`%${SECRET}%`}`
    expect(logged!.n).toBe(0)
  })
})

describe('metadata', () => {
  const evil = 'https://10.0.0.1'
  test.each<[what: string, path: string, answer: () => unknown]>([
    ['of another issuer', METADATA, () => ({ ...metadataOf(notes.origin), issuer: 'https://other.example' })],
    ['whose authorization server is inside', RESOURCE, () => ({ resource: notes.url, authorization_servers: [evil] })],
    [
      'whose authorization server is a file',
      RESOURCE,
      () => ({ resource: notes.url, authorization_servers: ['file:///etc/passwd'] }),
    ],
    [
      'whose authorization server is not https',
      RESOURCE,
      () => ({ resource: notes.url, authorization_servers: ['http://other.example'] }),
    ],
    [
      'about another server',
      RESOURCE,
      () => ({ resource: 'https://other.example/mcp', authorization_servers: [notes.origin] }),
    ],
    [
      'that names a script as the sign-in page',
      METADATA,
      () => ({ ...metadataOf(notes.origin), authorization_endpoint: 'javascript:alert(1)' }),
    ],
    ['without PKCE', METADATA, () => ({ ...metadataOf(notes.origin), code_challenge_methods_supported: ['plain'] })],
    ['that is a list', METADATA, () => [1]],
  ])('%s is not followed', async (_, path, answer) => {
    notes.replace.set(path, () => Response.json(answer()))
    await expectNothingLinked(await page('/account/upstreams/notes'), 502)
    expect(notes.requests).not.toContain('POST /register')
  })

  test('whose token endpoint is inside gets no code', async () => {
    notes.replace.set(METADATA, () => Response.json({ ...metadataOf(notes.origin), token_endpoint: `${evil}/token` }))
    const callback = await allowAtNotes(server, ada.cookie, 'ada')
    await expectNothingLinked(await come(callback), 502)
  })

  test('that names another issuer after the account was linked ends it, shows both, and is not followed', async () => {
    notes.lifetime = 100
    await ada.link()
    const other = startNotes()
    notes.replace.set(RESOURCE, () => Response.json({ resource: notes.url, authorization_servers: [other.origin] }))
    server.clock.advance(400)
    expect(await ada.call()).toStartWith('This requires your account at notes')
    expect([notes.refreshes(), other.refreshes()]).toEqual([0, 0])
    const html = await (await page('/account/upstreams/notes')).text()
    expect(html).toContain(notes.origin)
    expect(html).toContain(new URL(other.origin).host)
    notes.lifetime = 3600
    await other[Symbol.asyncDispose]()
  })
})

test('links and unlinks only by a form of ours, sent from our page', async () => {
  await ada.link()
  for (const action of ['link', 'unlink']) {
    const path = `/account/upstreams/notes/${action}`
    const html = await (await page(action === 'link' ? '/account/upstreams/notes?again=1' : '/account')).text()
    const csrf = csrfOf(html, path)
    const forged = [
      server.post(path, {}, { Cookie: ada.cookie }),
      server.post(path, { csrf }, { Cookie: bob.cookie }),
      server.post(path, { csrf }, { Cookie: ada.cookie, 'Sec-Fetch-Site': 'cross-site' }),
      server.post(path, { csrf }, { Cookie: ada.cookie, Origin: 'https://other.example' }),
    ]
    for (const answer of await Promise.all(forged)) expect(answer.status).toBe(403)
  }
  expect(await ada.call()).toBe('ada')
})

test('the client’s own token never reaches an upstream, and the linked one is nowhere in the clear', async () => {
  await ada.link()
  expect(await ada.call()).toBe('ada')
  // It sends requests elsewhere: they are not followed, with or without a token.
  const other = startNotes()
  notes.replace.set('/mcp', () => new Response(null, { status: 307, headers: { Location: other.url } }))
  expect(await ada.call()).toStartWith('The server "notes"')
  expect(other.requests).toEqual([])
  await other[Symbol.asyncDispose]()
  expect(JSON.stringify(notes.seen)).not.toContain(ada.token)
  const tokens = notes.seen.flatMap(({ authorization }) => authorization?.replace('Bearer ', '') ?? [])
  expect(tokens.length).toBeGreaterThan(0)
  const rows = await server.deps.sql<{ row: string }[]>`
    select to_jsonb(upstream_accounts)::text as row from upstream_accounts
    union all select to_jsonb(upstream_trips)::text from upstream_trips
    union all select to_jsonb(upstream_clients)::text from upstream_clients
    union all select to_jsonb(audit_events)::text from audit_events`
  const text = rows.map(({ row }) => row).join('\n')
  for (const token of tokens) {
    expect(text).not.toContain(token)
    expect(text).not.toContain(Buffer.from(token).toString('hex'))
  }
})

test('people who may not use a server cannot link it', async () => {
  await server.configure({ notes: { url: notes.url, auth: 'user', users: ['bob@example.com'] } })
  expect((await page('/account/upstreams/notes')).status).toBe(404)
  expect((await page('/account/upstreams/notes', bob.cookie)).status).toBe(200)
  expect((await page('/account/upstreams/nothing')).status).toBe(404)
})
