import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { NewAuditEvent } from '../../sql/audit-events.ts'
import { newestAuditEvent } from '../../sql/audit-events.ts'
import { listEventCounts } from '../../sql/event-counts.ts'
import type { Queries } from '../../sql/index.ts'
import { record } from '../../src/audit/events.ts'
import { newEvents } from '../../src/audit/tail.ts'
import { type AuditWriter, openAuditWriter } from '../../src/audit/writer.ts'
import { DatabaseUnavailable } from '../../src/lib/errors.ts'
import { openLog } from '../../src/lib/log.ts'
import { openMetrics } from '../../src/metrics.ts'
import { addClient } from '../../src/oauth/clients/index.ts'
import { newestEvents } from '../support/audit.ts'
import { registerClient } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

// Generous, for a busy machine.
setDefaultTimeout(300_000)

let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.close())
beforeEach(async () => {
  await server.deps.audit.flush()
  await server.deps.sql`delete from audit_events`
})

/** A writer whose database can be disconnected, and that counts successful statements. @param onWrite Called with each. */
function writer(onWrite = () => {}): { audit: AuditWriter; away(is: boolean): void; statements(): number } {
  let isAway = false
  let statements = 0
  const sql = new Proxy(server.deps.sql, {
    apply(target, self, args) {
      if (isAway) throw new DatabaseUnavailable('away')
      statements += 1
      onWrite()
      return Reflect.apply(target, self, args)
    },
  }) as Queries
  return {
    audit: openAuditWriter(sql, openLog('silent'), openMetrics()),
    away: is => {
      isAway = is
    },
    statements: () => statements,
  }
}

function event(number: number, more: Partial<NewAuditEvent> = {}): NewAuditEvent {
  const at = new Date(server.deps.now())
  return {
    at,
    event: 'tool.called',
    userId: null,
    clientId: null,
    grantId: null,
    ip: null,
    detail: { number },
    ...more,
  }
}

const numbers = async () => (await newestEvents(server, 50_000)).map(row => row.detail.number as number).reverse()
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

describe('the audit log: batches, flushed on shutdown, a drop is counted', () => {
  test('stores who, what, when and from where', async () => {
    const userId = crypto.randomUUID()
    const grantId = crypto.randomUUID()
    const { audit } = writer()
    const at = server.deps.now()
    const detail = { scope: 'mcp', failed: false, count: 3 }
    record({ audit, now: () => at }, 'grant.revoked', { userId, grantId, clientId: 'c_1', ip: '2001:db8::1', detail })
    await audit.flush()
    const stored = await newestEvents(server, 10)
    const ids = { user_id: userId, client_id: 'c_1', grant_id: grantId }
    expect(stored).toEqual([{ at, event: 'grant.revoked', email: null, ...ids, ip: '2001:db8::1', detail }])
  })

  test('writes 1200 events in order with three statements', async () => {
    const { audit, statements } = writer()
    for (const number of upTo(1200)) audit.add(event(number))
    await audit.flush()
    expect(await numbers()).toEqual(upTo(1200))
    expect(statements()).toBe(3)
  })

  test('2,000 events are not kept waiting', async () => {
    const { promise: isWritten, resolve } = Promise.withResolvers<number>()
    const { audit } = writer(() => resolve(audit.waiting))
    for (const number of upTo(1_999)) audit.add(event(number))
    await Promise.resolve()
    expect(audit.waiting).toBe(1_999)
    audit.add(event(1_999))
    for (let turn = 0; turn < 3; turn++) await Promise.resolve() // far less than the interval
    resolve(0)
    expect(await isWritten).toBe(2_000)
    await audit.close()
    expect(await numbers()).toEqual(upTo(2_000))
  })

  test('a flush ends although events keep coming: it writes those that waited, once for all who ask', async () => {
    const calls = upTo(3_000)
    const { audit, statements } = writer(() => {
      for (const number of calls.splice(0, 500)) audit.add(event(number))
    })
    for (const number of calls.splice(0, 700)) audit.add(event(number))
    await Promise.all([audit.flush(), audit.flush(), audit.flush()])
    // Two, and at most the first of those that the writer begins by itself.
    expect(statements()).toBeLessThanOrEqual(3)
    expect((await numbers()).slice(0, 700)).toEqual(upTo(700))
    await audit.close()
    expect([await numbers(), audit.dropped]).toEqual([upTo(3_000), 0])
  })

  test('counts them by hour, name and outcome, with their repeats', async () => {
    const { audit } = writer()
    const [early, late] = [new Date('2030-01-01T10:59:59.999Z'), new Date('2030-01-01T11:00:00Z')]
    const details: NewAuditEvent['detail'][] = [
      { failed: false },
      { failed: true, repeats: 4 },
      { outcome: 'ok' },
      { outcome: 'timeout' },
      {},
    ]
    for (const detail of details)
      for (const at of [early, late]) audit.add(event(1, { at, event: 'upstream.called', detail }))
    await audit.flush()
    audit.add(event(1, { at: late }))
    audit.add(event(1, { at: late, event: 'upstream.called' }))
    await audit.flush()
    const counts = await listEventCounts(server.deps.sql, new Date('2030-01-01T10:00:00Z'))
    expect(counts.map(({ hour, ...count }) => [hour.getUTCHours(), ...Object.values(count)]).sort()).toEqual([
      [10, 'upstream.called', false, 3],
      [10, 'upstream.called', true, 6],
      [11, 'tool.called', false, 1],
      [11, 'upstream.called', false, 4],
      [11, 'upstream.called', true, 6],
    ])
  })

  test('writes by itself after a short delay', async () => {
    const { audit } = writer()
    audit.add(event(0))
    while ((await numbers()).length === 0) await Bun.sleep(20)
    expect(await numbers()).toEqual([0])
  })

  test('writes pending events when it is closed', async () => {
    const { audit } = writer()
    for (const number of upTo(700)) audit.add(event(number))
    await audit.close()
    expect(await numbers()).toEqual(upTo(700))
    expect(audit.dropped).toBe(0)
  })

  test('keeps events while the database is down, and writes them in order when it is back', async () => {
    const { audit, away } = writer()
    away(true)
    for (const number of upTo(600)) audit.add(event(number))
    await audit.flush()
    expect(await numbers()).toEqual([])
    audit.add(event(600))
    away(false)
    while ((await numbers()).length < 601) await Bun.sleep(20) // without anybody's asking
    expect(await numbers()).toEqual(upTo(601))
    expect(audit.dropped).toBe(0)
  })

  test('counts what does not fit, and what is lost at the end', async () => {
    const { audit, away } = writer()
    away(true)
    for (const number of upTo(20_010)) audit.add(event(number))
    expect(audit.dropped).toBe(10)
    await audit.close()
    expect(audit.dropped).toBe(20_010)
  })

  test('one event that the table refuses is counted as dropped and does not hold up the others', async () => {
    const { audit } = writer()
    for (const number of upTo(100)) audit.add(event(number, number === 37 ? { userId: 'not a uuid' } : {}))
    audit.add(event(100, { clientId: 'with \u0000 in it' }))
    audit.add(event(101))
    await audit.flush()
    expect(await numbers()).toEqual(upTo(102).filter(number => number !== 37 && number !== 100))
    expect(audit.dropped).toBe(2)
  })

  test('a refused client is one row that names the reason, not the secret', async () => {
    const { id, secret } = await addClient(server.deps, {
      name: 'Robot',
      grantTypes: ['client_credentials'],
      redirectUris: [],
      scope: ['mcp'],
    })
    const wrong = `${secret!.slice(0, -1)}${secret!.endsWith('A') ? 'B' : 'A'}`
    const form = { grant_type: 'client_credentials', client_id: id, client_secret: wrong }
    expect((await server.post('/api/oauth/token', form)).status).toBe(401)
    await server.deps.audit.flush()
    const [last] = await newestEvents(server, 1)
    expect(last).toMatchObject({ event: 'client.refused', client_id: id, detail: { reason: 'wrong secret' } })
    expect(JSON.stringify(await newestEvents(server, 100))).not.toContain('mcs_')
  })

  test('a name is stored as registered, whatever its characters', async () => {
    const id = await registerClient(server, { client_name: 'Zoë "quoted" \\ 🎈 {}' })
    await server.deps.audit.flush()
    const [last] = await newestEvents(server, 1)
    expect(last).toMatchObject({
      event: 'client.registered',
      client_id: id,
      detail: { name: 'Zoë "quoted" \\ 🎈 {}' },
    })
  })

  test('a follower misses no event whose transaction ends after a later one, and sees each once', async () => {
    const { sql } = server.deps
    const newest = Number(await newestAuditEvent(sql))
    const insert = (number: number) => sql`
      insert into audit_events (id, at, event, detail) overriding system value
      values (${newest + number}::bigint, now(), 'tool.called', jsonb_build_object('number', ${number}::int))`
    const looks = [[2, 5], [1, 6], [], [3]]
    const tail = newEvents(sql, async () => {
      for (const number of looks.shift() ?? []) await insert(number)
    })
    const seen: unknown[] = []
    for await (const { detail } of tail) if (seen.push(detail.number) === 5) break
    expect(seen).toEqual([2, 5, 1, 6, 3])
    await sql`select setval(pg_get_serial_sequence('audit_events', 'id'), max(id)) from audit_events`
  })
})
