/** Many linked people: a call costs the same as with one. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { randomUUID } from 'node:crypto'
import { upsertUpstreamAccount } from '../../../sql/upstream-accounts.ts'
import { sealTokens } from '../../../src/gateway/accounts/memory.ts'
import type { UpstreamConfig } from '../../../src/gateway/config.ts'
import type { GatewayCaller } from '../../../src/gateway/exchange.ts'
import { type Front, startFront } from '../../support/front.ts'
import { callerOf, exchangeOf } from '../../support/gateway.ts'
import { type NotesServer, startNotes } from '../../support/notes-server.ts'
import { countStatements, type StatementCount } from '../../support/statements.ts'
import { until } from '../../support/until.ts'

const PEOPLE = 100
let notes: NotesServer
let server: Front
let statements: StatementCount
let people: GatewayCaller[]

beforeAll(async () => {
  notes = startNotes()
  server = await startFront({ notes: { url: notes.url, auth: 'user', queue: PEOPLE } }, {}, deps => {
    statements = countStatements(deps)
  })
  people = Array.from({ length: PEOPLE }, (_, i) => {
    const user = { id: randomUUID(), email: `person${i}@example.com`, name: `person${i}` }
    return callerOf(user.name, { user, principal: `user:${user.id}` })
  })
  const { sql, now } = server.deps
  await sql`
    insert into users (id, email, created_at)
    select (person ->> 'id')::uuid, person ->> 'email', ${now()}
    from jsonb_array_elements(${sql.json(people.map(({ user }) => user!) as never)}) as person`
  for (const person of people) await link(person)
})
afterAll(async () => {
  await server.close()
  await notes[Symbol.asyncDispose]()
})

async function link({ user }: GatewayCaller): Promise<void> {
  const { id, name } = user!
  const config = { name: 'notes', transport: { type: 'http', url: notes.url } } as UpstreamConfig
  const tokens = sealTokens(server.deps, config, id, {
    accessToken: notes.issued(name),
    client: { id: 'a-client', method: 'none' },
    tokenEndpoint: `${notes.origin}/token`,
    resource: notes.url,
  })
  await upsertUpstreamAccount(server.deps.sql, {
    upstream: 'notes',
    userId: id,
    url: notes.url,
    issuer: notes.origin,
    account: null,
    scope: [],
    tokens,
    expiresAt: null,
    now: server.deps.now(),
  })
}

/** Everybody calls once. */
async function everybodyCalls(): Promise<void> {
  const call = async (caller: GatewayCaller) => {
    const exchange = exchangeOf('2026', 'tools/call', { name: 'whoami' }, { caller })
    const { content } = await server.deps.gateway!.request('notes', exchange)
    return (content as [{ text: string }])[0].text
  }
  const texts: string[] = []
  for (let i = 0; i < PEOPLE; i += 50) texts.push(...(await Promise.all(people.slice(i, i + 50).map(call))))
  expect(texts).toEqual(people.map(({ user }) => user!.name))
}

test('further calls cause no statement and one request each, however many people are linked', async () => {
  // At first connections are opened and lists stored, some of it in the background.
  await until(async () => {
    statements.take()
    notes.requests.length = 0
    await everybodyCalls()
    return statements.take().length === 0
  })
  expect(notes.requests).toEqual(Array(PEOPLE).fill('POST /mcp'))
})
