/** The MCP project's own conformance suite for servers, as far as it needs nothing that only a server
 * of its own has: the hub without upstream servers has no resources and prompts, and says so. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { hasPassed, type Revision, runRequirements, runScenario } from '../support/conformance.ts'
import { ASKED_FROM_2025 } from '../support/conformance-table.ts'
import { deviceTokens, registerClient, signIn } from '../support/flows.ts'
import { openBehind } from '../support/front.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
let authorization: string

beforeAll(async () => {
  server = await startServer()
  const { access_token } = await deviceTokens(server, await registerClient(server), await signIn(server), {
    scope: 'mcp',
  })
  authorization = `Bearer ${access_token}`
})
afterAll(() => server.close())

const run = (scenario: string, version: string) =>
  runScenario({ url: `${server.base}/mcp`, authorization }, scenario, version)

describe('@modelcontextprotocol/conformance server', () => {
  test.each(
    Object.entries({
      'server-initialize': ['2025-06-18', '2025-11-25'],
      'server-session-lifecycle': ['2025-03-26', '2025-06-18', '2025-11-25'],
      'logging-set-level': ['2025-06-18', '2025-11-25'],
      ping: ['2025-06-18', '2025-11-25'],
      'server-sse-multiple-streams': ['2025-11-25', '2026-07-28'],
      'tools-list': ['2025-06-18', '2025-11-25', '2026-07-28'],
      'dns-rebinding-protection': ['2025-11-25', '2026-07-28'],
      'http-header-validation': ['2026-07-28'],
      'input-required-result-unsupported-methods': ['2026-07-28'],
    }).flatMap(([scenario, versions]) => versions.map(version => [scenario, version] as const)),
  )('%s of %s', async (scenario, version) => {
    const { passed, failed, warned } = await run(scenario, version)
    expect({ failed, warned }).toEqual({ failed: [], warned: [] })
    expect(passed).not.toEqual([])
  })

  test('server-stateless of 2026-07-28, but for the checks that call tools of the suite’s own', async () => {
    const { failed } = await run('server-stateless', '2026-07-28')
    expect(failed.map(({ check }) => check).sort()).toEqual([
      'sep-2575-http-server-no-independent-requests-on-stream',
      'sep-2575-missing-capability-http-400',
      'sep-2575-server-no-log-without-loglevel',
      'sep-2575-server-rejects-undeclared-capability',
    ])
  })
})

/** The whole table, with every fixture and transport, is made by `bun run conformance`. */
describe('@modelcontextprotocol/conformance server, through /mcp/{name}', () => {
  test.each<[Revision, Parameters<typeof openBehind>]>([
    ['2025-11-25', ['sdk1', 'http']],
    ['2025-11-25', ['sdk2-only-2026', 'stdio']],
    ['2026-07-28', ['sdk2', 'stdio']],
    ['2026-07-28', ['sdk2-only-2026', 'http']],
  ])('all that %s scores, in front of %j', async (revision, behind) => {
    await using target = await openBehind(...behind)
    const results = await runRequirements(target, revision)
    expect(results.filter(result => !hasPassed(result))).toEqual([])
  })

  test('in front of a 2025 server, loses only what of 2026-07-28 that server cannot do', async () => {
    await using target = await openBehind('sdk1', 'stdio')
    const results = await runRequirements(target, '2026-07-28')
    const lost = results.filter(result => !hasPassed(result)).map(({ scenario }) => scenario)
    expect(lost.sort()).toEqual(Object.keys(ASKED_FROM_2025).sort())
  })
})
