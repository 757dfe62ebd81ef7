import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { addClient } from '../../src/oauth/clients/index.ts'
import { sweep } from '../../src/sweeper.ts'
import { newestEvents } from '../support/audit.ts'
import {
  consentFields,
  consent as consentTo,
  onwardOf,
  pkce,
  registerClient,
  rpc,
  signIn,
  type TokenAnswer,
} from '../support/flows.ts'
import { RACES, startServer, type TestServer } from '../support/server.ts'

const REDIRECT = 'https://app.example/callback'

let server: TestServer
let client: string
let ada: string
/** A client that the operator added. */
let house: string

beforeAll(async () => {
  server = await startServer()
  client = await registerClient(server, {
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [REDIRECT, 'http://localhost/callback', 'cursor://app/callback'],
  })
  ada = await signIn(server)
  const added = await addClient(server.deps, {
    name: 'House app',
    grantTypes: ['authorization_code'],
    redirectUris: [REDIRECT, 'http://localhost/cb', 'cursor://house/cb'],
    scope: ['mcp'],
  })
  house = added.id
})
afterAll(() => server.close())

const HTML = { Accept: 'text/html' }
/** Where the sign-in page returns to. */
const KEPT = /^\/auth\/signin\?return_to=(%2Fapi%2Foauth%2Fauthorize%2F[0-9a-f-]{36})(?:&again=1)?$/

const { verifier, challenge } = pkce()

/** A valid request with a test's changes; `undefined` leaves a parameter out. */
function query(changes: Record<string, string | undefined> = {}): string {
  const params = {
    response_type: 'code',
    client_id: client,
    redirect_uri: REDIRECT,
    state: 'xyz',
    scope: 'mcp:tools:read mcp:tools:call',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...changes,
  }
  return new URLSearchParams(
    Object.entries(params).filter((entry): entry is [string, string] => entry[1] !== undefined),
  ).toString()
}

const authorize = (changes: Record<string, string | undefined> = {}, cookie = ada) =>
  server.get(`/api/oauth/authorize?${query(changes)}`, cookie ? { Cookie: cookie } : {})

const consent = (changes: Record<string, string | undefined> = {}, decision?: 'approve' | 'deny') =>
  consentTo(server, ada, query(changes), decision)

const exchange = (code: string, changes: Record<string, string> = {}) =>
  server.post('/api/oauth/token', {
    grant_type: 'authorization_code',
    client_id: client,
    code,
    redirect_uri: REDIRECT,
    code_verifier: verifier,
    ...changes,
  })

const errorOf = async (answer: Response) => [answer.status, ((await answer.json()) as { error: string }).error]

describe('the authorization endpoint (RFC 6749 4.1.1, RFC 7636)', () => {
  test('asks the user, and answers with code, state and iss, once each (RFC 9207)', async () => {
    const shown = await authorize()
    const html = await shown.text()
    for (const text of [
      'Connect this app?',
      'Test client',
      'unverified name',
      'Use tools as you',
      'app.example',
      `${server.base}/mcp`,
      'ada@example.com',
      'Deny',
      'Approve',
    ]) {
      expect(html).toContain(text)
    }
    expect(shown.headers.get('content-security-policy')).toEndWith("form-action 'self'")
    const answer = await consent()
    expect(answer.origin + answer.pathname).toBe(REDIRECT)
    expect([...answer.searchParams.keys()].sort()).toEqual(['code', 'iss', 'state'])
    expect(answer.searchParams.get('state')).toBe('xyz')
    expect(answer.searchParams.get('iss')).toBe(server.base)
    const tokens = await exchange(answer.searchParams.get('code')!)
    expect(tokens.status).toBe(200)
    const body = (await tokens.json()) as TokenAnswer
    expect(body).toEqual({
      access_token: expect.any(String),
      token_type: 'Bearer',
      expires_in: 3600,
      refresh_token: expect.stringMatching(/^mrt_/),
      scope: 'mcp:tools:read mcp:tools:call',
    })
    expect((await rpc(server, body.access_token, 'tools/list')).status).toBe(200)
  })

  test('accepts the request by POST, too', async () => {
    const answer = await server.post('/api/oauth/authorize', Object.fromEntries(new URLSearchParams(query())), {
      Cookie: ada,
      Accept: 'text/html',
    })
    expect([answer.status, (await answer.text()).includes('Connect this app?')]).toEqual([200, true])
  })

  test.each([
    ['an unknown client', { client_id: 'c_nobody' }],
    ['no client', { client_id: undefined }],
    ['a redirect URI that is not registered', { redirect_uri: 'https://app.example/other' }],
    ['one that only begins like a registered one', { redirect_uri: `${REDIRECT}/../evil` }],
    ['one with another case', { redirect_uri: 'https://app.example/Callback' }],
    ['one with more query', { redirect_uri: `${REDIRECT}?a=b` }],
    ['a port on a host that is not loopback', { redirect_uri: 'https://app.example:444/callback' }],
    ['no redirect URI where several are registered', { redirect_uri: undefined }],
  ])('shows a page and never redirects for %s', async (_, changes) => {
    const answer = await authorize(changes)
    expect(answer.status).toBe(400)
    expect(answer.headers.get('location')).toBeNull()
    expect(answer.headers.get('content-type')).toContain('text/html')
  })

  test.each([
    ['http://localhost:51763/callback', true],
    ['http://localhost/callback', true],
    ['http://127.0.0.1:51763/callback', false],
    ['http://localhost:51763/callback2', false],
    ['http://localhost:51763@evil.example/callback', false],
    ['http://localhost.evil.example/callback', false],
    ['cursor://app/callback', true],
  ])('the redirect URI %s: the port is free on loopback only (RFC 8252 7.3)', async (redirect_uri, good) => {
    expect((await authorize({ redirect_uri })).status).toBe(good ? 200 : 400)
  })

  test.each([
    ['invalid_request', { response_type: undefined }],
    ['unsupported_response_type', { response_type: 'token' }],
    ['unsupported_response_type', { response_type: 'code id_token' }],
    ['invalid_request', { response_mode: 'fragment' }],
    ['invalid_request', { code_challenge: undefined }],
    ['invalid_request', { code_challenge_method: 'plain' }],
    ['invalid_request', { code_challenge_method: undefined }],
    ['invalid_request', { code_challenge: 'short' }],
    ['invalid_target', { resource: 'https://elsewhere.example/mcp' }],
    ['invalid_scope', { scope: 'root' }],
    ['request_not_supported', { request: 'eyJhbGciOiJub25lIn0.e30.' }],
    ['request_uri_not_supported', { request_uri: 'http://127.0.0.1:1/jar' }],
    ['invalid_request', { prompt: 'none login' }],
    ['consent_required', { prompt: 'none' }],
  ])('tells the client %s for %p', async (error, changes: Record<string, string | undefined>) => {
    const toClient = { error, error_description: expect.any(String), state: 'xyz', iss: server.base }
    // One that the operator added: by a redirect.
    const answer = await authorize({ ...changes, client_id: house })
    expect(answer.status).toBe(303)
    const location = new URL(answer.headers.get('location')!)
    expect([location.origin, Object.fromEntries(location.searchParams)]).toEqual(['https://app.example', toClient])
    // One that registered itself: by a link that says where it leads (RFC 9700 4.11.2).
    const refused = await authorize(changes)
    expect([refused.status, refused.headers.get('location'), refused.headers.get('refresh')]).toEqual([400, null, null])
    const html = await refused.text()
    expect(html).toContain('>Go to app.example</a>')
    const link = new URL(/<a href="(https:\/\/app\.example[^"]*)"/.exec(html)![1]!.replaceAll('&amp;', '&'))
    expect(Object.fromEntries(link.searchParams)).toEqual(toClient)
  })

  test.each([{}, { scope: 'root' }, { code_challenge: undefined }, { response_type: 'token' }, { request: 'e30.' }])(
    'sends nobody away who has not signed in, whatever is asked: %p (RFC 9700 4.11.2)',
    async changes => {
      for (const client_id of [client, house]) {
        const answer = await authorize({ ...changes, client_id }, '')
        expect([answer.status, answer.headers.get('location')]).toEqual([303, expect.stringMatching(KEPT)])
      }
    },
  )

  test('prompt=none is answered without signing in: a redirect to the operator’s client, a link to any other', async () => {
    const known = await authorize({ prompt: 'none', client_id: house }, '')
    expect(new URL(known.headers.get('location')!).searchParams.get('error')).toBe('login_required')
    const stranger = await authorize({ prompt: 'none' }, '')
    expect([stranger.status, stranger.headers.get('location')]).toEqual([400, null])
    expect(await stranger.text()).toContain('error=login_required')
  })

  test.each(['client_id', 'redirect_uri', 'state'])(
    '%s given twice says nothing of where to answer: a page',
    async name => {
      for (const cookie of [ada, '']) {
        const twice = `${query({ client_id: house })}&${name}=again`
        const answer = await server.get(`/api/oauth/authorize?${twice}`, { Cookie: cookie, ...HTML })
        expect([answer.status, answer.headers.get('location')]).toEqual([400, null])
        expect(await answer.text()).toContain(`The parameter ${name} is given more than once`)
      }
    },
  )

  test.each([
    [
      'resource=BASE/mcp&resource=BASE/api/sse',
      'invalid_target',
      'A token is valid for one resource only; request one at a time',
    ],
    ['prompt=none&prompt=login', 'invalid_request', 'The parameter prompt is given more than once'],
    ['prompt=consent&prompt=consent', 'invalid_request', 'The parameter prompt is given more than once'],
    ['scope=mcp', 'invalid_request', 'The parameter scope is given more than once'],
    ['code_challenge=x', 'invalid_request', 'The parameter code_challenge is given more than once'],
    ['unheard_of=1&unheard_of=2', 'invalid_request', 'The parameter unheard_of is given more than once'],
  ])(
    'any other parameter given twice is told to the client, signed in first or on the way: %s',
    async (more, ...why) => {
      const asked = (client_id: string) =>
        `/api/oauth/authorize?${query({ client_id })}&${more.replaceAll('BASE', encodeURIComponent(server.base))}`
      const told = async (answer: Response) => {
        const { origin, searchParams } = new URL(answer.headers.get('location')!)
        expect([answer.status, origin, Object.fromEntries(searchParams)]).toEqual([
          303,
          'https://app.example',
          { error: why[0], error_description: why[1], state: 'xyz', iss: server.base },
        ])
      }
      await told(await server.get(asked(house), { Cookie: ada }))
      const before = await server.get(asked(house))
      if (more.startsWith('prompt=none')) await told(before)
      else {
        const path = decodeURIComponent(KEPT.exec(before.headers.get('location')!)![1]!)
        await told(await server.get(path, { Cookie: ada }))
      }
      const unknown = await server.get(asked(client), { Cookie: ada, ...HTML })
      expect([unknown.status, (await unknown.text()).includes(`error=${why[0]}`)]).toEqual([400, true])
    },
  )

  test('the same resource twice counts once', async () => {
    const resource = encodeURIComponent(`${server.base}/mcp`)
    const answer = await server.get(`/api/oauth/authorize?${query()}&resource=${resource}&resource=${resource}`, {
      Cookie: ada,
    })
    expect(answer.status).toBe(200)
  })

  test('the same form sent twice, or ten times at once, gives one code; the first decision stands', async () => {
    const fields = consentFields(await (await authorize()).text())
    const send = (decision: string, cookie = ada) =>
      server.post('/api/oauth/authorize/decision', { ...fields, decision }, { Cookie: cookie, ...HTML })
    const codes = async () =>
      Number((await server.deps.sql`select count(*) as n from authorization_codes where client_id = ${client}`)[0]!.n)
    const before = await codes()
    const answers = await Promise.all(Array.from({ length: 10 }, () => send('approve')))
    expect(new Set(answers.map(answer => onwardOf(answer).href)).size).toBe(1)
    expect(await codes()).toBe(before + 1)
    expect((await send('deny')).status).toBe(409)
    // Once the client has the code, or after a minute, resending it is useless.
    expect((await exchange(onwardOf(answers[0]!).searchParams.get('code')!)).status).toBe(200)
    const late = await send('approve')
    expect([late.status, late.headers.get('refresh'), (await late.text()).includes('already answered')]).toEqual([
      409,
      null,
      true,
    ])
    const again = await server.get(`/api/oauth/authorize/${fields.request}`, { Cookie: ada, ...HTML })
    expect(again.status).toBe(409)
  })

  test('answers with a page that continues by itself, and says what to do if nothing happens', async () => {
    const fields = consentFields(await (await authorize()).text())
    const form = { ...fields, decision: 'approve' }
    const answer = await server.post('/api/oauth/authorize/decision', form, { Cookie: ada, ...HTML })
    expect([answer.status, answer.headers.get('location')]).toEqual([200, null])
    expect(answer.headers.get('refresh')).toStartWith(`0; url=${REDIRECT}?code=mac_`)
    const html = await answer.text()
    for (const text of [
      'If nothing happens',
      'you can close this window',
      'app.example',
      `href="${REDIRECT}?code=mac_`,
    ])
      expect(html).toContain(text)
  })

  test.each([
    ['http://localhost:4000/cb', 'this computer'],
    ['cursor://house/cb', 'an app on this device (cursor)'],
  ])('warns that any program can impersonate a verified client whose response goes to %s', async (redirect_uri, to) => {
    const warned = await (await authorize({ client_id: house, redirect_uri })).text()
    expect(warned).toContain(`The response goes to ${to}, where any program can impersonate House app.`)
    expect(await (await authorize({ client_id: house })).text()).not.toContain('can impersonate')
  })

  test('a denial is reported to the client and recorded in the audit log', async () => {
    const answer = await consent({}, 'deny')
    expect(Object.fromEntries(answer.searchParams)).toEqual({
      error: 'access_denied',
      error_description: 'The user denied the request',
      state: 'xyz',
      iss: server.base,
    })
    await server.deps.audit.flush()
    const [event] = await newestEvents(server, 1)
    expect(event).toMatchObject({ event: 'authorization.denied', client_id: client })
  })

  test('signing in on the way keeps the request, however long, without putting it into the URL', async () => {
    const state = 'é"&=%'.repeat(520) // 2,600 characters
    const answer = await authorize({ state }, '')
    const [, path] = KEPT.exec(answer.headers.get('location')!)!
    const html = await (await server.get(decodeURIComponent(path!), { Cookie: ada })).text()
    const form = { ...consentFields(html), decision: 'approve' }
    const back = onwardOf(await server.post('/api/oauth/authorize/decision', form, { Cookie: ada, ...HTML }))
    expect([back.searchParams.get('state'), back.searchParams.get('code')]).toEqual([
      state,
      expect.stringMatching(/^mac_/),
    ])
  })

  test('the sign-in page names the app that waits; fewer permissions can be granted, and the app learns which', async () => {
    const answer = await authorize({ scope: 'mcp:tools:read mcp:tools:call', prompt: 'consent' }, '')
    const location = answer.headers.get('location')!
    expect(await (await server.get(location, HTML)).text()).toContain('is waiting. After you have signed in')
    const [, path] = KEPT.exec(location)!
    const html = await (await server.get(decodeURIComponent(path!), { Cookie: ada })).text()
    const form = { ...consentFields(html), decision: 'approve', choose: '1' }
    const decideWith = (boxes: Record<string, string>) =>
      server.post('/api/oauth/authorize/decision', { ...form, ...boxes }, { Cookie: ada, ...HTML })
    const none = await decideWith({})
    expect([none.status, await none.text()]).toEqual([400, expect.stringContaining('Choose at least one permission')])
    const back = onwardOf(await decideWith({ 'allow:mcp:tools:read': '1', 'allow:admin': '1' }))
    const tokens = (await (await exchange(back.searchParams.get('code')!)).json()) as { scope: string }
    expect(tokens.scope).toBe('mcp:tools:read')
  })

  test('a request waits for half an hour, sealed, then is swept', async () => {
    const answer = await authorize({ state: 'a-state-that-must-not-leak' }, '')
    const path = decodeURIComponent(KEPT.exec(answer.headers.get('location')!)![1]!)
    const id = path.split('/').at(-1)!
    const stored = async () => (await server.deps.sql`select * from authorization_requests where id = ${id}`)[0]
    expect(Buffer.from((await stored())!.parameters).toString('latin1')).not.toContain('a-state-that')
    server.clock.advance(30 * 60 - 1)
    expect((await server.get(path, { Cookie: ada })).status).toBe(200)
    server.clock.advance(2)
    const late = await server.get(path, { Cookie: ada, ...HTML })
    expect([late.status, (await late.text()).includes('This request has expired')]).toEqual([404, true])
    await sweep(server.deps)
    expect(await stored()).toBeUndefined()
  })

  test('a request over 16,384 characters gets an error page, and one network cannot fill the database', async () => {
    const form = Object.fromEntries(new URLSearchParams(query({ state: 'a'.repeat(16_385) })))
    const long = await server.post('/api/oauth/authorize', form, HTML)
    expect([long.status, (await long.text()).includes('request is too long')]).toEqual([400, true])
    let last = 303
    for (let i = 0; i <= 600 && last === 303; i++) last = (await authorize({}, '')).status
    expect(last).toBe(429)
    expect((await authorize()).status).toBe(200) // who is signed in is not held back by neighbours
    server.clock.advance(600)
    expect((await authorize({}, '')).status).toBe(303)
  })

  test('prompt=login requires a sign-in caused by this request', async () => {
    const before = await signIn(server)
    const answer = await authorize({ prompt: 'login' }, before)
    const path = decodeURIComponent(KEPT.exec(answer.headers.get('location')!)![1]!)
    server.clock.advance(1)
    expect((await server.get(path, { Cookie: before })).headers.get('location')).toStartWith('/auth/signin?')
    expect((await server.get(path, { Cookie: await signIn(server) })).status).toBe(200)
  })

  test('a decision without the page’s token, from another session or for another request is refused', async () => {
    const { request, csrf } = consentFields(await (await authorize()).text())
    const other = consentFields(await (await authorize({ scope: 'mcp' })).text()).request
    const eve = await signIn(server, 'eve@example.com')
    const cases: [Record<string, string>, Record<string, string>][] = [
      [{ request, decision: 'approve' }, { Cookie: ada }],
      [{ request, decision: 'approve', csrf }, { Cookie: eve }],
      [{ request: other, decision: 'approve', csrf }, { Cookie: ada }],
      [
        { request, decision: 'approve', csrf },
        { Cookie: ada, 'Sec-Fetch-Site': 'cross-site' },
      ],
    ]
    for (const [form, headers] of cases) {
      const answer = await server.post('/api/oauth/authorize/decision', form, { Accept: 'text/html', ...headers })
      expect([answer.status, answer.headers.get('location')]).toEqual([403, null])
    }
  })

  test('a decision with text that is not Unicode is refused like any other malformed one', async () => {
    const answer = await fetch(`${server.base.replace('localhost', '127.0.0.1')}/api/oauth/authorize/decision`, {
      method: 'POST',
      body: '{"request":"\\ud800"}',
      headers: { 'Content-Type': 'application/json', Accept: 'text/html' },
    })
    expect([answer.status, (await answer.text()).includes('not valid Unicode')]).toEqual([400, true])
  })

  test('consent is remembered for an operator’s client on a web host until it asks for more; never for a registered or loopback client', async () => {
    const known = (
      await addClient(server.deps, {
        name: 'Known',
        grantTypes: ['authorization_code'],
        redirectUris: [REDIRECT, 'http://localhost/cb'],
        scope: ['mcp'],
      })
    ).id
    expect((await consent({ client_id: known })).searchParams.get('code')).toBeTruthy()
    const silent = await authorize({ client_id: known, prompt: 'none' })
    expect(new URL(silent.headers.get('location')!).searchParams.get('code')).toMatch(/^mac_/)
    expect((await authorize({ client_id: known, prompt: 'consent' })).status).toBe(200)
    expect((await authorize({ client_id: known, scope: 'mcp' })).status).toBe(200)
    expect((await authorize({ client_id: known, resource: `${server.base}/api/sse` })).status).toBe(200)
    await consent({ client_id: known, redirect_uri: 'http://localhost:4000/cb' })
    expect((await authorize({ client_id: known, redirect_uri: 'http://localhost:4000/cb' })).status).toBe(200)
    expect((await authorize()).status).toBe(200)
  })
})

describe('the code exchange (RFC 6749 4.1.3, RFC 7636 4.6, RFC 9700 2.1.1)', () => {
  const freshCode = async (changes: Record<string, string> = {}) => (await consent(changes)).searchParams.get('code')!

  test('a wrong verifier is refused and does not harm the rightful client', async () => {
    const code = await freshCode()
    expect(await errorOf(await exchange(code, { code_verifier: pkce().verifier }))).toEqual([400, 'invalid_grant'])
    expect(await errorOf(await exchange(code, { code_verifier: '' }))).toEqual([400, 'invalid_request'])
    expect(await errorOf(await exchange(code, { redirect_uri: 'https://app.example/other' }))).toEqual([
      400,
      'invalid_grant',
    ])
    expect(await errorOf(await exchange(code, { resource: `${server.base}/api/sse` }))).toEqual([400, 'invalid_target'])
    const thief = await registerClient(server, {
      client_name: 'Thief',
      grant_types: ['authorization_code'],
      redirect_uris: [REDIRECT],
    })
    expect(await errorOf(await exchange(code, { client_id: thief }))).toEqual([400, 'invalid_grant'])
    expect((await exchange(code)).status).toBe(200)
  })

  test.each([
    ['shorter than 43 characters', 'a'.repeat(42)],
    ['longer than 128', 'a'.repeat(129)],
    ['of other characters', `${'a'.repeat(42)}+`],
    ['not in ASCII', `${'a'.repeat(42)}é`],
  ])('a verifier %s proves nothing, though it is the one of the challenge (RFC 7636 4.1)', async (_, code_verifier) => {
    const code_challenge = createHash('sha256').update(code_verifier).digest('base64url')
    const code = await freshCode({ code_challenge })
    expect(await errorOf(await exchange(code, { code_verifier }))).toEqual([400, 'invalid_grant'])
  })

  test('a code is valid for a minute', async () => {
    const code = await freshCode()
    server.clock.advance(61)
    expect(await errorOf(await exchange(code))).toEqual([400, 'invalid_grant'])
  })

  test('a valid replay revokes what the code gave; one by another client or without the verifier does not', async () => {
    const code = await freshCode()
    const { access_token } = (await (await exchange(code)).json()) as TokenAnswer
    const thief = await registerClient(server, {
      client_name: 'Thief',
      grant_types: ['authorization_code'],
      redirect_uris: [REDIRECT],
    })
    await exchange(code, { client_id: thief })
    await exchange(code, { code_verifier: pkce().verifier })
    expect((await rpc(server, access_token, 'tools/list')).status).toBe(200)
    expect(await errorOf(await exchange(code))).toEqual([400, 'invalid_grant'])
    expect((await rpc(server, access_token, 'tools/list')).status).toBe(401)
  })

  test('of 20 parallel redemptions exactly one yields tokens, and one grant results, every time', async () => {
    const grants = async () =>
      Number((await server.deps.sql`select count(*) as n from grants where client_id = ${client}`)[0]!.n)
    const before = await grants()
    for (let round = 0; round < RACES; round++) {
      const code = await freshCode()
      const answers = await Promise.all(Array.from({ length: 20 }, () => exchange(code)))
      expect(answers.filter(answer => answer.status === 200).length).toBe(1)
    }
    expect(await grants()).toBe(before + RACES)
  })

  test('of codes that are redeemed at the same moment each yields its own tokens', async () => {
    const path = '/api/sse'
    const codes = [await freshCode(), await freshCode({ resource: `${server.base}${path}` }), await freshCode()]
    const answers = await Promise.all([
      ...codes.map(code => exchange(code)),
      exchange(codes[1]!, { code_verifier: pkce().verifier }),
    ])
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 400])
    const tokens = (await Promise.all(answers.slice(0, 3).map(answer => answer.json()))) as TokenAnswer[]
    expect(new Set(tokens.flatMap(({ access_token, refresh_token }) => [access_token, refresh_token])).size).toBe(6)
    const [first, second] = tokens.map(({ access_token }) => rpc(server, access_token, 'tools/list', {}, '/mcp'))
    expect([(await first!).status, (await second!).status]).toEqual([200, 401])
  })

  test('the token is for the requested resource only (RFC 8707)', async () => {
    const code = await freshCode({ resource: `${server.base}/api/sse` })
    const { access_token } = (await (await exchange(code)).json()) as TokenAnswer
    expect((await rpc(server, access_token, 'tools/list', {}, '/api/sse')).status).toBe(200)
    expect((await rpc(server, access_token, 'tools/list')).status).toBe(401)
  })
})
