// Not on PostgreSQL: it is about the embedded database.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import postgres from 'postgres'
import { serveWireProtocol } from '../../src/db/wire-server.ts'
import { onPostgres } from '../support/server.ts'
import { frame, startup, type WireClient, wireClient } from '../support/wire-client.ts'

// Generous, for a busy machine.
setDefaultTimeout(300_000)

const HOLD_MS = 300

let dir: string
let path: string
let db: PGlite
let server: { close(): Promise<void> }
/** A well-behaved client, which must never notice the others. */
let good: postgres.Sql

const client = (options: postgres.Options<Record<string, postgres.PostgresType>> = {}) =>
  postgres({ path, user: 'postgres', database: 'postgres', max: 1, onnotice: () => {}, ...options })

const works = async () => expect([...(await good`select 1 as one`)]).toEqual([{ one: 1 }])

beforeAll(async () => {
  if (onPostgres) return
  dir = mkdtempSync(join(tmpdir(), 'mcp-oauth-wire-'))
  path = join(dir, 'wire.sock')
  db = await PGlite.create()
  server = await serveWireProtocol(db, path, HOLD_MS)
  good = client()
  await good`create table items (id integer primary key, body text)`
})
afterAll(async () => {
  if (onPostgres) return
  await good.end()
  await server.close()
  await db.close()
  await rm(dir, { recursive: true })
})

describe.skipIf(onPostgres)('connections that share the embedded backend do not mix', () => {
  test('a query of one connection waits for the transaction of another, and sees all of it or nothing', async () => {
    const other = client()
    const order: string[] = []
    let reading: Promise<void> | undefined
    await other.begin(async sql => {
      await sql`insert into items values (1, 'first')`
      reading = good`select count(*)::int as count from items`.then(([row]) => {
        order.push(`read ${row!.count}`)
      })
      await Bun.sleep(50) // the other one would read now if it did not wait
      await sql`insert into items values (2, 'second')`
      order.push('written')
    })
    await reading
    expect(order).toEqual(['written', 'read 2'])
    await other.end()
  })

  test('20 clients with transactions, half of them without prepared statements, count correctly', async () => {
    await good`create table counters (id integer primary key, value integer not null)`
    await good`insert into counters values (1, 0)`
    const clients = Array.from({ length: 20 }, (_, i) => client({ prepare: i % 2 === 0 }))
    await Promise.all(
      clients.map(async (sql, i) => {
        for (let round = 0; round < 5; round++) {
          await sql.begin(async inside => {
            const [row] = await inside<{ value: number }[]>`select value from counters where id = ${1}`
            await inside`update counters set value = ${row!.value + 1} where id = ${1}`
          })
          expect([...(await sql`select ${i}::int as i, ${`client ${i}`}::text as name`)]).toEqual([
            { i, name: `client ${i}` },
          ])
        }
      }),
    )
    expect([...(await good`select value from counters`)]).toEqual([{ value: 100 }])
    await Promise.all(clients.map(sql => sql.end()))
  })

  test('one connection’s unnamed statement is not replaced by another’s between its messages (Parse, Flush, Bind)', async () => {
    const a = await wireClient(path)
    const b = await wireClient(path)
    const parse = (text: string) => [frame('P', `\0${text}\0\0\0`), frame('D', 'S\0'), frame('H')]
    const execute = [frame('B', '\0\0\0\0\0\0\0\0'), frame('E', '\0\0\0\0\0'), frame('S')]
    a.send(...parse("select 'answer of a'"))
    await a.got('T')
    b.send(...parse("select 'answer of b'"), ...execute)
    await Bun.sleep(50) // it would be answered now if it did not wait
    expect(b.types().endsWith('Z')).toBe(true) // still the greeting: it waits
    a.send(...execute)
    await a.got('Z', 2)
    await b.got('Z', 2)
    expect(a.bytes().includes('answer of a')).toBe(true)
    expect(b.bytes().includes('answer of b')).toBe(true)
    a.socket.destroy()
    b.socket.destroy()
  })

  test('an error inside a transaction rolls it back and is reported to its own connection only', async () => {
    const other = client()
    const failing = other.begin(async sql => {
      await sql`insert into items values (10, 'gone')`
      await sql`select 1 / 0`
    })
    await expect(failing).rejects.toThrow('division by zero')
    expect([...(await good`select * from items where id = 10`)]).toEqual([])
    expect([...(await other`select 2 as two`)]).toEqual([{ two: 2 }])
    await other.end()
  })

  test.each(['in a transaction', 'in a failed transaction', 'between Parse and Sync', 'after an error before Sync'])(
    'a connection that dies %s is rolled back, and the others go on',
    async when => {
      const dying = await wireClient(path)
      if (when.includes('transaction')) {
        await dying.query('begin')
        await dying.query("insert into items values (20, 'half')")
        if (when.includes('failed')) await dying.query('select 1 / 0')
      } else {
        const text = when.includes('error') ? 'nonsense' : "insert into items values (20, 'half')"
        dying.send(frame('P', `\0${text}\0\0\0`), frame('H'))
        await dying.got(when.includes('error') ? 'E' : '1')
      }
      const next = good`select count(*)::int as count from items where id = 20`
      dying.socket.destroy()
      expect([...(await next)]).toEqual([{ count: 0 }])
    },
  )

  test('a connection that stays silent inside a transaction is closed, so that it cannot block the others', async () => {
    const silent = await wireClient(path)
    await silent.query('begin')
    await silent.query("insert into items values (30, 'half')")
    expect([...(await good`select count(*)::int as count from items where id = 30`)]).toEqual([{ count: 0 }])
    await silent.closed
  })

  test('rows of 1 MB and results of many rows arrive whole', async () => {
    const body = Array.from({ length: 1024 * 1024 }, (_, i) => String.fromCharCode(97 + (i % 26))).join('')
    await good`insert into items values (40, ${body})`
    const [row] = await good<{ body: string }[]>`select body from items where id = 40`
    expect(row!.body === body).toBe(true)
    const rows = await good<{ n: number; text: string }[]>`
      select n, repeat('x', n % 100) as text from generate_series(1, 50000) as n`
    expect(rows.length).toBe(50_000)
    expect(rows.every((item, i) => item.n === i + 1 && item.text.length === item.n % 100)).toBe(true)
  })

  test('one request of many messages and megabytes is processed whole', async () => {
    const wide = await wireClient(path)
    const parses = Array.from({ length: 8 }, (_, i) => frame('P', `\0select ${i} ${' '.repeat(1024 * 1024)}\0\0\0`))
    wide.send(...parses, frame('S'))
    await wide.got('Z', 2)
    expect(wide.types()).toEndWith('11111111Z')
    wide.socket.destroy()
  })

  test('bytes that come one at a time, and many messages at once, mean the same', async () => {
    const slow = await wireClient(path, false)
    for (const byte of Buffer.concat([startup(), frame('Q', "select 'slow'\0")])) {
      slow.send(Buffer.from([byte]))
      await new Promise(setImmediate)
    }
    await slow.got('Z', 2)
    expect(slow.bytes().includes('slow')).toBe(true)
    const fast = await wireClient(path)
    fast.send(...Array.from({ length: 200 }, (_, i) => frame('Q', `select 'number ${i}.'\0`)))
    await fast.got('Z', 201)
    const text = fast.bytes().toString('latin1')
    expect([...text.matchAll(/number (\d+)\./g)].map(match => Number(match[1]))).toEqual(
      Array.from({ length: 200 }, (_, i) => i),
    )
    slow.socket.destroy()
    fast.socket.destroy()
  })

  test('requests sent before Terminate are still executed and answered', async () => {
    const leaving = await wireClient(path)
    leaving.send(frame('Q', "insert into items values (50, 'late')\0"), frame('X'))
    await leaving.closed
    expect(leaving.types()).toEndWith('CZ')
    expect([...(await good`select body from items where id = 50`)]).toEqual([{ body: 'late' }])
  })
})

describe.skipIf(onPostgres)('notifications', () => {
  test('reach every listener exactly once, including the sender, and no connection before its startup', async () => {
    const heard: string[][] = []
    const clients = Array.from({ length: 5 }, () => {
      const mine: string[] = []
      heard.push(mine)
      return client({ onnotify: (_: string, payload: string) => mine.push(payload) } as object)
    })
    for (const sql of clients) await sql`listen test_channel`
    const stranger = await wireClient(path, false)
    const payloads = Array.from({ length: 50 }, (_, i) => `payload ${i} ${'é'.repeat(i)}`)
    for (const payload of payloads) await clients[0]!`select pg_notify('test_channel', ${payload})`
    for (const sql of clients) await sql`select 1`
    for (const mine of heard) expect(mine).toEqual(payloads)
    expect(stranger.bytes()).toHaveLength(0)
    await clients[0]!`unlisten test_channel`
    await Promise.all(clients.map(sql => sql.end()))
    stranger.socket.destroy()
  })

  test('arrive when their transaction commits, and never if it is rolled back', async () => {
    const listener = await wireClient(path)
    await listener.query('listen test_channel')
    await good.begin(async sql => {
      await sql`select pg_notify('test_channel', 'kept')`
    })
    await good
      .begin(async sql => {
        await sql`select pg_notify('test_channel', 'rolled back')`
        throw new Error('no')
      })
      .catch(() => {})
    await listener.got('A')
    await listener.query('unlisten test_channel')
    expect(listener.types().split('A')).toHaveLength(2)
    expect(listener.bytes().includes('rolled back')).toBe(false)
    listener.socket.destroy()
  })
})

const lengthOf = (type: string, length: number) => {
  const bytes = Buffer.alloc(type.length + 4)
  bytes.write(type, 'latin1')
  bytes.writeInt32BE(length, type.length)
  return bytes
}
const hello = (code: number) => Buffer.concat([lengthOf('', 8), lengthOf('', code)])

describe.skipIf(onPostgres)('a client that breaks the protocol', () => {
  test.each<[string, boolean, Buffer]>([
    ['sends HTTP', false, Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
    ['speaks version 2 of the protocol', false, hello(131072)],
    ['begins with a length of 0', false, Buffer.alloc(8)],
    ['begins with a negative length', false, Buffer.concat([lengthOf('', -1), Buffer.alloc(4)])],
    ['begins with a length of 2 GB', false, Buffer.concat([lengthOf('', 0x7fffffff), Buffer.alloc(4)])],
    ['sends random bytes after the greeting', true, Buffer.from([200, 13, 255, 7, 9, 0, 0, 0, 0, 1])],
    ['sends a message of length 0', true, lengthOf('Q', 0)],
    ['sends a message of negative length', true, lengthOf('Q', -5)],
    ['announces a message of 2 GB', true, lengthOf('Q', 0x7fffffff)],
    ['announces a message of 17 MB', true, lengthOf('P', 17 * 1024 * 1024)],
    ['sends a Sync of 10 kB', true, frame('S', Buffer.alloc(10_000))],
    ['sends a Describe of 10 kB', true, frame('D', Buffer.alloc(10_000, 0x53))],
    ['sends a statement name of 64 characters', true, frame('P', `${'n'.repeat(64)}\0select 1\0\0\0`)],
    ['sends a password that nobody asked for', true, frame('p', 'guess\0')],
    ['sends COPY data', true, frame('d', 'data')],
    ['calls a function by its number', true, frame('F', '\0\0\0\0')],
  ])('is cut when it %s', async (_, greeted, bytes) => {
    const bad = await wireClient(path, greeted)
    const before = bad.types()
    bad.send(bytes)
    await bad.closed
    expect(bad.types()).toBe(before)
    await works()
  })

  test('cannot make the server buffer without end: 32 MB of Parse without Sync', async () => {
    const bad = await wireClient(path)
    const megabyte = frame('P', `\0${' '.repeat(1024 * 1024)}\0\0\0`)
    for (let i = 0; i < 40; i++) bad.send(megabyte)
    await bad.closed
    await works()
  })

  test('gets the backend’s own error for a malformed message, and may continue', async () => {
    const bad = await wireClient(path)
    bad.send(frame('B', 'x'), frame('S'))
    await bad.got('Z', 2)
    expect(bad.types()).toEndWith('EZ')
    expect(await bad.query('select 1')).toBe('TDCZ')
    bad.socket.destroy()
  })

  test('cannot block the backend with COPY FROM STDIN, which would wait forever', async () => {
    const copying = await wireClient(path)
    expect(await copying.query('copy items from stdin')).toBe('GEZ')
    expect(await copying.query('select 1')).toBe('TDCZ')
    copying.socket.destroy()
    await works()
  })

  test('does not choose the session: the user, database and settings of its startup message are ignored', async () => {
    const odd = await wireClient(path, false)
    const settings = 'user\0nobody\0database\0nowhere\0statement_timeout\x001\0\0'
    odd.send(frame('', Buffer.concat([Buffer.from([0, 3, 0, 0]), Buffer.from(settings)])))
    await odd.got('Z')
    expect([...(await good`select current_user as name, current_setting('statement_timeout') as ms`)]).toEqual([
      { name: 'postgres', ms: '0' },
    ])
    odd.socket.destroy()
  })

  test('that asks for TLS is refused it, and a cancel request does no harm', async () => {
    const asking = await wireClient(path, false)
    asking.send(hello(80877103))
    await new Promise<void>(resolve => asking.socket.once('data', () => resolve()))
    expect(asking.bytes().toString()).toBe('N')
    asking.send(startup())
    await new Promise<void>(resolve => asking.socket.once('data', () => resolve()))
    expect(asking.bytes()[1]).toBe(0x52) // R: authentication
    asking.socket.destroy()
    const cancelling = await wireClient(path, false)
    cancelling.send(Buffer.concat([lengthOf('', 16), lengthOf('', 80877102), Buffer.alloc(8)]))
    await cancelling.closed
    await works()
  })

  test('that does not read its results is paused, and closed before it fills the memory', async () => {
    const deaf = await wireClient(path)
    deaf.socket.pause()
    for (let i = 0; i < 12; i++) deaf.send(frame('Q', "select repeat('x', 8000000)\0"))
    await works()
    const unread = () => process.memoryUsage().rss
    const before = unread()
    for (let i = 0; i < 20; i++) await works()
    expect(unread() - before).toBeLessThan(128 * 1024 * 1024)
    deaf.socket.destroy()
    await works()
  })
})

describe.skipIf(onPostgres)('connections that come and go', () => {
  test('leave no prepared statement, no transaction and no memory behind, 300 times over', async () => {
    const statements = async () => {
      const [row] = await good<{ count: number }[]>`select count(*)::int as count from pg_prepared_statements`
      return row!.count
    }
    const before = await statements()
    const open: WireClient[] = []
    for (let i = 0; i < 300; i++) {
      const one = await wireClient(path)
      one.send(frame('P', `statement_${i}\0select ${i}\0\0\0`), frame('S'))
      await one.got('Z', 2)
      open.push(one)
      if (i % 10 === 9)
        for (const other of open.splice(0)) i % 20 === 9 ? other.socket.destroy() : other.send(frame('X'))
    }
    while ((await statements()) > before) await Bun.sleep(10)
    expect(await statements()).toBe(before)
  })

  test('closing the server ends every connection and lets the running statement finish', async () => {
    const own = await PGlite.create()
    const ownPath = join(dir, 'own.sock')
    const ownServer = await serveWireProtocol(own, ownPath)
    const idle = await wireClient(ownPath)
    const busy = await wireClient(ownPath)
    busy.send(frame('Q', 'create table finished as select generate_series(1, 100000)\0'))
    await Bun.sleep(20) // so that the statement runs; nothing shows it
    await ownServer.close()
    await Promise.all([idle.closed, busy.closed])
    expect((await own.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await own.close()
  })
})
