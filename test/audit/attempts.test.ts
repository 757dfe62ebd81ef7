/** Steps of clients on their way to a connection, put together as attempts, with the cause where one stopped. */
import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { listConnectionSteps } from '../../sql/connection-steps.ts'
import { type Attempt, attemptsOf, listAttempts } from '../../src/audit/attempts.ts'
import { openSteps } from '../../src/audit/steps.ts'
import { sweep } from '../../src/sweeper.ts'
import { runCommand } from '../support/command.ts'
import {
  consent,
  deviceTokens,
  machineToken,
  pkce,
  poll,
  registerClient,
  requestDevice,
  rpc,
  signIn,
  type TokenAnswer,
} from '../support/flows.ts'
import { startReplica, startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(60_000)

const CALLBACK = 'http://127.0.0.1:33418/callback'
let server: TestServer
let ada: string
beforeAll(async () => {
  const lookUp = async () => {
    throw Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' })
  }
  server = await startServer({}, { resolve: lookUp, isAllowed: () => true } as never)
  ada = await signIn(server)
})
afterAll(() => server.close())
beforeEach(async () => {
  await server.deps.steps.flush()
  server.clock.advance(3600)
})

const web = () =>
  registerClient(server, {
    client_name: 'Editor',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [CALLBACK],
  })
const asked = (client: string, more: Record<string, string> = {}) =>
  new URLSearchParams({
    response_type: 'code',
    client_id: client,
    redirect_uri: CALLBACK,
    code_challenge: pkce().challenge,
    code_challenge_method: 'S256',
    ...more,
  })
const ask = (client: string, more?: Record<string, string>, cookie = ada) =>
  server.get(`/api/oauth/authorize?${asked(client, more)}`, { Cookie: cookie })
const unsigned = (headers = {}) => server.postJson('/mcp', { jsonrpc: '2.0', id: 1, method: 'ping' }, headers)
const discover = async () => {
  await unsigned()
  await server.get('/.well-known/oauth-protected-resource/mcp')
  await server.get('/.well-known/oauth-authorization-server')
}

/** The last attempt, as it looks a quarter of an hour later: its steps with their status, and where it stopped. */
async function lastAttempt(minutes = 16): Promise<Attempt & { seen: string[] }> {
  await server.deps.steps.flush()
  server.clock.advance(minutes * 60)
  const [attempt] = await listAttempts(server.deps)
  return { ...attempt!, seen: attempt!.steps.map(({ step, status }) => `${step} ${status}`) }
}

const DISCOVERY = ['challenge 401', 'metadata 200']

test('steps keep their order when the clock is corrected by milliseconds', async () => {
  let time = server.deps.now().getTime()
  const steps = openSteps({ ...server.deps, now: () => new Date(time--) })
  const seen = { clientId: null, network: '192.0.2.0', program: 'corrected', status: 200, answer: null }
  for (const step of ['challenge', 'metadata', 'registration'] as const) steps.see({ ...seen, step })
  await steps.flush()
  const rows = (await listConnectionSteps(server.deps.sql, 100)).filter(({ program }) => program === 'corrected')
  expect(rows.map(({ step }) => step)).toEqual(['challenge', 'metadata', 'registration'])
})

describe('steps of several clients and replicas', () => {
  interface Seen {
    step: string
    ms: number
    client?: string
    status?: number
  }
  /** Stores them in this order. @returns the steps of each attempt, newest first, with its client. */
  async function attemptsFrom(program: string, seen: Seen[]) {
    const began = server.deps.now().getTime()
    for (const { step, ms, client = null, status = 200 } of seen)
      await server.deps.sql`
        insert into connection_steps (at, step, client_id, network, program, status, known)
        values (${new Date(began + ms)}, ${step}, ${client}, '198.51.100.0/24', ${program}, ${status}, ${step === 'token'})`
    server.clock.advance(3600)
    const attempts = await listAttempts(server.deps, program)
    return attempts.map(({ clientId, steps }) => [clientId, ...steps.map(({ step }) => step)])
  }

  test('of one millisecond are in the order in which a client takes them, whichever replica stored them first', async () => {
    const stored = ['token', 'registration', 'challenge', 'authorization'].map(step => ({
      step,
      ms: 0,
      client: 'c_tie',
    }))
    expect(await attemptsFrom('tie', stored)).toEqual([
      ['c_tie', 'challenge', 'registration', 'authorization', 'token'],
    ])
  })

  test('a refusal without a client’s id is not the beginning of another client of that program and network', async () => {
    const refused = await attemptsFrom('refused', [
      { step: 'challenge', ms: 0, status: 401 },
      { step: 'registration', ms: 1000, status: 400 },
      { step: 'authorization', ms: 2000, client: 'c_other' },
    ])
    expect(refused).toEqual([
      ['c_other', 'authorization'],
      [null, 'challenge', 'registration'],
    ])
    const again = await attemptsFrom('again', [
      { step: 'registration', ms: 0, status: 400 },
      { step: 'registration', ms: 1000, client: 'c_again' },
      { step: 'authorization', ms: 2000, client: 'c_again' },
    ])
    expect(again).toEqual([['c_again', 'registration', 'registration', 'authorization']])
  })
})

test('a machine that calls as soon as it has a token is connected', async () => {
  await rpc(server, await machineToken(server, ['mcp']), 'tools/list')
  const { connected, seen, finding } = await lastAttempt()
  expect([connected, seen, finding]).toEqual([true, ['token 200', 'call 200'], undefined])
})

describe('where real clients stop, why, and what to do', () => {
  test.each<[way: string, act: () => Promise<unknown>, seen: string[], cause: RegExp, fix: RegExp]>([
    [
      'a client that cannot sign in',
      unsigned,
      ['challenge 401'],
      /^It was told where to sign in, and did not look\.$/,
      /mcp-remote/,
    ],
    [
      'BASE_URL is another address',
      discover,
      DISCOVERY,
      /^It read where to sign in, and did not go on\.$/,
      /Set BASE_URL/,
    ],
    [
      'registration is closed',
      async () => {
        const closed = await startReplica(server, { REGISTRATION: 'closed' })
        await discover()
        await server.deps.steps.flush()
        server.clock.advance(1) // the clocks of two replicas differ by milliseconds
        await closed.postJson('/api/oauth/register', { redirect_uris: [CALLBACK] })
        await closed.close()
      },
      [...DISCOVERY, 'registration 403'],
      /^Registration is closed here /,
      /client add/,
    ],
    [
      'its metadata document cannot be fetched: no DNS',
      async () => {
        await discover()
        await ask('https://app.example/client.json')
      },
      [...DISCOVERY, 'authorization 400'],
      /^Its metadata document could not be fetched: its host name does not resolve here/,
      /DNS/,
    ],
    [
      'a client id from before the database was reset',
      () => ask('c_0123456789abcdef'),
      ['authorization 400'],
      /^It used a client id that this server does not know/,
      /Remove this server from the app/,
    ],
    [
      'a resource that is not ours',
      async () => ask(await web(), { resource: 'https://old.example/mcp' }),
      ['registration 201', 'authorization 400'],
      /^It asked for a resource that is not ours \(The resource must be one of: http/,
      /BASE_URL/,
    ],
    [
      'the person does not come back from the provider',
      async () => ask(await web(), {}, ''),
      ['registration 201', 'authorization 303'],
      /^The person never came back from the sign-in page\.$/,
      /callback URL/,
    ],
    [
      'nobody presses Approve',
      async () => ask(await web()),
      ['registration 201', 'authorization 200'],
      /^The consent page was shown, and nobody decided\.$/,
      /press Approve/,
    ],
    [
      'the browser is on another machine than the app',
      async () => consent(server, ada, String(asked(await web()))),
      ['registration 201', 'authorization 200', 'consent 200'],
      /^It was approved, and never came back from the browser/,
      /on the machine where the app runs/,
    ],
    [
      'another verifier than the one that was announced',
      async () => {
        const client = await web()
        const code = (await consent(server, ada, String(asked(client)))).searchParams.get('code')!
        const form = { grant_type: 'authorization_code', client_id: client, redirect_uri: CALLBACK, code }
        await server.post('/api/oauth/token', { ...form, code_verifier: pkce().verifier })
      },
      ['registration 201', 'authorization 200', 'consent 200', 'token 400'],
      /^Its authorization code was refused/,
      /Connect it again/,
    ],
    [
      'nobody enters the user code',
      async () => {
        const client = await registerClient(server)
        const { device_code } = await requestDevice(server, client)
        for (let i = 0; i < 3; i++) await poll(server, client, device_code)
      },
      ['registration 201', 'device code 200', 'token 400'],
      /^Nobody entered its code before it expired\.$/,
      /reachable from the phone/,
    ],
    [
      'a proxy removes the Authorization header',
      async () => {
        await deviceTokens(server, await registerClient(server), ada)
        await unsigned()
      },
      ['registration 201', 'device code 200', 'approval 200', 'token 200', 'challenge 401'],
      /^It has a token, but its calls arrive without one\.$/,
      /proxy/,
    ],
    [
      'a token for another endpoint',
      async () => {
        const { access_token } = await deviceTokens(server, await registerClient(server), ada, {
          resource: `${server.base}/sse`,
        })
        await rpc(server, access_token, 'ping')
      },
      ['registration 201', 'device code 200', 'approval 200', 'token 200', 'call 401'],
      /^Its token is for another MCP endpoint/,
      /the address that it calls/,
    ],
  ])('%s', async (_, act, seen, cause, fix) => {
    await act()
    const attempt = await lastAttempt()
    expect(attempt).toMatchObject({ seen, connected: false })
    expect(attempt.finding!.stoppedAt).toBe(seen.at(-1)!.replace(/ \d+$/, ''))
    expect(attempt.finding!.cause).toMatch(cause)
    expect(attempt.finding!.fix).toMatch(fix)
  })
})

test('a client that connects: every step once, and one attempt over two replicas; doctor --client prints it', async () => {
  const replica = await startReplica(server)
  await discover()
  const { verifier, challenge } = pkce()
  const client = await web()
  const url = await consent(server, ada, String(asked(client, { code_challenge: challenge, state: 'a-secret-state' })))
  await server.deps.steps.flush()
  server.clock.advance(1) // the clocks of two replicas differ by milliseconds
  const answer = await replica.post('/api/oauth/token', {
    grant_type: 'authorization_code',
    client_id: client,
    redirect_uri: CALLBACK,
    code: url.searchParams.get('code')!,
    code_verifier: verifier,
  })
  const tokens = (await answer.json()) as TokenAnswer
  await replica.deps.steps.flush()
  server.clock.advance(1)
  for (let i = 0; i < 3; i++) await rpc(server, tokens.access_token, 'tools/list')
  const form = { grant_type: 'refresh_token', client_id: client, refresh_token: tokens.refresh_token }
  expect((await server.post('/api/oauth/token', form)).status).toBe(200) // is no step
  await replica.close()
  expect(await lastAttempt()).toMatchObject({
    ...{ clientId: client, clientName: 'Editor', networks: ['127.0.0.1'], connected: true, finding: undefined },
    seen: [...DISCOVERY, 'registration 201', 'authorization 200', 'consent 200', 'token 200', 'call 200'],
  })
  const { stdout } = await runCommand(['doctor', '--client', 'edit'], server.env)
  expect(stdout).toContain(`Editor (${client}), `)
  expect(stdout).toContain(': connected\n')
  expect(stdout).toMatch(/\n {2}\d\d:\d\d:\d\d\.\d{3} {2}registration {3}201\n/)
  const [described] = JSON.parse((await runCommand(['doctor', '--client', client, '--json'], server.env)).stdout)
  expect(described).toMatchObject({ client_id: client, connected: true, stopped_at: null, cause: null, fix: null })
  expect(JSON.stringify(described)).not.toContain('a-secret-state')
  expect(await runCommand(['doctor', '--client', 'none'], server.env)).toMatchObject({
    code: 0,
    stderr: 'No client like none has tried to connect.\n',
  })
})

test('many apps that connect through one network at the same time stay apart', () => {
  const steps = ['registration', 'device code', 'token', 'call'].flatMap((step, round) =>
    Array.from({ length: 150 }, (_, app) => ({
      ...{ at: new Date((round * 150 + app) * 1000), step, status: 200, answer: null, known: true },
      ...{ client_id: `app ${app}`, client_name: null, network: '192.0.2.1', program: 'app' },
    })),
  )
  const attempts = attemptsOf(steps, new Date(700_000))
  expect(attempts.map(({ clientId, connected }) => [clientId, connected])).toEqual(
    Array.from({ length: 150 }, (_, app) => [`app ${app}`, true]),
  )
})

test('strangers cannot fill it: 300 steps from a network in ten minutes, and a quota beside that of known ones', async () => {
  const before = await listConnectionSteps(server.deps.sql, 100_000)
  for (let i = 0; i < 400; i++)
    await server.get('/.well-known/oauth-authorization-server', { 'User-Agent': `bot${i}/1` })
  await server.deps.steps.flush()
  expect(await listConnectionSteps(server.deps.sql, 100_000)).toHaveLength(before.length + 300)
  const known = (steps: { step: string; status: number }[]) =>
    steps.filter(({ step, status }) => status < 400 && ['consent', 'approval', 'token', 'call'].includes(step)).length
  await server.deps.sql`
    insert into connection_steps (at, step, network, program, status, known)
    select ${server.deps.now()}, 'metadata', '192.0.2.1', 'bot', 200, false
    from generate_series(1, 6000)`
  for (let round = 0; round < 8; round++) await sweep(server.deps)
  const left = await listConnectionSteps(server.deps.sql, 100_000)
  expect([left.length - known(left), known(left)]).toEqual([5000, known(before)])
  server.clock.advance(31 * 86_400)
  while ((await listConnectionSteps(server.deps.sql, 1)).length > 0) await sweep(server.deps)
})
