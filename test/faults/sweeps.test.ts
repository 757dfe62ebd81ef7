/** The sweeper has much to delete while requests are served. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { addClient } from '../../src/oauth/clients/index.ts'
import { sweep } from '../../src/sweeper.ts'
import { DATABASES, faultDatabase, times } from '../support/faults.ts'
import { registerClient } from '../support/flows.ts'
import { keptLog } from '../support/gateway-children.ts'
import { fillTables } from '../support/many-rows.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

const ROWS = times(20_000, 5_000)
/** The oldest device codes are open, so that the clients they belong to, half of which are unused, must stay. */
const OPEN = ROWS / 20
/** How many rows a statement may read. */
const BATCH = 200

describe.each(DATABASES)('on %s', kind => {
  let server: TestServer
  let database: Awaited<ReturnType<typeof faultDatabase>>
  beforeAll(async () => {
    database = await faultDatabase(kind)
    server = await startServer(database.env)
    await fillTables(server.deps.db, ROWS)
    await server.deps.sql`
    update device_codes
    set expires_at = '2999-01-01'
    where created_at <= (select created_at from device_codes order by created_at offset ${OPEN - 1} limit 1)`
  })
  afterAll(async () => {
    await server.close()
    await database.drop()
  })

  test('every table loses what is over, in small batches, and meanwhile no request fails', async () => {
    const { id: client_id, secret } = await addClient(server.deps, {
      name: 'Load',
      grantTypes: ['client_credentials'],
      redirectUris: [],
      scope: ['mcp'],
    })
    const answers = new Set<string>()
    let over = false
    const ask = async (name: string, send: () => Promise<Response>) => {
      for (; !over; await Bun.sleep(200)) {
        const answer = await send()
        await answer.text()
        answers.add(`${name} ${answer.status}`)
      }
    }
    const token = { grant_type: 'client_credentials', client_id, client_secret: secret! }
    const device = { client_id: await registerClient(server), scope: 'mcp:tools:read' }
    const load = [
      ask('/healthz', () => server.get('/healthz')),
      ask('/api/oauth/token', () => server.post('/api/oauth/token', token)),
      ask('/auth/signin', () => server.get('/auth/signin')),
      ask('/api/oauth/device', () => server.post('/api/oauth/device', device)),
    ]

    const batches: number[] = []
    const sweeps = server.deps.sweeps.map(task => async (now: Date, limit: number) => {
      const looked = await task(now, limit)
      batches.push(looked)
      return looked
    })
    const { log, lines } = keptLog()
    await sweep({ ...server.deps, log, sweeps })
    over = true
    await Promise.all(load)

    expect(lines).toEqual([]) // nothing was cancelled, nothing failed
    expect(Math.max(...batches)).toBe(BATCH)
    expect([...answers].sort()).toEqual([
      '/api/oauth/device 200',
      '/api/oauth/token 200',
      '/auth/signin 200',
      '/healthz 200',
    ])
    const left = async (table: string, where = 'true') => {
      const [row] = await server.deps.sql.unsafe(`select count(*)::int as count from ${table} where ${where}`)
      return row!.count as number
    }
    for (const table of ['authorization_codes', 'authorization_requests', 'grants', 'refresh_tokens', 'sessions'])
      expect([table, await left(table)]).toEqual([table, 0])
    for (const table of ['sign_in_links', 'throttles', 'used_assertions', 'revocations', 'upstream_catalogues'])
      expect([table, await left(table)]).toEqual([table, 0])
    expect(await left('audit_events', "event = 'tool.called'")).toBe(0)
    expect(await left('device_codes', "created_at < '2026-01-01'")).toBe(OPEN)
    // Half were used. Of the others only those stay whose code is open: they hide none of those behind them.
    expect(await left('clients', "created_at < '2026-01-01'")).toBe(ROWS / 2 + OPEN / 2)
  })
})
