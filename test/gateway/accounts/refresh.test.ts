/** Tokens of linked accounts: renewed once, kept apart, and dropped when the upstream no longer accepts them. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { type Front, startFront, startFrontReplica } from '../../support/front.ts'
import { type NotesUser, notesUser } from '../../support/notes-people.ts'
import { type NotesServer, startNotes } from '../../support/notes-server.ts'

let notes: NotesServer
let server: Front
let replica: Front
let ada: NotesUser
let bob: NotesUser

const servers = () => ({ notes: { url: notes.url, auth: 'user', queue: 1000 } })
beforeAll(async () => {
  notes = startNotes()
  server = await startFront(servers(), { ACCESS_TOKEN_TTL: '86400' })
  replica = await startFrontReplica(server, servers())
  ada = await notesUser(server, 'ada')
  bob = await notesUser(server, 'bob')
})
afterAll(async () => {
  await replica.close()
  await server.close()
  await notes[Symbol.asyncDispose]()
})
beforeEach(async () => {
  notes.replace.clear()
  Object.assign(notes, { lifetime: 100, refreshable: true, requests: [] })
  notes.grant = asked => asked
  await ada.link()
})

const NOT_LINKED = 'This requires your account at notes, which is not linked to this server yet.'

describe('a token', () => {
  test('is renewed before it expires, without delaying the call', async () => {
    expect(await ada.call()).toBe('ada')
    server.clock.advance(80)
    notes.replace.set('/token', () => Bun.sleep(100).then(() => undefined))
    expect(await ada.call()).toBe('ada')
    while (notes.refreshes() === 0) await Bun.sleep(10)
    server.clock.advance(60)
    notes.requests.length = 0
    expect(await ada.call()).toBe('ada')
    expect(notes.refreshes()).toBe(0)
  })

  test('that was refused is renewed once, and the call is made again', async () => {
    server.clock.advance(60)
    notes.revokeAll('access')
    expect(await ada.call()).toBe('ada')
    expect(notes.refreshes()).toBe(1)
  })

  test('is renewed by only one of two replicas, whatever is called at the same moment', async () => {
    expect([await ada.call(), await ada.call('whoami', replica)]).toEqual(['ada', 'ada'])
    server.clock.advance(200)
    const calls = Array.from({ length: 10 }, (_, i) => ada.call('whoami', i % 2 ? replica : server))
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['ada']))
    expect(notes.refreshes()).toBe(1)
  })

  test('that can no longer be renewed asks the person to link the account again, which works', async () => {
    server.clock.advance(200)
    notes.revokeAll('refresh')
    expect(await ada.call()).toStartWith(NOT_LINKED)
    expect(await ada.call()).toStartWith(NOT_LINKED)
    expect(notes.refreshes()).toBe(1)
    expect(await ada.listTools()).toEqual(['notes__connect'])
    expect(await (await server.get('/account', { Cookie: ada.cookie })).text()).toContain('link it again')
    await ada.link()
    expect(await ada.call()).toBe('ada')
  })

  test('without a refresh token is used until it expires', async () => {
    notes.refreshable = false
    await ada.link()
    server.clock.advance(90)
    expect(await ada.call()).toBe('ada')
    server.clock.advance(200)
    expect(await ada.call()).toStartWith(NOT_LINKED)
  })

  test('without an expiry is used until it is refused', async () => {
    Object.assign(notes, { lifetime: 0, refreshable: false })
    await ada.link()
    server.clock.advance(3000)
    expect(await ada.call()).toBe('ada')
    notes.revokeAll('access')
    expect(await ada.call()).toStartWith(NOT_LINKED)
  })
})

describe('an authorization server', () => {
  test('that answers 503 is not called for every request, and is tried again later', async () => {
    server.clock.advance(200)
    notes.replace.set('/token', () => {
      notes.requests.push('refused')
      return new Response('', { status: 503 })
    })
    const words = 'The server "notes" cannot be reached'
    for (const answer of await Promise.all([ada.call(), ada.call(), ada.call()])) expect(answer).toStartWith(words)
    expect(await ada.call()).toStartWith(words)
    expect(notes.requests.filter(request => request === 'refused')).toHaveLength(1)
    notes.replace.clear()
    server.clock.advance(10)
    expect(await ada.call()).toBe('ada')
  })

  test('whose response cannot be read is asked once more at once', async () => {
    server.clock.advance(200)
    let isFirst = true
    notes.replace.set('/token', () => {
      if (!isFirst) return undefined
      isFirst = false
      return new Response('x'.repeat(300_000))
    })
    expect(await ada.call()).toBe('ada')
  })
})

test('two people with 100 calls each at once never see each other’s data', async () => {
  await bob.link()
  const calls = Array.from({ length: 100 }, (_, i) => {
    const through = i % 3 ? server : replica
    return [ada, bob].map(async person => [person.login, await person.call('slow_whoami', through)])
  }).flat()
  const wrong = (await Promise.all(calls)).filter(([login, text]) => login !== text)
  expect(wrong).toEqual([])
  expect(await ada.listTools()).toContain('notes_of_ada')
  expect(await ada.listTools()).not.toContain('notes_of_bob')
})

test('a call that needs more scopes asks for them together with those already granted', async () => {
  expect(await ada.call('write_note')).toMatch(
    /^This requires more access to your account at notes than you have granted\. Open http/,
  )
  expect(await ada.call()).toBe('ada')
  expect(await (await server.get('/account', { Cookie: ada.cookie })).text()).toContain('asks for more access')
  await ada.link()
  expect(await ada.call('write_note')).toBe('ada')
  // The scope was granted already, so the refusal is final.
  notes.grant = () => ['notes:read']
  await ada.link()
  notes.replace.set('/mcp', (_, body) =>
    body.includes('write_note')
      ? new Response('', {
          status: 403,
          headers: { 'WWW-Authenticate': 'Bearer error="insufficient_scope", scope="notes:read"' },
        })
      : undefined,
  )
  expect(await ada.call('write_note')).toStartWith('The server "notes" rejected our credentials')
})
