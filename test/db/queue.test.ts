/** Many requests at once while the database is busy. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { registerClient } from '../support/flows.ts'
import { onPostgres, startServer, type TestServer } from '../support/server.ts'
import { until } from '../support/until.ts'

setDefaultTimeout(300_000)

let server: TestServer
let client: string
beforeAll(async () => {
  server = await startServer()
  client = await registerClient(server)
})
afterAll(() => server.close())

const BUSY = {
  error: 'temporarily_unavailable',
  error_description: 'The server is overloaded; try again in a few seconds',
}

const CONNECTIONS = onPostgres ? 16 : 1

/** Keeps every connection busy with short queries for the given time. Resolves when they are done. */
function occupy(seconds: number): Promise<unknown> {
  const queries = Array.from({ length: seconds * 10 * CONNECTIONS }, () => server.deps.sql`select pg_sleep(0.1)`)
  return Promise.allSettled(queries.map(query => query.then(() => {})))
}

describe('the database queue', () => {
  test('a statement that waits for more than 2 s is refused with a retry, and later ones work', async () => {
    const occupied = occupy(4)
    const answer = await server.post('/api/oauth/device', { client_id: client })
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5'])
    expect(await answer.json()).toEqual(BUSY)
    await occupied
    await until(async () => (await server.post('/api/oauth/device', { client_id: client })).status === 200)
  })

  test('with a thousand waiting, further ones are refused at once', async () => {
    const occupied = occupy(2)
    let over = false
    void occupied.then(() => {
      over = true
    })
    const waiting = Promise.allSettled(Array.from({ length: 1_000 }, () => server.deps.sql`select 1`.then(() => {})))
    const answer = await server.post('/api/oauth/device', { client_id: client })
    expect([answer.status, await answer.json(), over]).toEqual([503, BUSY, false])
    await Promise.all([occupied, waiting])
    await until(async () => (await server.post('/api/oauth/device', { client_id: client })).status === 200)
  })
})
