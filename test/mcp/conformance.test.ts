/** The MCP project's own conformance suite for servers, as far as it does not need tools of its own on the server. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { Server } from 'bun'
import { deviceTokens, registerClient, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

const SUITE = 'node_modules/@modelcontextprotocol/conformance/dist/index.js'

let server: TestServer
let front: Server<undefined>

beforeAll(async () => {
  server = await startServer()
  const { access_token } = await deviceTokens(server, await registerClient(server), await signIn(server), {
    scope: 'mcp',
  })
  front = withBearer(server.base.replace('localhost', '127.0.0.1'), access_token)
})
afterAll(async () => {
  await front.stop(true)
  await server.close()
})

/** A proxy that adds the token, because the suite knows nothing of authorization. A foreign Host passes as it came. */
function withBearer(backend: string, token: string): Server<undefined> {
  return Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    idleTimeout: 0,
    fetch(request) {
      const { pathname, search } = new URL(request.url)
      const headers = new Headers(request.headers)
      headers.set('authorization', `Bearer ${token}`)
      if (/^(localhost|127\.0\.0\.1)(:|$)/.test(headers.get('host') ?? '')) headers.delete('host')
      return fetch(backend + pathname + search, {
        method: request.method,
        headers,
        body: request.body,
        signal: request.signal,
      })
    },
  })
}

async function run(scenario: string, version: string): Promise<string> {
  const url = `http://localhost:${front.port}/mcp`
  const args = ['server', '--url', url, '--scenario', scenario, '--spec-version', version]
  // Its imports need a newer Node than Debian has; Bun runs it.
  const suite = Bun.spawn([process.execPath, '--bun', SUITE, ...args], { stdout: 'pipe', stderr: 'pipe' })
  const [out, err] = await Promise.all([suite.stdout.text(), suite.stderr.text()])
  await suite.exited
  return out + err
}

describe('@modelcontextprotocol/conformance server', () => {
  test.each(
    Object.entries({
      'server-initialize': ['2025-06-18', '2025-11-25'],
      'server-session-lifecycle': ['2025-03-26', '2025-06-18', '2025-11-25'],
      'logging-set-level': ['2025-06-18', '2025-11-25'],
      ping: ['2025-06-18', '2025-11-25'],
      'server-sse-multiple-streams': ['2025-11-25', '2026-07-28'],
      'tools-list': ['2025-06-18', '2025-11-25', '2026-07-28'],
      'resources-list': ['2025-06-18', '2025-11-25', '2026-07-28'],
      'prompts-list': ['2025-06-18', '2025-11-25', '2026-07-28'],
      'dns-rebinding-protection': ['2025-11-25', '2026-07-28'],
      'sep-2164-resource-not-found': ['2026-07-28'],
      caching: ['2026-07-28'],
      'http-header-validation': ['2026-07-28'],
      'input-required-result-unsupported-methods': ['2026-07-28'],
    }).flatMap(([scenario, versions]) => versions.map(version => [scenario, version] as const)),
  )('%s of %s', async (scenario, version) => {
    expect(await run(scenario, version)).toMatch(/Passed: (\d+)\/\1, 0 failed, 0 warnings/)
  })

  test('server-stateless of 2026-07-28, but for the checks that call tools of the suite’s own', async () => {
    const failed = [...(await run('server-stateless', '2026-07-28')).matchAll(/\[(sep-[\w-]+)\s*\] \S*FAILURE/g)].map(
      match => match[1],
    )
    expect(failed.sort()).toEqual([
      'sep-2575-http-server-no-independent-requests-on-stream',
      'sep-2575-missing-capability-http-400',
      'sep-2575-server-no-log-without-loglevel',
      'sep-2575-server-rejects-undeclared-capability',
    ])
  })
})
