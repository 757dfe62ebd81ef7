import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createHmac } from 'node:crypto'
import { type Notices, openNotices } from '../../src/audit/notices.ts'
import { parseConfig } from '../../src/config.ts'
import { openLog } from '../../src/lib/log.ts'
import { openMetrics } from '../../src/metrics.ts'
import { admit } from '../../src/signin/service.ts'
import { registerClient } from '../support/flows.ts'
import { startServer } from '../support/server.ts'

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

interface Received {
  id: string
  body: { type: string; timestamp: string; data: Record<string, unknown> }
}

/** The operator's webhook: what arrives, and with which status it answers, 200 unless told. */
const received: Received[] = []
const statuses: number[] = []
let arrived = Promise.withResolvers<void>()
const webhook = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  async fetch(request) {
    const { pathname } = new URL(request.url)
    const [id, timestamp] = ['webhook-id', 'webhook-timestamp'].map(name => request.headers.get(name)!)
    const body = await request.text()
    const signature = createHmac('sha256', Buffer.alloc(32, 7)).update(`${id}.${timestamp}.${body}`).digest('base64')
    expect([pathname, request.headers.get('webhook-signature')]).toEqual(['/hook', `v1,${signature}`])
    expect(Math.abs(Number(timestamp) * 1000 - Date.now())).toBeLessThan(60_000)
    received.push({ id: id!, body: JSON.parse(body) })
    arrived.resolve()
    const status = statuses.shift() ?? 200
    return new Response(null, { status, headers: { Location: '/elsewhere' } })
  },
})
const ENV = { NOTIFY_URL: `${webhook.url.origin}/hook`, NOTIFY_SECRET: SECRET }

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await arrived.promise
    arrived = Promise.withResolvers()
  }
}

afterAll(() => webhook.stop(true))

test('the operator’s webhook is told of chosen events, and of no other', async () => {
  const server = await startServer(ENV)
  try {
    received.length = 0
    const client = await registerClient(server, { client_name: 'New app' })
    await server.post('/api/oauth/device', { client_id: client }) // not one of the events
    const eve = {
      issuer: 'https://idp.example',
      subject: 'eve',
      email: 'eve@example.com',
      emailVerified: true,
      name: '',
    }
    await admit(server.deps, eve, '203.0.113.7').catch(() => {})
    await until(() => received.length >= 2)
    expect(received).toEqual([
      {
        id: expect.stringMatching(/^msg_/),
        body: {
          type: 'client.registered',
          timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
          data: {
            user_id: null,
            client_id: client,
            grant_id: null,
            ip: '127.0.0.1',
            detail: expect.objectContaining({ name: 'New app' }),
          },
        },
      },
      {
        id: expect.any(String),
        body: {
          type: 'user.refused',
          timestamp: expect.any(String),
          data: {
            user_id: null,
            client_id: null,
            grant_id: null,
            ip: '203.0.113.7',
            detail: { issuer: 'https://idp.example', email: 'eve@example.com', verified: true },
          },
        },
      },
    ])
  } finally {
    await server.close()
  }
})

describe('a notice', () => {
  const metrics = openMetrics()
  let notices: Notices
  const open = (pauses: number[]) =>
    openNotices(
      parseConfig(ENV, () => ''),
      {
        log: openLog('silent'),
        now: () => new Date(),
        metrics,
      },
      pauses,
    )!
  const offer = (event: string, n: number, at = new Date('2026-11-28T10:00:00Z')) =>
    notices.offer({ at, event, userId: null, clientId: null, grantId: null, ip: null, detail: { n } })
  const numbers = () => received.map(({ body }) => (body.data.detail as { n: number }).n)

  beforeAll(() => {
    notices = open([0, 0])
  })

  test('is repeated with its id until it is taken, redirects are not followed, and others keep their order', async () => {
    received.length = 0
    statuses.push(500, 302)
    for (const n of [1, 2]) offer('key.rotated', n)
    await until(() => received.length >= 4)
    expect(numbers()).toEqual([1, 1, 1, 2])
    expect(new Set(received.map(({ id }) => id)).size).toBe(2)
  })

  test('that is never taken is dropped and counted, and the next is delivered', async () => {
    received.length = 0
    statuses.push(500, 500, 500)
    for (const n of [3, 4]) offer('key.rotated', n)
    await until(() => received.length >= 4)
    expect(numbers()).toEqual([3, 3, 3, 4])
    expect(await metrics.text()).toContain('\nmcp_oauth_notices_dropped 1\n')
  })

  test('that is refused for good (4xx) is dropped at once, and others do not wait for it', async () => {
    received.length = 0
    await notices.close()
    notices = open([3600])
    statuses.push(400)
    for (const n of [6, 7]) offer('key.rotated', n)
    await until(() => received.length >= 2)
    expect(numbers()).toEqual([6, 7])
  })

  test('of what happens too often is left out, and the next one has the number', async () => {
    received.length = 0
    for (let n = 1; n <= 33; n++) offer('client.registered', n)
    offer('client.registered', 34, new Date('2026-11-28T10:01:00Z'))
    await until(() => received.length >= 31)
    expect(numbers()).toEqual([...Array.from({ length: 30 }, (_, i) => i + 1), 34])
    expect(received.at(-1)!.body.data.suppressed).toBe(3)
  })

  test('that is being repeated does not keep the server from stopping', async () => {
    received.length = 0
    notices = open([3600])
    statuses.push(500, 500)
    offer('key.rotated', 5)
    await until(() => received.length >= 1)
    await notices.close()
    expect(numbers().every(n => n === 5)).toBe(true)
  })
})
