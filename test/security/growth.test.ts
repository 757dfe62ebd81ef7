/** What strangers and restless clients can make the server keep is bounded. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { pino } from 'pino'
import { DEVICE_CODE_GRANT } from '../../src/oauth/grants/types.ts'
import { sweep } from '../../src/sweeper.ts'
import { newestEvents } from '../support/audit.ts'
import { startDocumentHost } from '../support/document-host.ts'
import { deviceTokens, poll, registerClient, requestDevice, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { count } from '../support/signin.ts'

setDefaultTimeout(300_000)

let server: TestServer
beforeAll(async () => {
  server = await startServer({ TRUSTED_PROXIES: '127.0.0.1' })
})
afterAll(() => server.close())

const from = (address: string) => ({ 'X-Forwarded-For': address })
const slowDown = async (answer: Response) => [answer.status, ((await answer.json()) as { error: string }).error]

async function auditRows(): Promise<number> {
  await server.deps.audit.flush()
  return count(server, 'audit_events')
}

describe('rows of the audit log', () => {
  test('identical registrations make one, for the first', async () => {
    await registerClient(server, { client_name: 'Again' })
    const before = await auditRows()
    for (let i = 0; i < 300; i++) await registerClient(server, { client_name: 'Again' })
    expect((await auditRows()) - before).toBe(0)
  })

  test('device codes make one in ten minutes, and the next says how many there were in between', async () => {
    const client = await registerClient(server, { client_name: 'Busy' })
    const before = await auditRows()
    for (let i = 0; i < 30; i++) await requestDevice(server, client)
    expect((await auditRows()) - before).toBe(1)
    server.clock.advance(601)
    await requestDevice(server, client)
    const [event] = await newestEvents(server, 1)
    expect(event).toMatchObject({ event: 'device.requested', client_id: client, detail: { repeats: 29 } })
  })

  test('changes of a registration make one in ten minutes', async () => {
    const body = { client_name: 'Changing', token_endpoint_auth_method: 'none', grant_types: [DEVICE_CODE_GRANT] }
    const registered = await (await server.postJson('/api/oauth/register', body)).json()
    const { registration_access_token, registration_client_uri } = registered as Record<string, string>
    const path = new URL(registration_client_uri!).pathname
    const before = await auditRows()
    for (let i = 0; i < 20; i++) {
      const answer = await fetch(`http://127.0.0.1:${new URL(server.base).port}${path}`, {
        method: 'PUT',
        headers: { Authorization: `Bearer ${registration_access_token}`, 'Content-Type': 'application/json' },
        body: JSON.stringify({ ...body, client_name: `Changing ${i}` }),
      })
      expect(answer.status).toBe(200)
    }
    expect((await auditRows()) - before).toBe(1)
  })

  test('are kept for AUDIT_RETENTION days, and forever if that is 0', async () => {
    const [year, forever] = [await startServer({ AUDIT_RETENTION: '30' }), await startServer({ AUDIT_RETENTION: '0' })]
    for (const each of [year, forever]) {
      await registerClient(each)
      await each.deps.audit.flush()
      each.clock.advance(29 * 86_400)
      await sweep(each.deps)
      expect(await count(each, 'audit_events')).toBe(1)
      each.clock.advance(2 * 86_400)
      await sweep(each.deps)
    }
    expect([await count(year, 'audit_events'), await count(forever, 'audit_events')]).toEqual([0, 1])
    await year.close()
    await forever.close()
  })
})

test('a client that refreshes in a tight loop keeps about a hundred used tokens and one row of the audit log', async () => {
  const client = await registerClient(server, { client_name: 'Restless' })
  let { refresh_token } = await deviceTokens(server, client, await signIn(server))
  const before = await auditRows()
  const refresh = () =>
    server.post('/api/oauth/token', { grant_type: 'refresh_token', client_id: client, refresh_token })
  for (let i = 0; i < 150; i++) {
    const answer = await refresh()
    expect(answer.status).toBe(200)
    refresh_token = ((await answer.json()) as { refresh_token: string }).refresh_token
  }
  expect(await count(server, 'refresh_tokens')).toBe(107) // forgotten after every 16th
  expect((await auditRows()) - before).toBe(1)
  expect((await refresh()).status).toBe(200)
})

test('device codes: a network may have a thousand open, however many clients it registers; others go on', async () => {
  server.clock.advance(601)
  const clients = await Promise.all([1, 2].map(n => registerClient(server, { client_name: `Hoarder ${n}` })))
  const ask = (client_id: string, address: string) =>
    server.post('/api/oauth/device', { client_id, scope: 'mcp' }, from(address))
  for (const client of clients) for (let i = 0; i < 500; i++) expect((await ask(client, '192.0.2.50')).status).toBe(200)
  expect(await slowDown(await ask(clients[0]!, '192.0.2.50'))).toEqual([429, 'slow_down'])
  expect((await ask(clients[0]!, '192.0.2.51')).status).toBe(200)
  server.clock.advance(601)
  expect((await ask(clients[0]!, '192.0.2.50')).status).toBe(200)
})

test('wrong device codes, authorization codes and refresh tokens: 100 per network in five minutes', async () => {
  server.clock.advance(601)
  const client = await registerClient(server, { client_name: 'Guesser' })
  const code = await requestDevice(server, client)
  const guesses = [
    { grant_type: DEVICE_CODE_GRANT, device_code: `mdc_${'x'.repeat(43)}` },
    { grant_type: 'refresh_token', refresh_token: `mrt_${'x'.repeat(43)}` },
  ]
  const guess = (i: number) =>
    server.post('/api/oauth/token', { client_id: client, ...guesses[i % 2] } as Record<string, string>)
  for (let i = 0; i < 100; i++) expect(await slowDown(await guess(i))).toEqual([400, 'invalid_grant'])
  expect(await slowDown(await guess(100))).toEqual([429, 'slow_down'])
  expect(await slowDown(await poll(server, client, code.device_code))).toEqual([429, 'slow_down'])
  const elsewhere = { grant_type: DEVICE_CODE_GRANT, client_id: client, device_code: code.device_code }
  expect(await slowDown(await server.post('/api/oauth/token', elsewhere, from('192.0.2.60')))).toEqual([
    400,
    'authorization_pending',
  ])
  server.clock.advance(301)
  expect(await slowDown(await poll(server, client, code.device_code))).toEqual([400, 'authorization_pending'])
})

test('metadata documents: 30 fetches a minute per network, and 2,000 unused ones are kept', async () => {
  const host = await startDocumentHost()
  const strict = await startServer({ TRUSTED_PROXIES: '127.0.0.1' }, host.outbound)
  const idOf = (n: number) => `https://host${n}.example:${host.port}/app.json`
  const ask = (n: number, address: string) =>
    strict.post('/api/oauth/device', { client_id: idOf(n), scope: 'mcp' }, from(address))
  for (let n = 0; n < 30; n++) expect((await ask(n, '192.0.2.70')).status).toBe(401) // 404 there
  expect(await slowDown(await ask(30, '192.0.2.70'))).toEqual([429, 'slow_down'])
  expect(await slowDown(await ask(30, '192.0.2.71'))).toEqual([401, 'invalid_client'])
  expect(host.connections).toBe(31)
  await strict.deps.sql`
    insert into clients (id, name, source, auth_method, grant_types, scope, created_at, fresh_until)
    select 'https://stored.example/' || n, 'Stored', 'metadata', 'none', array['refresh_token'], array['mcp'],
      ${strict.deps.now()}::timestamptz + n * interval '1 millisecond', ${strict.deps.now()}
    from generate_series(1, 2500) as n`
  await sweep(strict.deps)
  const [left] = await strict.deps.sql`
    select count(*)::int as count, min(substring(id from '[0-9]+$')::int) as oldest from clients`
  expect(left).toEqual({ count: 2000, oldest: 501 })
  await strict.close()
  host.close()
})

test('streams that examine proxies: 60 from one network in ten minutes, 100 open at once, and each says only whose it is', async () => {
  const open = new AbortController()
  const ask = (address: string, silence = '0.01') =>
    fetch(`http://127.0.0.1:${server.port}/.well-known/mcp-oauth-server/stream?silence=${silence}`, {
      headers: from(address),
      signal: open.signal,
    })
  const answer = await ask('192.0.2.90')
  expect([answer.headers.get('content-type'), await answer.text()]).toEqual([
    'text/event-stream',
    'event: begin\ndata: {"forwarding":"used","address":"192.0.2.90"}\n\nevent: end\ndata: {}\n\n',
  ])
  for (let i = 1; i < 60; i++) expect(await (await ask('192.0.2.90')).text()).toEndWith('event: end\ndata: {}\n\n')
  expect(await slowDown(await ask('192.0.2.90'))).toEqual([429, 'slow_down'])
  // Of other networks. None of these ends by itself while the test runs.
  const held = await Promise.all(Array.from({ length: 100 }, (_, i) => ask(`198.51.100.${i}`, '1000')))
  expect(held.filter(({ status }) => status !== 200)).toEqual([])
  expect(await slowDown(await ask('192.0.2.91'))).toEqual([429, 'slow_down'])
  open.abort()
})

test('X-Forwarded-For from an untrusted peer causes one warning in the log', async () => {
  const direct = await startServer({ BASE_URL: 'https://mcp.example' })
  const lines: string[] = []
  const stream = { write: (line: string) => void lines.push(line) }
  direct.deps.log = pino({ base: undefined, timestamp: false }, stream)
  for (let i = 0; i < 3; i++)
    expect((await direct.post('/api/oauth/token', { client_id: 'c_nobody' }, from('192.0.2.80'))).status).toBe(401)
  const warnings = lines.filter(line => line.includes('TRUSTED_PROXIES'))
  expect(warnings.map(line => JSON.parse(line))).toEqual([
    {
      level: 40,
      peer: '127.0.0.1',
      msg: 'received X-Forwarded-For from a peer that is not in TRUSTED_PROXIES; if it is your proxy, add it',
    },
  ])
  await direct.close()
})
