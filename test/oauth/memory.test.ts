/** What a replica caches about clients: an unknown id costs as much as a known one, and nothing stale is kept. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { insertClient, updateClientSecret } from '../../sql/clients.ts'
import { remove } from '../../src/admin/user-changes.ts'
import type { Database } from '../../src/db/index.ts'
import type { Notifications } from '../../src/db/listener.ts'
import type { Gateway } from '../../src/gateway/exchange.ts'
import { endWithPrincipals } from '../../src/mcp/disabled-users.ts'
import { addClient } from '../../src/oauth/clients/index.ts'
import { lookUpClient, openMemory, rememberUntil } from '../../src/oauth/memory.ts'
import { disableUsers } from '../../src/signin/service.ts'
import { registerClient, signIn } from '../support/flows.ts'
import { startReplica, startServer, type TestServer } from '../support/server.ts'
import { countStatements } from '../support/statements.ts'
import { until } from '../support/until.ts'

// Generous, for a busy machine.
setDefaultTimeout(300_000)

let server: TestServer
let other: TestServer
beforeAll(async () => {
  server = await startServer()
  other = await startReplica(server)
})
afterAll(async () => {
  await other.stop()
  await server.close()
})

const statusOf = async (clientId: string) => (await server.post('/api/oauth/device', { client_id: clientId })).status

/** Adds a client with an id that was looked up before, which cannot happen with generated ids. */
const insertNamed = (id: string) =>
  insertClient(other.deps.sql, {
    id,
    name: 'Late',
    source: 'operator',
    authMethod: 'client_secret_basic',
    secretHash: Buffer.alloc(32, 1),
    grantTypes: ['client_credentials'],
    redirectUris: [],
    scope: ['mcp'],
    createdAt: server.deps.now(),
  })

test('a replica that polls misses none of many revocations at once', async () => {
  const listening = Promise.withResolvers<Notifications>()
  const listen: Database['listen'] = (_, notifications) => {
    listening.resolve(notifications)
    return { close: async () => {} }
  }
  const opened = openMemory({ ...server.deps, db: { ...server.deps.db, listen } })
  const { onPoll } = await listening.promise
  await onPoll!()
  const memory = await opened
  const until = rememberUntil(server.deps)
  await server.deps.sql`
    insert into revocations (subject, revoked_at, expires_at)
    select 'grant:' || n, ${server.deps.now()}, ${until}::timestamptz + n * interval '1 ms'
    from generate_series(1, 10001) as n`
  await onPoll!()
  expect(['grant:1', 'grant:10001'].map(subject => memory.revoked.has(subject))).toEqual([true, true])
  await server.deps.sql`delete from revocations`
})

test('a replica that polls, or has heard no notification for a while, ends the programs of who was disabled or removed', async () => {
  const listening = Promise.withResolvers<Notifications>()
  const listen: Database['listen'] = (_, notifications) => {
    listening.resolve(notifications)
    return { close: async () => {} }
  }
  const opened = openMemory({ ...server.deps, db: { ...server.deps.db, listen } })
  const { onPoll, onReady, onLost } = await listening.promise
  await onPoll!()
  const memory = await opened
  const ended: string[] = []
  const gateway = { endPrincipal: async (principal: string) => void ended.push(principal) } as Gateway
  endWithPrincipals({ ...server.deps, memory }, gateway)
  const disabled = async (email: string) => {
    await signIn(server, email)
    const [user] = await disableUsers(server.deps, email)
    return `user:${user!.id}`
  }
  const removed = async (email: string) => {
    await signIn(server, email)
    const [user] = await remove(server.deps, email)
    return `user:${user!.id}`
  }
  const both = [await disabled('first@example.com'), await removed('gone@example.com')]
  await onPoll!()
  await until(() => ended.length === 2)
  expect(ended.toSorted()).toEqual(both.toSorted())
  server.clock.advance(3600)
  onLost()
  both.push(await disabled('second@example.com'), await removed('lost@example.com'))
  await onReady()
  await until(() => ended.length === 4)
  expect(ended.toSorted()).toEqual(both.toSorted())
})

describe('an unknown client id', () => {
  test('is looked up at most once a minute, like a known one', async () => {
    const client = await andHeard(() => registerClient(server))
    const statements = countStatements(server.deps)
    const looks = async (id: string) => {
      statements.take()
      await server.post('/api/oauth/introspect', { client_id: id, client_secret: 'x', token: 'x' })
      return statements.take()
    }
    for (const id of [client, 'c_nobody']) expect([await looks(id), await looks(id)]).toEqual([['select'], []])
    server.clock.advance(61)
    expect([await looks('c_nobody'), await looks('c_nobody')]).toEqual([['select'], []])
  })

  test('is known as soon as a client with it is added, on any replica', async () => {
    expect(await statusOf('c_late')).toBe(401)
    expect(await lookUpClient(server.deps, 'c_late')).toBeUndefined()
    await insertNamed('c_late')
    while (!(await lookUpClient(server.deps, 'c_late'))) await Bun.sleep(10)
  })

  test('is known even if the client was added during the lookup', async () => {
    const restore = duringLook(() => insertNamed('c_meanwhile'))
    expect(await lookUpClient(server.deps, 'c_meanwhile')).toBeUndefined()
    restore()
    expect((await lookUpClient(server.deps, 'c_meanwhile'))?.name).toBe('Late')
  })

  test('is remembered, up to 10,000 of them', async () => {
    const { unknownClients } = server.deps.memory
    unknownClients.clear()
    for (let i = 0; i < 10_000; i++) unknownClients.set(`c_no_${i}`, server.deps.now().getTime() + 60_000)
    await lookUpClient(server.deps, 'c_one_more')
    expect(['c_no_0', 'c_no_9999', 'c_one_more'].map(id => unknownClients.has(id))).toEqual([false, true, true])
    expect(unknownClients.size).toBeWithin(9_001, 10_001)
  })
})

test('a client that changes during its lookup is not cached in its old state', async () => {
  const { id } = await andHeard(() =>
    addClient(server.deps, {
      name: 'Changing',
      grantTypes: ['client_credentials'],
      redirectUris: [],
      scope: ['mcp'],
    }),
  )
  const newSecret = Buffer.alloc(32, 2)
  const restore = duringLook(() => updateClientSecret(other.deps.sql, { id, secretHash: newSecret }))
  await lookUpClient(server.deps, id)
  restore()
  expect(Buffer.from((await lookUpClient(server.deps, id))!.secret_hash!)).toEqual(newSecret)
})

/** Makes a change, and notifies the server, while its next lookup is in progress. @returns how to undo that. */
function duringLook(change: () => Promise<unknown>): () => void {
  const { sql } = server.deps
  server.deps.sql = new Proxy(sql, {
    async apply(target, self, args) {
      const answer = await Reflect.apply(target as never, self, args)
      await andHeard(change)
      return answer
    },
  })
  return () => {
    server.deps.sql = sql
  }
}

/** Makes a change, and waits until the server has been notified. */
async function andHeard<T>(change: () => Promise<T>): Promise<T> {
  const { memory } = server.deps
  const heard = () => memory.clientChanges + memory.clientAdditions
  const before = heard()
  const result = await change()
  while (heard() === before) await Bun.sleep(10)
  return result
}
