/** Limits of requests (SECURITY: keyed by route, client and network, so that nobody is throttled for somebody else). */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { addClient } from '../../src/oauth/clients/index.ts'
import { DEVICE_CODE_GRANT } from '../../src/oauth/grants/types.ts'
import { startDocumentHost } from '../support/document-host.ts'
import { basic, registerClient } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startServer({ TRUSTED_PROXIES: '127.0.0.1, 10.0.0.0/8' })
})
beforeEach(() => server.clock.advance(601)) // away from the limits of the tests before
afterAll(() => server.close())

/** As a trusted proxy forwards it. */
const from = (address: string) => ({ 'X-Forwarded-For': address })

/** Repeats a request until it gets 429. @returns how many were accepted. */
async function countAllowed(send: () => Promise<Response>, most: number): Promise<number> {
  for (let sent = 0; sent <= most; sent++) {
    const answer = await send()
    if (answer.status === 429) {
      const retryAfter = Number(answer.headers.get('retry-after'))
      expect(retryAfter).toBeGreaterThan(0)
      expect(retryAfter).toBeLessThanOrEqual(600)
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(await answer.json()).toEqual({
        error: 'slow_down',
        error_description: `Too many requests; try again in ${retryAfter > 90 ? `${Math.ceil(retryAfter / 60)} minutes` : `${retryAfter} seconds`}`,
      })
      return sent
    }
    await answer.body?.cancel()
  }
  throw new Error(`${most} were let through`)
}

describe('registrations', () => {
  let names = 0
  const register = (address: string, client_name = `Client ${++names}`) =>
    server.postJson(
      '/api/oauth/register',
      { client_name, token_endpoint_auth_method: 'none', grant_types: [DEVICE_CODE_GRANT] },
      from(address),
    )

  test('200 in ten minutes from one network; other networks and existing clients are not affected', async () => {
    await register('192.0.2.1', 'Hosted')
    for (let user = 0; user < 250; user++) expect((await register('198.51.100.1', 'Hosted')).status).toBe(201)
    expect(await countAllowed(() => register('198.51.100.1'), 250)).toBe(200)
    expect((await register('198.51.100.2')).status).toBe(201)
    server.clock.advance(601)
    expect((await register('198.51.100.1')).status).toBe(201)
  })
})

describe('device codes', () => {
  test('600 a minute per client and network; other clients and networks are not affected', async () => {
    const [busy, quiet] = [await registerClient(server), await registerClient(server, { client_name: 'Quiet' })]
    const ask = (client_id: string, address: string) =>
      server.post('/api/oauth/device', { client_id, scope: 'mcp' }, from(address))
    expect(await countAllowed(() => ask(busy, '203.0.113.1'), 650)).toBe(600)
    expect((await ask(quiet, '203.0.113.1')).status).toBe(200)
    expect((await ask(busy, '203.0.113.2')).status).toBe(200)
    server.clock.advance(61)
    expect((await ask(busy, '203.0.113.1')).status).toBe(200)
  })
})

describe('client secrets', () => {
  let machine: { id: string; secret: string }
  const addMachine = async () => {
    const metadata = { name: 'Machine', grantTypes: ['client_credentials' as const], redirectUris: [], scope: ['mcp'] }
    const { id, secret } = await addClient(server.deps, metadata)
    return { id, secret: secret! }
  }
  beforeEach(async () => {
    machine = await addMachine()
  })
  const prove = (secret: string, address: string, id = machine.id, path = '/api/oauth/token') =>
    server.post(path, { grant_type: 'client_credentials', token: 'x' }, { ...basic(id, secret), ...from(address) })

  test('20 wrong ones per client and network, across all endpoints; the owner elsewhere is not locked out', async () => {
    const paths = ['/api/oauth/token', '/token', '/api/oauth/introspect', '/api/oauth/revoke', '/api/oauth/device']
    let guess = 0
    const guesses = () => prove('wrong', '192.0.2.7', machine.id, paths[guess++ % paths.length])
    expect(await countAllowed(guesses, 30)).toBe(20)
    expect((await prove(machine.secret, '192.0.2.7')).status).toBe(429)
    expect((await prove(machine.secret, '192.0.2.8')).status).toBe(200)
    const neighbour = await addMachine()
    expect((await prove(neighbour.secret, '192.0.2.7', neighbour.id)).status).toBe(200)
    server.clock.advance(301)
    expect((await prove(machine.secret, '192.0.2.7')).status).toBe(200)
  })

  test('unknown clients are limited too, so that the limit does not reveal which clients exist', async () => {
    expect(await countAllowed(() => prove('wrong', '192.0.2.7', 'c_nobody'), 30)).toBe(20)
    let made = 0
    const long = () => prove('wrong', '192.0.2.7', `${'c'.repeat(600)}${++made}`)
    expect(await countAllowed(long, 30)).toBe(20)
  })

  test('correct ones are not counted', async () => {
    for (let use = 0; use < 30; use++) expect((await prove(machine.secret, '192.0.2.7')).status).toBe(200)
  })

  test('the addresses of an IPv6 /64 are one network, however they are written', async () => {
    let host = 0
    const guess = () => prove('wrong', `2001:db8:0:7:${(++host).toString(16)}::1`)
    expect(await countAllowed(guess, 30)).toBe(20)
    expect((await prove(machine.secret, '2001:0DB8::7:0:0:0:9')).status).toBe(429)
    expect((await prove(machine.secret, '2001:db8:0:8::1')).status).toBe(200)
  })

  test('an IPv4-mapped address is its IPv4 address', async () => {
    expect(await countAllowed(() => prove('wrong', '::ffff:192.0.2.9'), 30)).toBe(20)
    expect((await prove(machine.secret, '192.0.2.9')).status).toBe(429)
    expect((await prove(machine.secret, '::FFFF:192.0.2.10')).status).toBe(200)
  })

  test('the right-most address in X-Forwarded-For that is not a trusted proxy counts', async () => {
    let made = 0
    const spoofed = () => prove('wrong', `198.51.100.${++made}, 192.0.2.11, 10.1.2.3, 127.0.0.1`)
    expect(await countAllowed(spoofed, 30)).toBe(20)
    expect((await prove(machine.secret, '192.0.2.11')).status).toBe(429)
    expect((await prove(machine.secret, '198.51.100.1')).status).toBe(200)
  })

  test.each(['', 'unknown', 'x, y', '198.51.100.1, garbage', '10.1.2.3, 127.0.0.1', '198.51.100.1,', '<script>'])(
    'X-Forwarded-For %j says nothing: the proxy itself counts',
    async header => {
      expect(await countAllowed(() => prove('wrong', header), 30)).toBe(20)
      expect((await prove(machine.secret, '127.0.0.1')).status).toBe(429)
      expect((await prove(machine.secret, '198.51.100.1')).status).toBe(200)
    },
  )
})

test('X-Forwarded-For from a peer that is not a trusted proxy is ignored', async () => {
  const direct = await startServer({ TRUSTED_PROXIES: '192.0.2.0/24' })
  let made = 0
  const guess = () =>
    direct.post('/api/oauth/token', { client_id: 'c_nobody' }, { 'X-Forwarded-For': `198.51.100.${++made}` })
  expect(await countAllowed(guess, 30)).toBe(20)
  await direct.close()
})

test('exhausting a share of document fetches does not lock out clients whose documents are known', async () => {
  const host = await startDocumentHost()
  const strict = await startServer({}, host.outbound)
  const base = `https://client.example:${host.port}`
  const id = `${base}/app.json`
  host.serveJson('/app.json', { client_id: id, grant_types: [DEVICE_CODE_GRANT], redirect_uris: [] })
  const ask = (client_id: string) => strict.post('/api/oauth/device', { client_id, scope: 'mcp' })
  expect((await ask(id)).status).toBe(200)
  strict.clock.advance(2 * 3600) // the copy is stale, and would be fetched again
  let made = 0
  expect(await countAllowed(() => ask(`${base}/${++made}.json`), 80)).toBe(30)
  expect((await ask(id)).status).toBe(200)
  await strict.close()
  host.close()
})
