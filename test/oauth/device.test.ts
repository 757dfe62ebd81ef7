import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { DEVICE_CODE_GRANT } from '../../src/oauth/grants/types.ts'
import {
  csrfOf,
  decide,
  deviceTokens,
  enterCode,
  openCodeForm,
  poll,
  registerClient,
  requestDevice,
  signIn,
  type TokenAnswer,
} from '../support/flows.ts'
import { RACES, startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let client: string
let ada: string

beforeAll(async () => {
  server = await startServer()
  client = await registerClient(server)
  ada = await signIn(server)
})
afterAll(() => server.close())

/** Out of reach of the earlier tests' rate limits. */
const later = () => server.clock.advance(16 * 60)

describe('device authorization request (RFC 8628 3.1, 3.2)', () => {
  test('a client that is removed at that moment is told so, and its neighbours get their codes', async () => {
    const removed = await registerClient(server, { client_name: 'Removed' })
    expect((await requestDevice(server, removed)).device_code).toStartWith('mdc_') // now it is remembered
    await server.deps.sql`delete from clients where id = ${removed}` // without telling anybody yet
    const [refused, issued] = await Promise.all(
      [removed, client].map(client_id => server.postJson('/api/oauth/device', { client_id })),
    )
    expect([refused!.status, await refused!.json()]).toEqual([
      400,
      { error: 'invalid_request', error_description: 'The client or user of this request was removed in the meantime' },
    ])
    expect(issued!.status).toBe(200)
  })

  test('answers the README’s JSON request in exactly the documented shape', async () => {
    const answer = await server.postJson('/api/oauth/device', {
      clientId: client,
      scope: ['mcp:tools:read', 'mcp:tools:call'],
    })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const body = (await answer.json()) as Record<string, unknown>
    expect(body).toEqual({
      device_code: expect.stringMatching(/^mdc_[A-Za-z0-9_-]{43}$/),
      user_code: expect.stringMatching(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/),
      verification_uri: `${server.base}/auth/device`,
      verification_uri_complete: `${server.base}/auth/device?code=${body.user_code}`,
      expires_in: 600,
      interval: 5,
    })
  })

  test.each([
    ['no client', {}, 401, 'invalid_client'],
    ['an unknown client', { client_id: 'c_nobody' }, 401, 'invalid_client'],
    ['a client id that could not be one', { client_id: "x' or 1=1 --" }, 401, 'invalid_client'],
    ['only unknown scopes', { client_id: 'CLIENT', scope: 'root sudo' }, 400, 'invalid_scope'],
    [
      'the admin scope alone, of a client that registered itself',
      { client_id: 'CLIENT', scope: 'admin' },
      400,
      'invalid_scope',
    ],
    [
      'a foreign resource (RFC 8707)',
      { client_id: 'CLIENT', resource: 'https://elsewhere.example/mcp' },
      400,
      'invalid_target',
    ],
    ['a resource that only begins like ours', { client_id: 'CLIENT', resource: 'BASE/mcp/x' }, 400, 'invalid_target'],
    ['a control character', { client_id: 'CLIENT', scope: 'mcp\u0000' }, 400, 'invalid_request'],
  ])('refuses %s', async (_, form, status, error) => {
    const filled = Object.fromEntries(
      Object.entries(form).map(([key, value]) => [key, value.replace('CLIENT', client).replace('BASE', server.base)]),
    )
    const answer = await server.post('/api/oauth/device', filled)
    expect(answer.status).toBe(status)
    expect(await answer.json()).toEqual({ error, error_description: expect.any(String) })
  })

  test('refuses a repeated parameter, malformed JSON, a wrong type, another content type and a large body, each with an OAuth error', async () => {
    const send = (body: string, type: string) =>
      fetch(`${server.base.replace('localhost', '127.0.0.1')}/api/oauth/device`, {
        method: 'POST',
        body,
        headers: { 'Content-Type': type },
      })
    const form = 'application/x-www-form-urlencoded'
    const cases: [string, string, number][] = [
      [`client_id=${client}&client_id=${client}`, form, 400],
      ['{"client_id":', 'application/json', 400],
      ['["client_id"]', 'application/json', 400],
      ['null', 'application/json', 400],
      ['{"client_id":{"$ne":null}}', 'application/json', 400],
      ['{"client_id":5}', 'application/json', 400],
      [`client_id=${client}`, 'text/plain', 400],
      [`client_id=${client}&scope=${'a'.repeat(70_000)}`, form, 413],
      [Array.from({ length: 100 }, (_, i) => `p${i}=1`).join('&'), form, 400],
    ]
    const [{ count: before } = { count: 0 }] = await server.deps.sql<
      { count: number }[]
    >`select count(*)::int as count from device_codes`
    for (const [body, type, status] of cases) {
      const answer = await send(body, type)
      expect([body.slice(0, 40), answer.status]).toEqual([body.slice(0, 40), status])
      expect(await answer.json()).toEqual({
        error: 'invalid_request',
        error_description: expect.not.stringContaining('aaaa'),
      })
    }
    const [{ count: after } = { count: -1 }] = await server.deps.sql<
      { count: number }[]
    >`select count(*)::int as count from device_codes`
    expect(after).toBe(before)
  })
})

describe('device access token request (RFC 8628 3.4, 3.5)', () => {
  test('answers pending, then slow_down, adding 5 seconds for good each time a poll comes early', async () => {
    const { device_code } = await requestDevice(server, client)
    expect(await (await poll(server, client, device_code)).json()).toEqual({
      error: 'authorization_pending',
      error_description: 'The user has not yet completed the authorization',
    })
    const errors = async () => ((await (await poll(server, client, device_code)).json()) as { error: string }).error
    expect(await errors()).toBe('slow_down') // 10 s now
    server.clock.advance(9)
    expect(await errors()).toBe('slow_down') // 15 s now
    server.clock.advance(14.6)
    expect(await errors()).toBe('authorization_pending') // half a second early is not early
    server.clock.advance(10)
    expect(await errors()).toBe('slow_down')
  })

  test('issues tokens once after approval, even to a poll that came too early', async () => {
    const { device_code, user_code } = await requestDevice(server, client)
    await poll(server, client, device_code)
    await decide(server, ada, user_code)
    const answer = await poll(server, client, device_code)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(await answer.json()).toEqual({
      access_token: expect.any(String),
      token_type: 'Bearer',
      expires_in: 3600,
      refresh_token: expect.stringMatching(/^mrt_/),
      scope: 'mcp:tools:read mcp:tools:call',
    })
    const again = await poll(server, client, device_code)
    expect([again.status, ((await again.json()) as { error: string }).error]).toEqual([400, 'invalid_grant'])
  })

  test('does not require a public client’s client_id at /device/token, and reads JSON', async () => {
    const { device_code, user_code } = await requestDevice(server, client)
    await decide(server, ada, user_code)
    const answer = await server.postJson('/api/oauth/device/token', { device_code, grant_type: DEVICE_CODE_GRANT })
    expect(answer.status).toBe(200)
    expect(((await answer.json()) as TokenAnswer).scope).toBe('mcp:tools:read mcp:tools:call')
  })

  test('issues no refresh token to a client that did not register for it', async () => {
    const simple = await registerClient(server, { grant_types: [DEVICE_CODE_GRANT], client_name: 'Without refresh' })
    const tokens = await deviceTokens(server, simple, ada)
    expect(tokens).not.toHaveProperty('refresh_token')
  })

  test('answers access_denied after a denial and expired_token after expiry', async () => {
    const denied = await requestDevice(server, client)
    await decide(server, ada, denied.user_code, 'deny')
    expect(await (await poll(server, client, denied.device_code)).json()).toMatchObject({ error: 'access_denied' })
    const expired = await requestDevice(server, client)
    server.clock.advance(601)
    expect(await (await poll(server, client, expired.device_code)).json()).toMatchObject({ error: 'expired_token' })
  })

  test('an approval that was not redeemed in time is void', async () => {
    const { device_code, user_code } = await requestDevice(server, client)
    await decide(server, ada, user_code)
    server.clock.advance(601)
    expect(await (await poll(server, client, device_code)).json()).toMatchObject({ error: 'expired_token' })
  })

  test('a device code is bound to its client', async () => {
    const other = await registerClient(server, { client_name: 'Another' })
    const { device_code, user_code } = await requestDevice(server, client)
    await decide(server, ada, user_code)
    expect(await (await poll(server, other, device_code)).json()).toMatchObject({ error: 'invalid_grant' })
    expect((await poll(server, client, device_code)).status).toBe(200)
  })

  test.each(['', 'mdc_', `mdc_${'A'.repeat(43)}`, `mrt_${'A'.repeat(43)}`, '%00'])(
    'refuses the device code %p',
    async code => {
      const answer = await poll(server, client, code)
      expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([
        400,
        code === '' ? 'invalid_request' : 'invalid_grant',
      ])
    },
  )

  test('devices that ask and poll at the same moment get each its own answer', async () => {
    const other = await registerClient(server, { client_name: 'Another' })
    const devices = await Promise.all(Array.from({ length: 5 }, () => requestDevice(server, client)))
    const codes = devices.map(({ device_code }) => device_code)
    expect(new Set([...codes, ...devices.map(({ user_code }) => user_code)]).size).toBe(10)
    await decide(server, ada, devices[1]!.user_code)
    await decide(server, ada, devices[2]!.user_code, 'deny')
    const pollAll = (...polls: [client: string, code: string][]) =>
      Promise.all(
        polls.map(async ([client, code]) => {
          const { error = 'none' } = (await (await poll(server, client, code)).json()) as { error?: string }
          return error
        }),
      )
    const mine = codes.map((code): [string, string] => [client, code])
    expect(await pollAll(...mine, [other, codes[4]!], [client, `mdc_${'A'.repeat(43)}`])).toEqual([
      ...['authorization_pending', 'none', 'access_denied', 'authorization_pending', 'authorization_pending'],
      ...['invalid_grant', 'invalid_grant'],
    ])
    expect(await pollAll(mine[3]!, mine[3]!)).toEqual(['slow_down', 'slow_down'])
  })

  test('of 20 parallel polls after approval exactly one gets tokens, every time', async () => {
    const grants = async () =>
      Number((await server.deps.sql`select count(*) as n from grants where client_id = ${client}`)[0]!.n)
    const before = await grants()
    for (let round = 0; round < RACES; round++) {
      const { device_code, user_code } = await requestDevice(server, client)
      await decide(server, ada, user_code)
      const answers = await Promise.all(Array.from({ length: 20 }, () => poll(server, client, device_code)))
      expect(answers.map(answer => answer.status).sort()).toEqual([200, ...Array(19).fill(400)])
    }
    expect(await grants()).toBe(before + RACES)
  })
})

describe('the page where a code is entered (RFC 8628 3.3, 5.4)', () => {
  test('ignores case, dashes and spaces in a code', async () => {
    const { user_code } = await requestDevice(server, client)
    const entered = await enterCode(server, ada, ` ${user_code.toLowerCase().replace('-', ' ')} `)
    expect(entered.status).toBe(303)
  })

  test('opening the link with a code neither approves nor claims it', async () => {
    const { device_code, user_code } = await requestDevice(server, client)
    const opened = await server.get(`/auth/device?code=${user_code}`, { Cookie: ada })
    expect(opened.status).toBe(200)
    expect(await opened.text()).toContain(`value="${user_code}"`)
    expect(await (await poll(server, client, device_code)).json()).toMatchObject({ error: 'authorization_pending' })
  })

  test('sends somebody who is not signed in to sign in, and back with the code', async () => {
    const answer = await server.get('/auth/device?code=ABCD-EFGH')
    expect(answer.status).toBe(303)
    expect(answer.headers.get('location')).toBe(
      `/auth/signin?return_to=${encodeURIComponent('/auth/device?code=ABCD-EFGH')}`,
    )
  })

  test('shows client, unverified name, permissions, server, time and origin of the request before asking', async () => {
    const { user_code } = await requestDevice(server, client)
    const entered = await enterCode(server, ada, user_code)
    const html = await (await server.get(entered.headers.get('location')!, { Cookie: ada })).text()
    for (const text of [
      'Did you start this?',
      'Test client',
      'unverified name',
      'Use tools as you',
      `${server.base}/mcp`,
      '<time datetime="',
      'the network that you are in now',
      'at most 90 days',
      '127.0.0.1',
      user_code,
      'Deny',
      'Approve',
      'ada@example.com',
    ]) {
      expect(html).toContain(text)
    }
  })

  test('fewer permissions than asked for can be granted, and the answer names them (RFC 6749 3.3)', async () => {
    const approve = async (scope: string, kept: string[]) => {
      const { device_code, user_code } = await requestDevice(server, client, { scope })
      const path = (await enterCode(server, ada, user_code)).headers.get('location')!
      const html = await (await server.get(path, { Cookie: ada })).text()
      const form = { id: path.split('/').at(-1)!, decision: 'approve', choose: '1' }
      const csrf = csrfOf(html, '/api/oauth/device/authorize')
      const boxes = Object.fromEntries(kept.map(name => [`allow:${name}`, '1']))
      const answer = await server.post('/api/oauth/device/authorize', { ...form, ...boxes, csrf }, { Cookie: ada })
      const fields = [...html.matchAll(/name="allow:([^"]+)"[^>]*checked/g)].map(([, name]) => name!)
      return { answer, fields, poll: () => poll(server, client, device_code) }
    }
    const scopeOf = async (answer: Response) => ((await answer.json()) as TokenAnswer).scope

    const read = await approve('mcp:tools:read mcp:tools:call offline_access', ['mcp:tools:read'])
    expect(read.fields).toEqual(['mcp:tools:read', 'mcp:tools:call'])
    expect(await scopeOf(await read.poll())).toBe('mcp:tools:read offline_access')

    const parts = ['mcp:tools:read', 'mcp:tools:call', 'mcp:resources:read', 'mcp:prompts:read']
    const part = await approve('mcp', parts.slice(0, 3))
    expect(part.fields).toEqual(parts)
    expect(await scopeOf(await part.poll())).toBe(parts.slice(0, 3).join(' '))
    expect(await scopeOf(await (await approve('mcp', parts)).poll())).toBe('mcp')

    // What was not asked for cannot be added.
    const more = await approve('mcp:tools:read mcp:tools:call', ['mcp:tools:read', 'connections:manage', 'admin'])
    expect(await scopeOf(await more.poll())).toBe('mcp:tools:read')

    const none = await approve('mcp:tools:read', [])
    expect([none.answer.status, await none.answer.text()]).toEqual([
      400,
      expect.stringContaining('Choose at least one permission'),
    ])
    expect(await (await none.poll()).json()).toMatchObject({ error: 'authorization_pending' })
  })

  test('a code entered in one session cannot be seen, claimed or decided in another', async () => {
    const { device_code, user_code } = await requestDevice(server, client)
    const entered = await enterCode(server, ada, user_code)
    const path = entered.headers.get('location')!
    const eve = await signIn(server, 'eve@example.com')
    expect((await server.get(path, { Cookie: eve })).status).toBe(404)
    expect((await enterCode(server, eve, user_code)).status).toBe(400)
    const sameUserElsewhere = await signIn(server)
    expect((await server.get(path, { Cookie: sameUserElsewhere })).status).toBe(404)
    await decide(server, ada, user_code)
    expect((await poll(server, client, device_code)).status).toBe(200)
  })

  test('wrong, malformed, expired, used and denied codes look alike', async () => {
    later()
    const bodies = new Set<string>()
    const used = await requestDevice(server, client)
    await decide(server, ada, used.user_code)
    const denied = await requestDevice(server, client)
    await decide(server, ada, denied.user_code, 'deny')
    for (const code of ['BBBB-BBBB', 'nonsense!', used.user_code, denied.user_code]) {
      const answer = await enterCode(server, ada, code)
      expect(answer.status).toBe(400)
      const html = (await answer.text()).replaceAll(code, 'CODE').replaceAll(/name="csrf" value="[^"]+"/g, 'TOKEN')
      bodies.add(html.replace(/Tries left: \d/, 'TRIES'))
    }
    expect(bodies.size).toBe(1)
  })

  test('after five wrong codes answers 429 with Retry-After, even to a correct code, until the time is over', async () => {
    later()
    const { user_code } = await requestDevice(server, client, {})
    for (let i = 0; i < 5; i++) expect((await enterCode(server, ada, 'BBBB-BBBB')).status).toBe(400)
    const refused = await enterCode(server, ada, user_code)
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    // The page says so, too, and has no form to try again with.
    const reloaded = await server.get(`/auth/device?code=${user_code}`, { Cookie: ada })
    expect([reloaded.status, reloaded.headers.get('retry-after')]).toEqual([429, refused.headers.get('retry-after')])
    expect(await reloaded.text()).toMatch(/^(?!.*name="user_code").*Too many wrong codes\. Wait 15 minutes/s)
    // Somebody else behind the same address has made no mistake.
    const eve = await signIn(server, 'eve@example.com')
    expect((await enterCode(server, eve, user_code)).status).toBe(303)
    later()
    const fresh = await requestDevice(server, client)
    expect((await enterCode(server, ada, fresh.user_code)).status).toBe(303)
  })

  test('says how many tries are left, and after 50 wrong codes from a network does not blame the person', async () => {
    later()
    const eve = await signIn(server, 'eve@example.com')
    await openCodeForm(server, eve)
    const problemOf = async (answer: Response) => /id="problem".*?<span>(.*?)</.exec(await answer.text())?.[1]
    const wrong =
      'No device is waiting with this code. Compare it with the code on your device; a code works once and expires after a few minutes.'
    for (const left of ['4', '3', '2', '1', '0'])
      expect(await problemOf(await enterCode(server, ada, 'BBBB-BBBB'))).toBe(`${wrong} Tries left: ${left}.`)
    expect(await problemOf(await enterCode(server, ada, 'BBBB-BBBB'))).toBe(
      'Too many wrong codes. Wait 15 minutes, then start again on your device.',
    )
    for (let guesser = 0; guesser < 9; guesser++) {
      const cookie = await signIn(server, `guesser${guesser}@example.com`)
      for (let i = 0; i < 5; i++) expect((await enterCode(server, cookie, 'BBBB-BBBB')).status).toBe(400)
    }
    const { user_code } = await requestDevice(server, client)
    const refused = await enterCode(server, eve, user_code)
    expect([refused.status, await problemOf(refused)]).toEqual([
      429,
      'Too many wrong codes were entered from your network, not necessarily by you. Wait 15 minutes, then start again on your device.',
    ])
    later()
  })

  test('success does not reset the counter', async () => {
    later()
    for (let i = 0; i < 4; i++) expect((await enterCode(server, ada, 'BBBB-BBBB')).status).toBe(400)
    const { user_code } = await requestDevice(server, client)
    expect((await enterCode(server, ada, user_code)).status).toBe(303)
    expect((await enterCode(server, ada, 'BBBB-BBBB')).status).toBe(400)
    expect((await enterCode(server, ada, 'BBBB-BBBB')).status).toBe(429)
    later()
  })

  test.each([
    ['no token', {}, {}],
    ['another interaction’s token', { csrf: 'A'.repeat(43) }, {}],
    ['the right token from another site', { csrf: 'RIGHT' }, { 'Sec-Fetch-Site': 'cross-site' }],
    ['the right token from a sibling site', { csrf: 'RIGHT' }, { 'Sec-Fetch-Site': 'same-site' }],
    ['the right token with a foreign Origin', { csrf: 'RIGHT' }, { Origin: 'https://evil.example' }],
  ])('refuses a code and a decision with %s', async (_, form: Record<string, string>, headers) => {
    later()
    const { user_code, device_code } = await requestDevice(server, client)
    const entry = await (await server.get('/auth/device', { Cookie: ada })).text()
    const right = /name="csrf" value="([^"]+)"/.exec(entry)![1]!
    const sent = { ...form, ...(form.csrf === 'RIGHT' ? { csrf: right } : {}) }
    const entered = await server.post(
      '/api/oauth/device/verify',
      { user_code, ...sent },
      { Cookie: ada, Accept: 'text/html', ...headers },
    )
    expect(entered.status).toBe(403)
    const good = await enterCode(server, ada, user_code)
    const path = good.headers.get('location')!
    const html = await (await server.get(path, { Cookie: ada })).text()
    const decisionToken = /name="csrf" value="([^"]+)"/.exec(html)![1]!
    const decision = { ...form, ...(form.csrf === 'RIGHT' ? { csrf: decisionToken } : {}) }
    const decided = await server.post(
      '/api/oauth/device/authorize',
      { id: path.split('/').at(-1)!, decision: 'approve', ...decision },
      { Cookie: ada, Accept: 'text/html', ...headers },
    )
    expect(decided.status).toBe(403)
    expect(await (await poll(server, client, device_code)).json()).toMatchObject({ error: 'authorization_pending' })
  })

  test('administration is offered to administrators only', async () => {
    later()
    const { addClient } = await import('../../src/oauth/clients/index.ts')
    const { id } = await addClient(server.deps, {
      name: 'Console',
      grantTypes: [DEVICE_CODE_GRANT],
      redirectUris: [],
      scope: ['mcp', 'admin'],
    })
    const asUser = await deviceTokens(server, id, ada, { scope: 'mcp admin' })
    expect(asUser.scope).toBe('mcp')
    const root = await signIn(server, 'root@example.com', { admin: true })
    const asAdmin = await deviceTokens(server, id, root, { scope: 'mcp admin' })
    expect(asAdmin.scope).toBe('mcp admin')
  })
})
