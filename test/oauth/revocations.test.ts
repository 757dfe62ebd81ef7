import { afterEach, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { addClient, removeClient } from '../../src/oauth/clients/index.ts'
import { sweep } from '../../src/sweeper.ts'
import { basic, deviceTokens, registerClient, rpc, signIn, type TokenAnswer } from '../support/flows.ts'
import { startReplica, startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

const HOUR = 3600
const DAY = 24 * HOUR

const running: TestServer[] = []
const run = async (server: Promise<TestServer>) => {
  running.push(await server)
  return running.at(-1)!
}
afterEach(async () => {
  for (const server of running.splice(0).reverse()) await server.close()
})

const statusOf = async (server: TestServer, token: string) => (await rpc(server, token, 'tools/list')).status

/** A token for each kind of revocation, and how to revoke it. */
async function everyKind(server: TestServer): Promise<{ token: string; revoke(by: TestServer): Promise<unknown> }[]> {
  const client = await registerClient(server)
  const doomed = await registerClient(server, { client_name: 'Doomed' })
  const ada = await signIn(server)
  const [grant, ofClient] = [await deviceTokens(server, client, ada), await deviceTokens(server, doomed, ada)]
  const machine = await addClient(server.deps, {
    name: 'Machine',
    grantTypes: ['client_credentials'],
    redirectUris: [],
    scope: ['mcp'],
  })
  const credentials = basic(machine.id, machine.secret!)
  const answer = await server.post('/api/oauth/token', { grant_type: 'client_credentials' }, credentials)
  const { access_token: token } = (await answer.json()) as TokenAnswer
  return [
    {
      token: grant.access_token,
      revoke: by => by.post('/api/oauth/revoke', { client_id: client, token: grant.refresh_token }),
    },
    { token: ofClient.access_token, revoke: by => removeClient(by.deps, doomed) },
    { token, revoke: by => by.post('/api/oauth/revoke', { token }, credentials) },
  ]
}

describe('a revoked access token never becomes valid again', () => {
  test('when it was issued for a day, and ACCESS_TOKEN_TTL was lowered before it was revoked', async () => {
    const server = await run(startServer({ ACCESS_TOKEN_TTL: String(DAY) }))
    const kinds = await everyKind(server)
    const lowered = await run(startReplica(server, { ACCESS_TOKEN_TTL: '60' }))
    for (const { token, revoke } of kinds) {
      expect(await statusOf(lowered, token)).toBe(200)
      await revoke(lowered)
    }
    for (const hours of [1, 10, 12.9]) {
      server.clock.advance(hours * HOUR)
      for (const replica of [server, lowered]) await sweep(replica.deps)
      const fresh = await run(startReplica(server, { ACCESS_TOKEN_TTL: '60' }))
      for (const { token } of kinds)
        for (const replica of [server, lowered, fresh]) expect(await statusOf(replica, token)).toBe(401)
    }
  })

  test('when the database’s clock jumps ahead, rows are swept, and it jumps back', async () => {
    const server = await run(startServer())
    const kinds = await everyKind(server)
    for (const { token, revoke } of kinds) {
      expect(await statusOf(server, token)).toBe(200)
      await revoke(server)
    }
    for (const hours of [2, 23]) {
      server.clock.advance(hours * HOUR)
      await sweep(server.deps)
      await server.deps.sql`select 1`
      server.clock.advance(-hours * HOUR)
      const fresh = await run(startReplica(server))
      for (const { token } of kinds)
        for (const replica of [server, fresh]) expect(await statusOf(replica, token)).toBe(401)
    }
  })

  test('when the clock of a replica’s machine is days ahead while it starts', async () => {
    const server = await run(startServer())
    const kinds = await everyKind(server)
    for (const { revoke } of kinds) await revoke(server)
    const ahead = await run(startReplica(server, {}, 10 * DAY))
    await sweep(ahead.deps)
    const fresh = await run(startReplica(server))
    for (const { token } of kinds)
      for (const replica of [ahead, fresh]) expect(await statusOf(replica, token)).toBe(401)
  })
})
