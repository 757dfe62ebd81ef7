import { afterAll, beforeAll, expect, test } from 'bun:test'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.close())

test.each([
  [[]],
  [['plain', 'mcp:tools:read']],
  [['', ' ', 'NULL', 'null']],
  [['a,b', '{c}', '"quoted"', 'back\\slash', "single'", 'new\nline', 'ünï ✓', '\\"']],
])('an array of text comes back as it went: %j', async items => {
  const [row] = await server.deps.sql<{ items: string[] }[]>`select ${items}::text[] as items`
  expect(row!.items).toEqual(items)
})

test('an array of uuids is one parameter', async () => {
  const ids = [crypto.randomUUID(), crypto.randomUUID()]
  const [row] = await server.deps.sql<{ found: boolean; ids: string[] }[]>`
    select ${ids[1]!}::uuid = any (${ids}::uuid[]) as found, ${ids}::uuid[] as ids`
  expect(row).toEqual({ found: true, ids } as never)
})
