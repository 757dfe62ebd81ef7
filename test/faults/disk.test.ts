/** A small disk as DATA_DIR. */
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { binary } from '../support/binary.ts'
import { DATABASES, signInAt, startBinary, times } from '../support/faults.ts'
import { deviceTokens, poll, registerClient, rpc } from '../support/flows.ts'
import { freePort } from '../support/ports.ts'
import { start } from '../support/processes.ts'
import { mountSmallDisk } from '../support/small-disk.ts'
import { until } from '../support/until.ts'
import { startCluster } from '../support/with-postgres.ts'

setDefaultTimeout(300_000)

const MB = 1024 * 1024
const disk = mountSmallDisk(300)
afterAll(() => disk?.unmount())

describe.skipIf(!disk)('a first start on a disk without room', () => {
  const env = { DATA_DIR: join(disk?.path ?? '', 'new') }

  test.each([0, 1, 20].slice(0, times(3, 1)))(
    'says so in one sentence with %d MB free, and starts once there is room',
    async megabytes => {
      rmSync(env.DATA_DIR, { recursive: true, force: true })
      disk!.fill(megabytes * MB)
      const failed = start([binary()], { ...env, PORT: String(await freePort()) })
      expect(await failed.exited).toBe(1)
      expect(failed.output()).toMatch(
        /^The database in DATA_DIR \(.*new\) could not be opened, and its disk has only \d+ MB free\. A new database takes 40 MB: free some space, or set DATA_DIR to another disk, then start again\. \(.*\)\n$/,
      )
      disk!.makeRoom()
      const server = await startBinary(env)
      expect((await server.get('/readyz')).status).toBe(200)
      server.kill('SIGTERM')
      expect(await server.exited).toBe(0)
      rmSync(env.DATA_DIR, { recursive: true })
    },
  )
})

describe.skipIf(!disk)('a disk that fills up while the server runs', () => {
  test.each(DATABASES)(
    '%s: writes answer 503 and the rest works; with room again, so do writes, and nothing acknowledged is lost',
    async kind => {
      const cluster = kind === 'PostgreSQL' ? await startCluster({ parent: disk!.path }) : undefined
      const env = {
        BASE_URL: 'http://localhost:3000',
        ...(cluster
          ? { DATABASE_URL: cluster.url, AUTH_SECRET: 'a secret of the tests, 32 characters or more' }
          : { DATA_DIR: join(disk!.path, 'data') }),
      }
      const server = await startBinary(env)
      const client = await registerClient(server)
      const ada = await signInAt(server, env)
      const { access_token, refresh_token } = await deviceTokens(server, client, ada)
      const request = () => server.post('/api/oauth/device', { client_id: client })

      disk!.fill()
      const codes: string[] = []
      let answer = await request()
      for (; answer.status === 200; answer = await request())
        codes.push(((await answer.json()) as { device_code: string }).device_code)
      expect([answer.status, answer.headers.get('retry-after'), await answer.json()]).toEqual([
        503,
        '5',
        { error: 'temporarily_unavailable', error_description: expect.any(String) },
      ])
      for (const path of ['/healthz', '/readyz', '/account', '/.well-known/jwks.json'])
        expect([path, (await server.get(path, { Cookie: ada })).status]).toEqual([path, 200])
      expect((await rpc(server, access_token, 'tools/list')).status).toBe(200)

      disk!.makeRoom()
      await until(async () => (await request()).status === 200)
      for (const code of codes)
        expect(await (await poll(server, client, code)).json()).toMatchObject({ error: 'authorization_pending' })
      const refresh = { grant_type: 'refresh_token', client_id: client, refresh_token }
      expect((await server.post('/api/oauth/token', refresh)).status).toBe(200)
      server.kill('SIGTERM')
      expect(await server.exited).toBe(0)
      await cluster?.remove()
    },
  )
})
