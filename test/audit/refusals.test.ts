/** Denied attempts are in the audit log: one bounded row each, with who, from where and why (SECURITY: Everywhere). */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { addClient } from '../../src/oauth/clients/index.ts'
import { newestEvents } from '../support/audit.ts'
import {
  basic,
  consent,
  consentFields,
  DEVICE_CODE_GRANT,
  deviceTokens,
  pkce,
  poll,
  registerClient,
  requestDevice,
  signIn,
  type TokenAnswer,
} from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { count } from '../support/signin.ts'

// Generous, for a busy machine.
setDefaultTimeout(300_000)

const REDIRECT = 'https://app.example/callback'
const INITIAL = 'an initial access token of the tests, long enough'

let server: TestServer
let ada: string
let adaId: string
/** A public client, another one, one that is registered for codes alone, and one that is confidential. */
let client: string
let thief: string
let codesOnly: string
let house: { id: string; secret: string }
let tokens: TokenAnswer

beforeAll(async () => {
  server = await startServer({ INITIAL_ACCESS_TOKEN: INITIAL, TRUSTED_PROXIES: '127.0.0.1' })
  const grant_types = ['authorization_code', 'refresh_token', DEVICE_CODE_GRANT]
  client = await registerClient(server, { grant_types, redirect_uris: [REDIRECT] })
  thief = await registerClient(server, { client_name: 'Thief', grant_types, redirect_uris: [REDIRECT] })
  codesOnly = await registerClient(server, { grant_types: ['authorization_code'], redirect_uris: [REDIRECT] })
  const { id, secret } = await addClient(server.deps, {
    name: 'House',
    grantTypes: ['client_credentials'],
    redirectUris: [],
    scope: ['mcp'],
  })
  house = { id, secret: secret! }
  ada = await signIn(server)
  adaId = (await server.deps.sql<{ id: string }[]>`select id from users where email = 'ada@example.com'`)[0]!.id
  tokens = await deviceTokens(server, client, ada)
})
afterAll(() => server.close())

const { verifier, challenge } = pkce()
const query = (changes: Record<string, string> = {}) =>
  new URLSearchParams({
    response_type: 'code',
    client_id: client,
    redirect_uri: REDIRECT,
    scope: 'mcp',
    code_challenge: challenge,
    code_challenge_method: 'S256',
    ...changes,
  }).toString()
const authorize = (changes: Record<string, string>, from: Headers) =>
  server.get(`/api/oauth/authorize?${query(changes)}`, { Cookie: ada, ...from })
const token = (form: Record<string, string>, from: Headers) =>
  server.post('/api/oauth/token', { client_id: client, ...form }, from)
/** Tries to exchange a code that the client has received. */
const exchange = async (changes: Record<string, string>, from: Headers) => {
  const code = (await consent(server, ada, query())).searchParams.get('code')!
  const form = { grant_type: 'authorization_code', code, redirect_uri: REDIRECT, code_verifier: verifier, ...changes }
  return token(form, from)
}
const refresh = (changes: Record<string, string>, from: Headers) =>
  token({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token, ...changes }, from)
/** Sends the consent form. */
const decide = async (changes: Record<string, string>, from: Headers) => {
  const fields = consentFields(await (await authorize({}, {})).text())
  const form = { ...fields, decision: 'approve', ...changes }
  return server.post('/api/oauth/authorize/decision', form, { Cookie: ada, ...from })
}
const manage = (from: Headers) =>
  server.get(`/api/oauth/register/${client}`, { Authorization: 'Bearer mrg_x', ...from })
const registerWith = (bearer: string, from: Headers) =>
  server.postJson('/api/oauth/register', {}, { Authorization: `Bearer ${bearer}`, ...from })

type Headers = Record<string, string>
type Attempt = [
  what: string,
  attempt: (from: Headers) => Promise<Response>,
  status: number,
  event: string,
  reason: Record<string, unknown>,
  who: () => Record<string, unknown>,
]

const own = () => ({ client_id: client })
const ofAda = () => ({ client_id: client, user_id: adaId })
const stolen = () => ({ client_id: thief, user_id: adaId })
const nobody = () => ({ client_id: null, user_id: null })

const ATTEMPTS: Attempt[] = [
  [
    'a wrong verifier',
    from => exchange({ code_verifier: pkce().verifier }, from),
    400,
    'authorization.exchange_refused',
    { reason: 'wrong code_verifier' },
    ofAda,
  ],
  [
    'no verifier',
    from => exchange({ code_verifier: '' }, from),
    400,
    'authorization.exchange_refused',
    { reason: 'no code_verifier' },
    ofAda,
  ],
  [
    'a wrong redirect URI at the exchange',
    from => exchange({ redirect_uri: `${REDIRECT}2` }, from),
    400,
    'authorization.exchange_refused',
    { reason: 'wrong redirect_uri' },
    ofAda,
  ],
  [
    'a code of another client',
    from => exchange({ client_id: thief }, from),
    400,
    'authorization.exchange_refused',
    { reason: 'code of another client' },
    stolen,
  ],
  [
    'an unknown code',
    from => exchange({ code: `mac_${'A'.repeat(43)}` }, from),
    400,
    'authorization.exchange_refused',
    { reason: 'unknown code' },
    own,
  ],
  [
    'a refresh token of another client',
    from => refresh({ client_id: thief }, from),
    400,
    'refresh.refused',
    { reason: 'token of another client' },
    stolen,
  ],
  [
    'a wider scope at the refresh',
    from => refresh({ scope: 'mcp connections:manage' }, from),
    400,
    'refresh.refused',
    { reason: 'wider scope' },
    ofAda,
  ],
  [
    'an unknown refresh token',
    from => refresh({ refresh_token: `mrt_${'A'.repeat(43)}` }, from),
    400,
    'refresh.refused',
    { reason: 'unknown token' },
    own,
  ],
  [
    'a device code of another client',
    async from => {
      const { device_code } = await requestDevice(server, client)
      const form = { grant_type: DEVICE_CODE_GRANT, client_id: thief, device_code }
      return token(form, from)
    },
    400,
    'device.poll_refused',
    {},
    () => ({ client_id: thief }),
  ],
  [
    'no PKCE',
    from => authorize({ code_challenge: '' }, from),
    400,
    'authorization.refused',
    { reason: 'The parameter code_challenge is missing; PKCE with S256 is required' },
    ofAda,
  ],
  [
    'a redirect URI that is not registered',
    from => authorize({ redirect_uri: 'https://evil.example/' }, from),
    400,
    'authorization.refused',
    { reason: 'the redirect_uri is not registered' },
    own,
  ],
  [
    'an unknown client',
    from => authorize({ client_id: 'c_nobody' }, from),
    400,
    'authorization.refused',
    { reason: 'unknown client_id' },
    nobody,
  ],
  [
    'a forged consent form, without the token of its page',
    from => decide({ csrf: 'x' }, from),
    403,
    'form.refused',
    { reason: 'wrong CSRF token' },
    () => ({ client_id: null, user_id: adaId }),
  ],
  [
    'a consent form from another site',
    from => decide({}, { 'Sec-Fetch-Site': 'cross-site', ...from }),
    403,
    'form.refused',
    { reason: 'from another site' },
    () => ({ client_id: null, user_id: adaId }),
  ],
  [
    'a forged form of signing in',
    from => server.post('/auth/signin/link', { token: 'x' }, from),
    403,
    'form.refused',
    { reason: 'no cookie' },
    nobody,
  ],
  [
    'introspection by a public client',
    from => server.post('/api/oauth/introspect', { client_id: client, token: tokens.access_token }, from),
    401,
    'introspection.refused',
    { reason: 'a public client' },
    own,
  ],
  [
    'a grant type that the client is not registered for',
    from => token({ grant_type: 'refresh_token', client_id: codesOnly, refresh_token: 'x' }, from),
    400,
    'client.unauthorized',
    { grant: 'refresh_token' },
    () => ({ client_id: codesOnly }),
  ],
  [
    'a device code for a client that is not registered for them',
    from => server.post('/api/oauth/device', { client_id: codesOnly }, from),
    400,
    'client.unauthorized',
    { grant: DEVICE_CODE_GRANT },
    () => ({ client_id: codesOnly }),
  ],
  [
    'an authorization request of a client that is not registered for codes',
    from => authorize({ client_id: house.id, redirect_uri: '' }, from),
    400,
    'authorization.refused',
    { reason: 'the redirect_uri is not registered' },
    () => ({ client_id: house.id }),
  ],
  [
    'revocation of the token of another client',
    from => server.post('/api/oauth/revoke', { client_id: thief, token: tokens.refresh_token }, from),
    200,
    'revocation.refused',
    {},
    () => ({ client_id: thief }),
  ],
  [
    'a wrong initial access token',
    from => registerWith('wrong', from),
    401,
    'registration.refused',
    { reason: 'wrong initial access token' },
    nobody,
  ],
  [
    'a wrong registration access token',
    from => manage(from),
    401,
    'registration.refused',
    { reason: 'wrong registration access token' },
    own,
  ],
]

describe('a denied attempt is one row of the audit log', () => {
  test.each(ATTEMPTS.map((attempt, i) => [...attempt, `198.51.100.${i + 1}`] as const))(
    '%s',
    async (_, attempt, status, event, detail, who, ip) => {
      await server.deps.audit.flush()
      await server.deps.sql`delete from audit_events`
      for (let i = 0; i < 3; i++) expect((await attempt({ 'X-Forwarded-For': ip })).status).toBe(status)
      const recorded = (await newestEvents(server, 100)).filter(row => row.ip === ip)
      expect(recorded).toEqual([expect.objectContaining({ event, ip, detail, ...who() })])
    },
  )

  test('and after ten minutes another row with the number of attempts in between', async () => {
    const from = { 'X-Forwarded-For': '198.51.100.200' }
    const guess = () => refresh({ refresh_token: `mrt_${'A'.repeat(43)}` }, from)
    for (let i = 0; i < 5; i++) await guess()
    server.clock.advance(601)
    await guess()
    const [last] = await newestEvents(server, 1)
    expect(last).toMatchObject({ event: 'refresh.refused', detail: { reason: 'unknown token', repeats: 4 } })
  })

  test('at most a hundred in ten minutes for strangers from one network', async () => {
    const before = await count(server, 'audit_events')
    const from = { 'X-Forwarded-For': '198.51.100.201' }
    for (let i = 0; i < 130; i++)
      await server.get(`/api/oauth/authorize?${query({ scope: '', prompt: `none x${i}` })}`, from)
    for (let i = 0; i < 130; i++)
      await server.post(
        '/api/oauth/token',
        { grant_type: 'refresh_token', refresh_token: 'x' },
        { ...basic(`c_${i}`, 'x'), ...from },
      )
    await server.deps.audit.flush()
    expect((await count(server, 'audit_events')) - before).toBeLessThanOrEqual(100)
  })
})

test('what succeeds, is pending or only checks (prompt=none) leaves no such row', async () => {
  await server.deps.audit.flush()
  await server.deps.sql`delete from audit_events`
  const { device_code } = await requestDevice(server, client)
  await poll(server, client, device_code)
  await poll(server, client, device_code)
  await authorize({ prompt: 'none' }, {})
  await server.get(`/api/oauth/authorize?${query({ prompt: 'none' })}`)
  await exchange({}, {})
  tokens = (await (await refresh({}, {})).json()) as TokenAnswer
  await server.post('/api/oauth/revoke', { client_id: client, token: 'x' })
  const events = (await newestEvents(server, 100)).map(row => row.event)
  expect(events.filter(event => event.includes('refused') || event.includes('unauthorized'))).toEqual([])
})
