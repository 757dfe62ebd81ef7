import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { DEVICE_CODE_GRANT } from '../../src/oauth/grants/types.ts'
import { startServer, type TestServer } from '../support/server.ts'

const INITIAL = 'an initial access token, 32 characters'

let server: TestServer
beforeAll(async () => {
  server = await startServer({ INITIAL_ACCESS_TOKEN: INITIAL })
})
afterAll(() => server.close())

const register = async (metadata: Record<string, unknown>, headers: Record<string, string> = {}) =>
  (await (
    await server.postJson(
      '/api/oauth/register',
      { grant_types: [DEVICE_CODE_GRANT], token_endpoint_auth_method: 'none', ...metadata },
      headers,
    )
  ).json()) as Record<string, unknown>

describe('what a stranger writes into a registration', () => {
  test.each(['constructor', '__proto__', 'toString', 'hasOwnProperty'])(
    'the scope %s is not known because every object has it',
    async scope => {
      const trusted = { Authorization: `Bearer ${INITIAL}` }
      expect(await register({ scope: `${scope} mcp` }, trusted)).toMatchObject({ scope: 'mcp' })
    },
  )

  test('is cut before it is normalized: 60,000 combining marks take seconds', async () => {
    expect(await register({ client_name: `${'\u200b'.repeat(2000)}Late` })).toMatchObject({
      client_name: 'Unnamed client',
    })
    const marks = await register({ client_name: `a${'\u0301\u0316'.repeat(15_000)}` })
    expect([...String(marks.client_name)].length).toBeLessThanOrEqual(80)
  })

  test('cannot set internal fields', async () => {
    const own = {
      client_id: 'mine',
      client_secret: 'mine',
      source: 'operator',
      registration_access_token: 'mine',
      client_id_issued_at: 0,
      shared: false,
      scope: 'admin',
      __proto__: { source: 'operator' },
    }
    const answer = await register({ client_name: 'Owner of everything', ...own })
    expect(answer).toMatchObject({ token_endpoint_auth_method: 'none', grant_types: [DEVICE_CODE_GRANT] })
    expect(String(answer.scope).split(' ')).not.toContain('admin')
    expect(Object.values(answer)).not.toContain('mine')
    const [row] = await server.deps.sql`select source from clients where id = ${String(answer.client_id)}`
    expect(row).toMatchObject({ source: 'dynamic' })
  })
})
