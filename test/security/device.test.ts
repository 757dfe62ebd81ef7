import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { csrfOf, enterCode, registerClient, requestDevice, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.close())

const LETTERS = 'BCDFGHJKLMNPQRSTVWXZ'

describe('guessing user codes (RFC 8628 5.1)', () => {
  test('of 60 simultaneous wrong codes five are checked, the others get 429', async () => {
    const cookie = await signIn(server)
    const page = await server.get('/auth/device', { Cookie: cookie })
    const csrf = csrfOf(await page.text(), '/api/oauth/device/verify')
    const statuses = await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const user_code = `BCDFGH${LETTERS[i % 20]}${LETTERS[Math.floor(i / 20)]}`
        const form = { user_code, csrf }
        return (await server.post('/api/oauth/device/verify', form, { Cookie: cookie, Accept: 'text/html' })).status
      }),
    )
    expect([400, 429].map(status => statuses.filter(seen => seen === status).length)).toEqual([5, 55])
  })

  test('correct codes are never counted, however many, even simultaneous ones', async () => {
    server.clock.advance(16 * 60)
    const cookie = await signIn(server)
    const client = await registerClient(server)
    for (let round = 0; round < 2; round++) {
      const devices = await Promise.all(Array.from({ length: 12 }, () => requestDevice(server, client)))
      const entered = await Promise.all(devices.map(({ user_code }) => enterCode(server, cookie, user_code)))
      expect(new Set(entered.map(({ status }) => status))).toEqual(new Set([303]))
    }
  })
})
