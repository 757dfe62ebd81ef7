/** Linked accounts that end with their person or their upstream, and the operator's own credentials. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { disableByAddress } from '../../../sql/users.ts'
import { checkUpstreams } from '../../../src/gateway/check.ts'
import { machineToken, rpc } from '../../support/flows.ts'
import { type Front, startFront } from '../../support/front.ts'
import { type NotesUser, notesUser } from '../../support/notes-people.ts'
import { type NotesServer, startNotes } from '../../support/notes-server.ts'
import { count } from '../../support/signin.ts'

let notes: NotesServer
let server: Front
let ada: NotesUser

const operator = () => ({
  client_id: 'an-operator',
  client_secret: 'a secret of the operator',
  scopes: ['notes:read'],
  issuer: notes.origin,
})
const servers = () => ({
  notes: { url: notes.url, auth: 'user' },
  shared: { url: notes.url, auth: { type: 'client', ...operator() } },
  mixed: { url: notes.url, auth: operator() },
})
beforeAll(async () => {
  notes = startNotes()
  server = await startFront(servers())
  ada = await notesUser(server, 'ada')
})
afterAll(async () => {
  await server.close()
  await notes[Symbol.asyncDispose]()
})
beforeEach(() => {
  notes.requests.length = 0
})

async function expectRevoked(): Promise<void> {
  while (!notes.requests.includes('POST /revoke')) await Bun.sleep(10)
  expect(await count(server, 'upstream_accounts')).toBe(0)
}

describe('an account ends, and its tokens are revoked,', () => {
  test('when its upstream is removed from the file; not when the entry is only disabled', async () => {
    await ada.link()
    const { notes: entry, ...others } = servers()
    await server.configure({ ...others, notes: { ...entry, disabled: true } })
    await server.configure(servers())
    expect(await ada.call()).toBe('ada')
    await server.configure(others)
    await expectRevoked()
    await server.configure(servers())
    expect(await ada.call()).toStartWith('This requires your account at notes')
  })

  test('when its user is disabled', async () => {
    const bob = await notesUser(server, 'bob')
    await bob.link()
    expect(await bob.call()).toBe('bob')
    await disableByAddress(server.deps.sql, { email: 'bob@example.com', leaving: false, now: new Date() })
    await expectRevoked()
  })
})

test('tokens are for one address: an entry that leads elsewhere gets none of them', async () => {
  await ada.link()
  expect(await ada.call()).toBe('ada')
  const other = startNotes()
  await server.configure({ ...servers(), notes: { url: other.url, auth: 'user' } })
  expect(await ada.call()).toStartWith('This requires your account at notes')
  expect(other.seen.filter(({ authorization }) => authorization !== null)).toEqual([])
  await server.configure(servers())
  expect(await ada.call()).toBe('ada')
  await other[Symbol.asyncDispose]()
})

describe('the operator’s client credentials', () => {
  test('are one token for everybody at an upstream of the type "client"', async () => {
    const [one, two] = [await notesUser(server, 'one', 'shared'), await notesUser(server, 'two', 'shared')]
    expect([await one.call(), await two.call(), await one.call()]).toEqual([
      'the operator',
      'the operator',
      'the operator',
    ])
    expect(notes.requests.filter(request => request === 'grant client_credentials')).toHaveLength(1)
    const { authorization, body } = notes.seen.findLast(({ path }) => path === '/token')!
    expect(authorization).toBe(`Basic ${btoa('an-operator:a+secret+of+the+operator')}`)
    expect(Object.fromEntries(new URLSearchParams(body))).toEqual({
      grant_type: 'client_credentials',
      resource: notes.url,
      scope: 'notes:read',
    })
    server.clock.advance(60)
    notes.revokeAll('access')
    expect(await one.call()).toBe('the operator')
  })

  test('are what machines use where people link accounts; without a secret they are refused', async () => {
    const call = async (name: string) => {
      const token = await machineToken(server, ['mcp'])
      const answer = await rpc(server, token, 'tools/call', { name: `${name}__whoami` })
      return (await answer.json()) as { result?: { content: object[] }; error?: { message: string } }
    }
    expect((await call('mixed')).result?.content).toEqual([{ type: 'text', text: 'the operator' }])
    expect((await call('notes')).error?.message).toBe('There is no such tool for this connection')
  })

  test('go only to the issuer in the file, whatever the upstream or an account linked before names', async () => {
    const other = startNotes()
    const hostile = () => Response.json({ resource: notes.url, authorization_servers: [other.origin] })
    const secretless = { client_id: 'an-operator', issuer: other.origin }
    notes.replace.set('/.well-known/oauth-protected-resource/mcp', hostile)
    try {
      await server.configure({ ...servers(), shared: { url: notes.url, auth: { type: 'client', ...operator() } } })
      server.clock.advance(400) // past what is remembered of the upstream
      expect(await (await notesUser(server, 'three', 'shared')).call()).toBe('the operator')
      expect(other.requests).toEqual([])

      await server.configure({ ...servers(), mixed: { url: notes.url, auth: secretless } })
      other.lifetime = 100
      const four = await notesUser(server, 'four', 'mixed')
      await four.link()
      other.requests.length = 0
      const down = () => new Response('', { status: 500 })
      for (const path of ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'])
        notes.replace.set(path, down)
      await server.configure(servers())
      server.clock.advance(400)
      expect(await four.call()).toStartWith('This requires your account at mixed')
      expect(other.requests).toEqual([])
    } finally {
      notes.replace.clear()
      await server.configure(servers())
      await other[Symbol.asyncDispose]()
    }
  })
})

test('upstream check runs the discovery chain, and names the step that fails', async () => {
  const check = async (auth: unknown) => {
    const text = JSON.stringify({ mcpServers: { notes: { url: notes.url, auth } } })
    const file = { path: 'mcp.json', env: {}, readFile: () => text }
    const [checked] = await checkUpstreams(server.deps, file, () => '')
    return checked
  }
  expect(await check('user')).toEqual({
    name: 'notes',
    auth: `people sign in at ${new URL(notes.url).host}`,
    stderr: [],
  })
  expect(await check({ ...operator(), issuer: `${notes.origin}/` })).toMatchObject({
    problem: 'its sign-in cannot be used',
    detail: `notes: the authorization server ${notes.origin} does not match the configured "issuer", ${notes.origin}/: copy its own spelling`,
  })
  const place = `${notes.origin}/.well-known/oauth-authorization-server`
  notes.replace.set(
    '/.well-known/oauth-authorization-server',
    () => new Response('<html>', { headers: { 'Content-Type': 'text/html' } }),
  )
  expect(await check('user')).toMatchObject({
    problem: 'its sign-in cannot be used',
    detail: expect.stringContaining(`notes: the authorization server metadata at ${place} is invalid`),
  })
  notes.replace.clear()

  // What the operator has named is asked as well.
  notes.replace.set('/authorize', () => new Response('no request', { status: 400 }))
  const named = (path: string) => ({
    ...operator(),
    authorization_endpoint: `${notes.origin}/authorize`,
    token_endpoint: notes.origin + path,
  })
  expect(await check(named('/token'))).toMatchObject({ auth: `people sign in at ${new URL(notes.url).host}` })
  expect(await check(named('/oauth/token'))).toMatchObject({
    problem: 'its sign-in cannot be used',
    detail: `notes: the token endpoint ${notes.origin}/oauth/token was answered with status 404`,
  })
  notes.replace.clear()
})
