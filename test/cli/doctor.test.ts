/** `doctor`: it names what is broken, with the fix. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrations } from '../../sql/migrations/index.ts'
import type { Check } from '../../src/cli/checks.ts'
import { checkCertificate } from '../../src/cli/doctor-certificate.ts'
import { checkWayOut } from '../../src/cli/doctor-local.ts'
import { checkPublic } from '../../src/cli/doctor-public.ts'
import { connect } from '../../src/db/index.ts'
import { migrate } from '../../src/db/migrate.ts'
import { openLog } from '../../src/lib/log.ts'
import { runCommand } from '../support/command.ts'
import { falseClock } from '../support/faketime.ts'
import { startNginx } from '../support/nginx.ts'
import { startProvider } from '../support/openid-provider.ts'
import { freePort } from '../support/ports.ts'
import { emptyDatabase, startServer, type TestServer } from '../support/server.ts'
import { EXPIRED_CERTIFICATE, TEST_CERTIFICATE, TEST_KEY } from '../support/tls.ts'

setDefaultTimeout(300_000)

/** The tests run with and without internet. */
const INSIDE = { CLIENT_METADATA_DOCUMENTS: 'false' }

let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.close())

async function doctor(args: string[], env: Record<string, string> = {}): Promise<{ code: number; checks: Check[] }> {
  const { code, stdout } = await runCommand(['doctor', ...args, '--json'], env)
  return { code, checks: JSON.parse(stdout) }
}
const broken = ({ checks }: { checks: Check[] }) => checks.filter(({ state }) => state === 'failed')

describe('doctor URL', () => {
  test('finds nothing wrong with this server', async () => {
    expect(await doctor([`${server.base}/mcp`])).toEqual({
      code: 0,
      checks: [
        { name: 'reachable', state: 'ok', found: `${server.base}/mcp answers with 401` },
        { name: 'clock', state: 'ok', found: 'agrees with that of this machine' },
        { name: 'challenge', state: 'ok', found: `401 with ${server.base}/.well-known/oauth-protected-resource/mcp` },
        { name: 'resource', state: 'ok', found: `${server.base}/mcp` },
        { name: 'issuer', state: 'ok', found: server.base },
        { name: 'PKCE', state: 'ok', found: 'S256' },
        { name: 'device grant', state: 'ok', found: `${server.base}/api/oauth/device` },
        { name: 'new clients', state: 'ok', found: 'can register' },
        { name: 'CORS', state: 'ok', found: 'metadata can be read by pages of other origins' },
        { name: 'streams', state: 'ok', found: 'events arrive when they are sent' },
        { name: 'client address', state: 'ok', found: '127.0.0.1' },
      ],
    })
  })

  test('shows a line for each check, and the fix below it', async () => {
    const url = `http://127.0.0.1:${await freePort()}/mcp`
    const { code, stdout, stderr } = await runCommand(['doctor', url])
    expect(code).toBe(1)
    expect(stdout).toMatch(/^ FAILED reachable: .* cannot be reached: .*\n {9}Nothing answers there: /)
    expect(stderr).toBe('1 of 1 check failed\n')
  })

  test.each<[string, (request: Request) => Response, string, string]>([
    ['a path prefix that is cut', () => new Response('not here', { status: 404 }), 'challenge', '404 instead of 401'],
    [
      'a redirect',
      () => Response.redirect('https://elsewhere.example/mcp', 308),
      'challenge',
      'it redirects to https://elsewhere.example/mcp',
    ],
    [
      'no protected resource metadata',
      ({ url }) => new Response(null, { status: url.endsWith('/mcp') && !url.includes('well-known') ? 401 : 404 }),
      'resource',
      'answers with 404',
    ],
  ])('%s', async (_, fetch, name, found) => {
    const other = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch })
    const result = await doctor([`http://127.0.0.1:${other.port}/mcp`])
    expect([result.code, broken(result)[0]]).toEqual([
      1,
      { name, state: 'failed', found: expect.stringContaining(found), fix: expect.any(String) },
    ])
    await other.stop(true)
  })

  test('an answer that never ends, and a stream that does not', async () => {
    let sent = 0
    const flood = (beginning: string, type: string) =>
      new Response(
        new ReadableStream({
          start: controller => controller.enqueue(new TextEncoder().encode(beginning)),
          pull(controller) {
            sent += 65_536
            controller.enqueue(new Uint8Array(65_536).fill(32))
          },
        }),
        { headers: { 'Content-Type': type } },
      )
    const event = (name: string, data: object) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
    const base = (): string => `http://127.0.0.1:${other.port}`
    const other: Bun.Server<unknown> = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch({ url }): Response {
        const { pathname } = new URL(url)
        if (pathname === '/mcp') return new Response(null, { status: 401 })
        if (pathname.endsWith('/stream')) {
          const begin = event('begin', { forwarding: 'none', address: '127.0.0.1' })
          return flood(`${begin}${event('end', {})}`, 'text/event-stream')
        }
        if (pathname.startsWith('/.well-known/oauth-protected-resource'))
          return Response.json({ resource: `${base()}/mcp`, authorization_servers: [base()] })
        return flood('{', 'application/json')
      },
    })
    const { checks } = await doctor([`${base()}/mcp`])
    expect(checks.find(({ name }) => name === 'issuer')!.found).toBe(`${base()} sent more than 1 MiB`)
    expect(checks.find(({ name }) => name === 'streams')!.state).toBe('ok')
    expect(sent).toBeLessThan(20 * 1_048_576)
    await other.stop(true)
  })

  test('an issuer of another spelling, endpoints in the clear, no S256, at an endpoint that takes POST only', async () => {
    const base = (): string => `http://127.0.0.1:${other.port}`
    const other: Bun.Server<unknown> = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch({ url, method }): Response {
        const { pathname } = new URL(url)
        if (pathname === '/mcp') return new Response(null, { status: method === 'POST' ? 401 : 405 })
        if (pathname.startsWith('/.well-known/oauth-protected-resource'))
          return Response.json({ resource: `${base()}/mcp`, authorization_servers: [base()] })
        return Response.json({ issuer: `${base()}/`, token_endpoint: 'http://mcp.example/token' })
      },
    })
    expect(broken(await doctor([`${base()}/mcp`])).map(({ name }) => name)).toEqual(['issuer', 'endpoints', 'PKCE'])
    await other.stop(true)
  })

  test('a certificate that nobody signed, and --ca for one of an own CA', async () => {
    const tls = { key: TEST_KEY, cert: TEST_CERTIFICATE }
    const other = Bun.serve({ port: 0, hostname: '127.0.0.1', tls, fetch: () => new Response() })
    const url = new URL(`https://localhost:${other.port}/mcp`)
    const certificate = (ca?: string) => checkCertificate(url, ca)
    expect(await certificate()).toMatchObject({
      found: 'DEPTH_ZERO_SELF_SIGNED_CERT',
      fix: expect.stringContaining('--ca FILE'),
    })
    expect(await certificate(TEST_CERTIFICATE)).toMatchObject({
      state: 'failed',
      fix: 'It is for another name: get one for this name at the TLS proxy.',
    })
    await other.stop(true)
  })

  test('plain http that is not this machine', async () => {
    const result = await doctor(['http://192.0.2.1.invalid/mcp'])
    expect(broken(result).map(({ name }) => name)).toEqual(['https', 'reachable'])
    expect(broken(result)[1]!.fix).toContain('DNS')
  })
})

describe('doctor', () => {
  test('checks configuration, database, clock, keys, way out and the running server', async () => {
    const { checks } = await doctor([], { ...server.env, ...INSIDE })
    const states = Object.fromEntries(checks.map(({ name, state }) => [name, state]))
    expect(states).toMatchObject({
      configuration: 'ok',
      database: 'ok',
      clock: 'ok',
      keys: 'ok',
      server: 'ok',
      'outside: issuer': 'ok',
    })
  })

  test('an upstream that does not start, and a server that does not run', async () => {
    const servers = join(tmpdir(), `doctor-${crypto.randomUUID()}.json`)
    writeFileSync(servers, JSON.stringify({ mcpServers: { gone: { command: '/nowhere/server' } } }))
    const result = await doctor([], { ...server.env, MCP_SERVERS: servers, PORT: String(await freePort()), ...INSIDE })
    expect([result.code, broken(result).map(({ name, fix }) => [name, fix])]).toEqual([
      1,
      [
        ['upstream gone', 'Try it alone: mcp-oauth-server upstream check gone'],
        ['server', 'Start it: mcp-oauth-server serve'],
      ],
    ])
    rmSync(servers)
  })

  test('a wrong setting, a database that is away', async () => {
    expect(broken(await doctor([], { PORT: 'x' }))).toMatchObject([
      { name: 'configuration', found: expect.stringContaining('PORT must be a port number') },
    ])
    const away = { DATABASE_URL: `postgres://127.0.0.1:${await freePort()}/x`, AUTH_SECRET: 'x'.repeat(32), ...INSIDE }
    expect(broken(await doctor([], away))[0]).toMatchObject({
      name: 'database',
      fix: expect.stringContaining('Check DATABASE_URL'),
    })
  })
})

describe('broken set-ups, each named with its fix', () => {
  /** What a client meets at an address. */
  const outside = async (url: string, silence = 0) => {
    const checks: Check[] = []
    for await (const check of checkPublic(new URL(url), { silence })) checks.push(check)
    return checks
  }
  const inside = async (env: Record<string, string>) => (await doctor([], { ...server.env, ...INSIDE, ...env })).checks
  const failure = (name: string, found: RegExp, fix: RegExp): Check => ({
    name,
    state: 'failed',
    found: expect.stringMatching(found),
    fix: expect.stringMatching(fix),
  })

  describe('behind nginx', () => {
    let fronted: TestServer
    let ports: { buffering: number; impatient: number; prefixed: number }
    let nginx: AsyncDisposable
    beforeAll(async () => {
      ports = { buffering: await freePort(), impatient: await freePort(), prefixed: await freePort() }
      fronted = await startServer({ BASE_URL: `http://localhost:${ports.prefixed}` })
      const to = `proxy_pass http://127.0.0.1:${fronted.port}; proxy_set_header X-Forwarded-For $remote_addr;`
      nginx = await startNginx({
        [ports.buffering]: `location / { ${to} proxy_ignore_headers X-Accel-Buffering; }`,
        [ports.impatient]: `location / { ${to} proxy_http_version 1.1; proxy_read_timeout 1s; }`,
        [ports.prefixed]: `location /tools/ { proxy_pass http://127.0.0.1:${fronted.port}/; }`,
      })
    })
    afterAll(async () => {
      await nginx[Symbol.asyncDispose]()
      await fronted.close()
    })

    test('a wrong BASE_URL, a proxy that buffers, and one that is not trusted', async () => {
      const checks = await outside(`http://127.0.0.1:${ports.buffering}/mcp`)
      expect(checks).toContainEqual(
        failure('resource', /^http:\/\/localhost:\d+\/\S+ answers with 404/, /set BASE_URL to the public address/),
      )
      expect(checks).toContainEqual(failure('streams', /holds events back/, /in nginx, .*proxy_buffering off/))
      expect(checks).toContainEqual(failure('client address', /the server ignores it/, /^Set TRUSTED_PROXIES/))
    })

    test('a proxy that cuts silent streams off', async () => {
      const checks = await outside(`http://127.0.0.1:${ports.impatient}/mcp`, 3)
      expect(checks).toContainEqual(failure('idle time-out', /silent for 3 s was cut off/, /proxy_read_timeout 1h/))
      expect(checks).toContainEqual({ name: 'streams', state: 'ok', found: 'events arrive when they are sent' })
    })

    test('a path prefix, cut by the proxy or not', async () => {
      expect(await outside(`http://localhost:${ports.prefixed}/tools/mcp`)).toContainEqual(
        failure('path prefix', /^a proxy cuts \/tools off the path/, /^Give it a host name/),
      )
      expect(await outside(`${server.base}/tools/mcp`)).toContainEqual(
        failure('challenge', new RegExp(`^404 instead of 401; the server names ${server.base}/mcp$`), /path prefix/),
      )
    })
  })

  test('a closed port', async () => {
    expect(await outside(`http://127.0.0.1:${await freePort()}/mcp`)).toEqual([
      failure('reachable', /cannot be reached/, /^Nothing answers there: is the server started, the port published/),
    ])
  })

  test('an expired certificate', async () => {
    const tls = { key: TEST_KEY, cert: EXPIRED_CERTIFICATE }
    const other = Bun.serve({ port: 0, hostname: '127.0.0.1', tls, fetch: () => new Response(null, { status: 401 }) })
    const checks = await outside(`https://localhost:${other.port}/mcp`)
    expect(checks[0]).toEqual(failure('certificate', /^expired on 2020-01-31T/, /^Renew it at the TLS proxy/))
    await other.stop(true)
  })

  test('a clock that is ten minutes ahead', async () => {
    expect(await inside(falseClock(600).env)).toContainEqual(
      failure('clock', /^the database is (599|60\d) s behind this machine$/, /^Run NTP on both/),
    )
  })

  test('a redirect URI that the provider does not know; one that it knows', async () => {
    const [stranger, friend] = [await startProvider('http://localhost/elsewhere'), await startProvider()]
    const callback = `${server.base}/auth/callback/oidc`
    expect(await inside(stranger.env)).toContainEqual(
      failure(
        'sign-in with Test OP',
        /refuses the redirect URI/,
        new RegExp(`exactly this redirect URI there: ${callback}$`),
      ),
    )
    expect(await inside(friend.env)).toContainEqual({
      name: 'sign-in with Test OP',
      state: 'ok',
      found: `it accepts the redirect URI ${callback}`,
    })
    await stranger.stop()
    await friend.stop()
  })

  test('a provider that is away', async () => {
    const issuer = `http://127.0.0.1:${await freePort()}`
    expect(await inside({ OIDC_ISSUER: issuer, OIDC_CLIENT_ID: 'x' })).toContainEqual(
      failure('sign-in with OpenID', new RegExp(`^${issuer}\\S+ cannot be reached$`), /^Is its address right/),
    )
  })

  test('no DNS, no way out', async () => {
    const nowhere = async () => Promise.reject(new Error('EAI_AGAIN'))
    expect(await checkWayOut({ resolve: nowhere, isAllowed: () => true })).toEqual(
      failure('way out', /^no DNS: /, /^Check the resolver .*CLIENT_METADATA_DOCUMENTS=false/),
    )
    // Nothing listens at this address of this machine.
    const here = async () => ['127.9.9.9']
    expect(await checkWayOut({ resolve: here, isAllowed: () => true })).toEqual(
      failure('way out', /cannot be reached \(ECONNREFUSED\)$/, /firewall.*CLIENT_METADATA_DOCUMENTS=false/),
    )
  })

  test('an old schema, which stays as it is', async () => {
    const database = await emptyDatabase()
    const opened = () =>
      connect({
        databaseUrl: database.env.DATABASE_URL,
        dataDir: database.env.DATA_DIR!,
        serving: true,
        log: openLog('silent'),
      })
    const db = await opened()
    await migrate(db, migrations.slice(0, 2))
    await db.close()
    const { checks } = await doctor([], { ...database.env, ...INSIDE, PORT: String(await freePort()) })
    expect(checks).toContainEqual(
      failure('schema', /^the database has 0002_indexes, and this program needs /, /run: mcp-oauth-server migrate/),
    )
    const again = await opened()
    expect(await again.sql`select id from schema_migrations`).toHaveLength(2)
    await again.close()
    await database.drop()
  })

  test('a secret that cannot be read, and one that is not that of the database', async () => {
    const { AUTH_SECRET: _, ...env } = server.env
    const unreadable = await doctor([], { ...env, ...INSIDE, AUTH_SECRET_FILE: '/nowhere/secret' })
    expect(unreadable.checks).toEqual([
      failure('configuration', /AUTH_SECRET_FILE names a file that cannot be read \(ENOENT\)/, /^Set what is named/),
    ])
    expect(await inside({ AUTH_SECRET: 'another secret of the tests, long enough' })).toContainEqual(
      failure('keys', /AUTH_SECRET/, /^Give the server the secret that the database was made with/),
    )
  })
})
