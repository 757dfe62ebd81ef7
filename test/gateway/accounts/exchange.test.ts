/** Token exchange (RFC 8693): each caller's token at an upstream, in exchange for a token of ours that names the caller. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose'
import { machineToken, modernRpc, rpc } from '../../support/flows.ts'
import { type Front, startFront } from '../../support/front.ts'
import { type NotesUser, notesUser } from '../../support/notes-people.ts'
import { type NotesServer, startNotes, TOKEN_EXCHANGE } from '../../support/notes-server.ts'

let notes: NotesServer
let server: Front
let ada: NotesUser
let bob: NotesUser
/** The subject tokens that were accepted, with their claims. */
const subjects: { token: string; claims: object }[] = []

beforeAll(async () => {
  notes = startNotes()
  const auth = {
    type: 'exchange',
    client_id: 'gateway',
    client_secret: 'a secret of the gateway',
    issuer: notes.origin,
    scopes: ['notes:read'],
  }
  server = await startFront({ notes: { url: notes.url, auth } }, { ACCESS_TOKEN_TTL: '86400' })
  ada = await notesUser(server, 'ada')
  bob = await notesUser(server, 'bob')
})
afterAll(async () => {
  await server.close()
  await notes[Symbol.asyncDispose]()
})
beforeEach(async () => {
  server.clock.advance(4000) // past the tokens of the test before
  notes.requests.length = 0
  notes.seen.length = 0
  subjects.length = 0
  notes.loginOf = async token => {
    const keys = createLocalJWKSet((await (await server.get('/.well-known/jwks.json')).json()) as JSONWebKeySet)
    const { payload } = await jwtVerify(token, keys, {
      issuer: server.base,
      audience: notes.origin,
      typ: 'JWT',
      currentDate: server.deps.now(),
    })
    subjects.push({ token, claims: payload })
    return String(payload.email ?? payload.sub).replace('@example.com', '')
  }
})

const exchanges = () => notes.requests.filter(request => request === `grant ${TOKEN_EXCHANGE}`).length

describe('token exchange', () => {
  test('gives every caller, person or machine, a token of their own, once', async () => {
    for (let round = 0; round < 2; round++) expect([await ada.call(), await bob.call()]).toEqual(['ada', 'bob'])
    expect(await ada.listTools()).toContain('notes_of_ada')
    const machine = await machineToken(server, ['mcp'])
    const answer = await modernRpc(server, machine, 'tools/call', { name: 'notes__whoami' })
    const { result } = (await answer.json()) as { result: { content: [{ text: string }] } }
    expect(result.content[0].text).toMatch(/^c_/)
    expect(exchanges()).toBe(3)

    const { authorization, body } = notes.seen.find(({ path }) => path === '/token')!
    expect(authorization).toBe(`Basic ${btoa('gateway:a+secret+of+the+gateway')}`)
    expect(Object.fromEntries(new URLSearchParams(body))).toEqual({
      grant_type: TOKEN_EXCHANGE,
      resource: notes.url,
      scope: 'notes:read',
      subject_token: subjects[0]!.token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    })
    const common = { iss: server.base, aud: notes.origin, iat: expect.any(Number), exp: expect.any(Number) }
    const [person, , robot] = subjects.map(({ claims }) => claims)
    expect(person).toEqual({ ...common, sub: expect.any(String), email: 'ada@example.com', jti: expect.any(String) })
    const id = result.content[0].text
    expect(robot).toEqual({ ...common, sub: id, client_id: id, jti: expect.any(String) })
  })

  test('sends a token that is good for nothing else, and never the client’s own', async () => {
    expect(await ada.call()).toBe('ada')
    const { token } = subjects[0]!
    expect(decodeProtectedHeader(token).typ).toBe('JWT')
    expect((await rpc(server, token, 'tools/list', {}, '/mcp/notes')).status).toBe(401)
    expect((await rpc(server, token, 'tools/list')).status).toBe(401)
    expect(JSON.stringify(notes.seen)).not.toContain(ada.token)
  })

  test('takes place again when the token has expired or was refused', async () => {
    expect(await ada.call()).toBe('ada')
    server.clock.advance(60)
    notes.revokeAll('access')
    expect(await ada.call()).toBe('ada')
    server.clock.advance(3600)
    expect(await ada.call()).toBe('ada')
    expect(exchanges()).toBe(3)
  })

  test('that is refused fails the calls of that caller alone, and is not repeated at once', async () => {
    const { loginOf } = notes
    notes.loginOf = async token => {
      const login = await loginOf!(token)
      return login === 'ada' ? undefined : login
    }
    const refused = 'The server "notes" rejected our credentials'
    expect([await ada.call(), await ada.call(), await bob.call()].map(text => text.slice(0, refused.length))).toEqual([
      refused,
      refused,
      'bob',
    ])
    expect(exchanges()).toBe(2)
    notes.loginOf = loginOf
    server.clock.advance(60)
    expect(await ada.call()).toBe('ada')
  })
})
