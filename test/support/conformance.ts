/** The MCP project's own conformance suite for servers, run as a process of its own. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from './command.ts'

const PACKAGE = join(ROOT, 'node_modules/@modelcontextprotocol/conformance')

export type Revision = '2025-11-25' | '2026-07-28'

export interface ScenarioResult {
  scenario: string
  /** Ids of the checks; a check made several times is listed as often. */
  passed: string[]
  failed: Failure[]
  /** A SHOULD that was not followed. */
  warned: Failure[]
  /** Ids of checks about features that the server does not offer. */
  skipped: string[]
}

export interface Failure {
  check: string
  message: string
}

export interface Target {
  url: string
  /** A value of the header `Authorization`. */
  authorization?: string | undefined
}

/** @returns the scenarios that count for a revision, in the suite's order. */
export async function scoredScenarios(revision: Revision): Promise<string[]> {
  const requirements = await Bun.file(join(PACKAGE, `requirements/${revision}.yaml`)).text()
  return (Bun.YAML.parse(requirements) as { server: string[] }).server
}

/**
 * Runs everything that a revision requires, at its wire version.
 * @returns a result for each scored scenario, in the suite's order.
 * @throws Error if the suite leaves one of them out.
 */
export async function runRequirements(target: Target, revision: Revision): Promise<ScenarioResult[]> {
  const results = await runSuite(target, ['--requirements', revision])
  return (await scoredScenarios(revision)).map(scenario => {
    const result = results.find(result => result.scenario === scenario)
    if (!result) throw new Error(`the suite did not run ${scenario}`)
    return result
  })
}

/** Runs one scenario, at the wire version given. */
export async function runScenario(target: Target, scenario: string, version: string): Promise<ScenarioResult> {
  const [result] = await runSuite(target, ['--scenario', scenario, '--spec-version', version])
  if (!result) throw new Error(`the suite did not run ${scenario} of ${version}`)
  return result
}

async function runSuite({ url, authorization }: Target, options: string[]): Promise<ScenarioResult[]> {
  const output = await mkdtemp(join(tmpdir(), 'conformance-'))
  const front = authorization === undefined ? undefined : withAuthorization(url, authorization)
  try {
    // Its imports need a newer Node than Debian has; Bun runs it.
    const args = ['server', '--url', front?.url ?? url, '--output-dir', output, ...options]
    const suite = Bun.spawn([process.execPath, '--bun', join(PACKAGE, 'dist/index.js'), ...args], {
      stdout: 'pipe',
      stderr: 'pipe',
    })
    const [out, err] = await Promise.all([suite.stdout.text(), suite.stderr.text(), suite.exited])
    const results = await readResults(output)
    if (results.length === 0) throw new Error(`the suite ran nothing:\n${out}${err}`)
    return results
  } finally {
    await front?.close()
    await rm(output, { recursive: true })
  }
}

/** Whether everything was checked and passed; the suite itself counts a skipped scenario as passed. */
export function hasPassed({ passed, failed, warned, skipped }: ScenarioResult): boolean {
  return passed.length > 0 && failed.length + warned.length + skipped.length === 0
}

interface Check {
  id: string
  status: string
  errorMessage?: string
}

/** Each scenario leaves a directory, `server-{name}-{time}`, with its checks; a scenario that threw leaves it empty. */
async function readResults(output: string): Promise<ScenarioResult[]> {
  const folders = await readdir(output)
  return Promise.all(
    folders.map(async folder => {
      const scenario = /^server-(.+)-\d{4}-\d\d-\d\dT/.exec(folder)![1]!
      const file = Bun.file(join(output, folder, 'checks.json'))
      if (await file.exists()) return toResult(scenario, await file.json())
      return {
        scenario,
        passed: [],
        failed: [{ check: scenario, message: 'The scenario threw' }],
        warned: [],
        skipped: [],
      }
    }),
  )
}

function toResult(scenario: string, checks: Check[]): ScenarioResult {
  const withStatus = (status: string) =>
    checks
      .filter(check => check.status === status)
      .map(({ id, errorMessage }) => ({ check: id, message: errorMessage ?? '' }))
  return {
    scenario,
    passed: withStatus('SUCCESS').map(({ check }) => check),
    failed: withStatus('FAILURE'),
    warned: withStatus('WARNING'),
    skipped: withStatus('SKIPPED').map(({ check }) => check),
  }
}

/**
 * A proxy on loopback that adds the header, because the suite knows nothing of authorization. A foreign Host passes as
 * it came, so that what is behind can refuse it.
 */
function withAuthorization(target: string, authorization: string) {
  const { origin, pathname: endpoint } = new URL(target)
  const backend = origin.replace('//localhost', '//127.0.0.1')
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    idleTimeout: 0,
    fetch(request) {
      const { pathname, search } = new URL(request.url)
      const headers = new Headers(request.headers)
      headers.set('authorization', authorization)
      if (/^(localhost|127\.0\.0\.1)(:|$)/.test(headers.get('host') ?? '')) headers.delete('host')
      return fetch(backend + pathname + search, {
        method: request.method,
        headers,
        body: request.body,
        signal: request.signal,
      })
    },
  })
  return { url: `http://localhost:${server.port}${endpoint}`, close: () => server.stop(true) }
}
