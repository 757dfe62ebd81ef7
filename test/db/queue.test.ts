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

/** Occupies every connection, or waits for them, until it is released. */
function hold() {
  const { promise, resolve: release } = Promise.withResolvers<void>()
  const transactions = Array.from({ length: CONNECTIONS }, () => server.deps.db.begin(() => promise))
  return { release, over: Promise.allSettled(transactions) }
}

describe('the database queue', () => {
  test('a statement that waits for more than 2 s is refused with a retry, and later ones work', async () => {
    const [first, second] = [hold(), hold()]
    const answered = server.post('/api/oauth/device', { client_id: client })
    // Time is the subject: the second ones begin before they have waited for 2 s, and the request does not.
    setTimeout(first.release, 1_500)
    const answer = await answered
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5'])
    expect(await answer.json()).toEqual(BUSY)
    second.release()
    await Promise.all([first.over, second.over])
    await until(async () => (await server.post('/api/oauth/device', { client_id: client })).status === 200)
  })

  test('with a thousand waiting, further ones are refused at once', async () => {
    const { release, over } = hold()
    let settled = 0
    const waiting = Array.from({ length: 1_000 }, () => server.deps.sql`select 1`.then(() => {}))
    for (const query of waiting) void query.catch(() => {}).finally(() => settled++)
    const answer = await server.post('/api/oauth/device', { client_id: client })
    expect([answer.status, await answer.json(), settled]).toEqual([503, BUSY, expect.any(Number)])
    expect(settled).toBeLessThan(50) // those that were one too many themselves, beside what the server does by itself
    release()
    await Promise.all([over, Promise.allSettled(waiting)])
    await until(async () => (await server.post('/api/oauth/device', { client_id: client })).status === 200)
  })
})
