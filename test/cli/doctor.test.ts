/** `doctor`: it names what is broken, with the fix. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from '../support/command.ts'
import { freePort } from '../support/ports.ts'
import { emptyDatabase, startServer, type TestServer } from '../support/server.ts'
import { TEST_CERTIFICATE, TEST_KEY } from '../support/tls.ts'

setDefaultTimeout(300_000)

interface Check {
  name: string
  state: string
  found: string
  fix?: string
}

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
        { name: 'challenge', state: 'ok', found: `401 with ${server.base}/.well-known/oauth-protected-resource/mcp` },
        { name: 'resource', state: 'ok', found: `${server.base}/mcp` },
        { name: 'issuer', state: 'ok', found: server.base },
        { name: 'PKCE', state: 'ok', found: 'S256' },
        { name: 'device grant', state: 'ok', found: `${server.base}/api/oauth/device` },
        { name: 'new clients', state: 'ok', found: 'can register' },
        { name: 'CORS', state: 'ok', found: 'metadata can be read by pages of other origins' },
      ],
    })
  })

  test('shows a line for each check, and the fix below it', async () => {
    const url = `http://127.0.0.1:${await freePort()}/mcp`
    const { code, stdout, stderr } = await runCommand(['doctor', url])
    expect(code).toBe(1)
    expect(stdout).toMatch(/^ FAILED reachable: .* cannot be reached: .*\n {9}Nothing answers there: /)
    expect(stderr).toBe('1 of 1 checks failed\n')
  })

  test('a wrong BASE_URL: clients are sent to another address', async () => {
    const other = await startServer({ BASE_URL: 'http://localhost:9' })
    const result = await doctor([`http://127.0.0.1:${other.port}/mcp`])
    expect(broken(result)).toEqual([
      {
        name: 'resource',
        state: 'failed',
        found: expect.stringContaining('http://localhost:9 cannot be reached'),
        fix: expect.stringContaining('set BASE_URL to the public address'),
      },
    ])
    await other.close()
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

  test('an issuer of another spelling, endpoints in the clear, no S256', async () => {
    const base = (): string => `http://127.0.0.1:${other.port}`
    const other: Bun.Server<unknown> = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch({ url }): Response {
        const { pathname } = new URL(url)
        if (pathname === '/mcp') return new Response(null, { status: 401 })
        if (pathname.startsWith('/.well-known/oauth-protected-resource'))
          return Response.json({ resource: `${base()}/mcp`, authorization_servers: [base()] })
        return Response.json({ issuer: `${base()}/`, token_endpoint: 'http://mcp.example/token' })
      },
    })
    expect(broken(await doctor([`${base()}/mcp`])).map(({ name }) => name)).toEqual(['issuer', 'endpoints', 'PKCE'])
    await other.stop(true)
  })

  test('an expired or strange certificate', async () => {
    const other = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      tls: { key: TEST_KEY, cert: TEST_CERTIFICATE },
      fetch: () => new Response(),
    })
    const result = await doctor([`https://localhost:${other.port}/mcp`])
    expect(broken(result)[0]).toEqual({
      name: 'certificate',
      state: 'failed',
      found: expect.any(String),
      fix: expect.any(String),
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
    const { checks } = await doctor([], { ...server.env, CLIENT_METADATA_DOCUMENTS: 'false' })
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

  test('each thing that is broken is named with its fix', async () => {
    const dir = await emptyDatabase()
    const servers = join(dir.env.DATA_DIR ?? '/tmp', '..', `doctor-${process.pid}.json`)
    writeFileSync(servers, JSON.stringify({ mcpServers: { gone: { command: '/nowhere/server' } } }))
    const provider = `http://127.0.0.1:${await freePort()}`
    const result = await doctor([], {
      ...server.env,
      MCP_SERVERS: servers,
      OIDC_ISSUER: provider,
      OIDC_CLIENT_ID: 'x',
      OIDC_CLIENT_SECRET: 'y',
      PORT: String(await freePort()),
    })
    expect(result.code).toBe(1)
    const fixes = Object.fromEntries(broken(result).map(({ name, fix }) => [name, fix]))
    expect(fixes).toMatchObject({
      'sign-in with OpenID': expect.stringContaining(`Redirect URI: ${server.env.BASE_URL}/auth/callback/oidc`),
      'upstream gone': 'Try it alone: mcp-oauth-server upstream check gone',
      'way out': expect.stringContaining('CLIENT_METADATA_DOCUMENTS=false'),
      server: 'Start it: mcp-oauth-server serve',
    })
    await dir.drop()
  })

  test('a wrong setting, a database that is away', async () => {
    expect(broken(await doctor([], { PORT: 'x' }))).toMatchObject([
      { name: 'configuration', found: expect.stringContaining('PORT must be a port number') },
    ])
    const away = { DATABASE_URL: `postgres://127.0.0.1:${await freePort()}/x`, AUTH_SECRET: 'x'.repeat(32) }
    expect(broken(await doctor([], away))[0]).toMatchObject({
      name: 'database',
      fix: expect.stringContaining('Check DATABASE_URL'),
    })
  })
})
