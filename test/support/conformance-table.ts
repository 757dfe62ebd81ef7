/**
 * What of the conformance suite comes through, per scenario, as Markdown for the README: `bun run conformance`. A column
 * is a server, reached in one way by clients of one revision. A scenario that fails needs a reason, and a reason needs a
 * scenario that fails; anything else is an error, so that the table cannot go stale unseen.
 */
import { hasPassed, type Revision, runRequirements, type ScenarioResult, type Target } from './conformance.ts'
import { openBehind } from './front.ts'
import { startUpstream, type Upstream } from './upstreams/start.ts'

export interface Column {
  title: string
  /** Makes the server ready; disposed of after its run. */
  open(): Promise<Target & AsyncDisposable>
  /** Why a scenario fails here, by its name. */
  reasons?: Record<string, string>
}

export type Results = Pick<Column, 'title' | 'reasons'> & { results: ScenarioResult[] }

/** A fixture behind the gateway, at an endpoint of its own. */
const behind = (
  title: string,
  upstream: Upstream,
  wire: 'stdio' | 'http',
  reasons?: Record<string, string>,
): Column => ({
  title: `${title}, through the gateway over ${wire === 'stdio' ? 'stdio' : 'HTTP'}`,
  open: () => openBehind(upstream, wire),
  ...(reasons ? { reasons } : {}),
})

/** What a server of 2025 cannot be made to do for a client of 2026-07-28. */
const KEYS = 'a 2025 server gives its questions no keys'
const ONE_BY_ONE = 'a 2025 server asks one thing at a time'
const UNDECLARED = 'a 2025 server asks whatever the request declares; the call ends with -32021'
const WHOSE = 'over stdio a question names no call, and one that was abandoned is still open'
const TO_2025_OVER_HTTP = {
  'input-required-result-basic-elicitation': KEYS,
  'input-required-result-multiple-input-requests': ONE_BY_ONE,
  'input-required-result-capability-check': UNDECLARED,
  'input-required-result-ignore-extra-params': KEYS,
  'input-required-result-validate-input': KEYS,
}
const TO_2025_OVER_STDIO = {
  'input-required-result-basic-elicitation': KEYS,
  'input-required-result-request-state': WHOSE,
  'input-required-result-multiple-input-requests': WHOSE,
  'input-required-result-multi-round': WHOSE,
  'input-required-result-missing-input-response': WHOSE,
  'input-required-result-non-tool-request': WHOSE,
  'input-required-result-result-type': WHOSE,
  'input-required-result-tampered-state': WHOSE,
  'input-required-result-capability-check': UNDECLARED,
  'input-required-result-validate-input': WHOSE,
}

const ONLY = 'SDK 2.x, 2026-07-28 only'

/** By the revision that the client speaks. */
const COLUMNS: Record<Revision, Column[]> = {
  '2025-11-25': [
    { title: 'SDK 1.x, direct', open: () => startUpstream('sdk1') },
    behind('SDK 1.x', 'sdk1', 'stdio'),
    behind('SDK 1.x', 'sdk1', 'http'),
    { title: 'SDK 2.x, direct', open: () => startUpstream('sdk2') },
    behind('SDK 2.x', 'sdk2', 'stdio'),
    behind('SDK 2.x', 'sdk2', 'http'),
    behind(ONLY, 'sdk2-only-2026', 'stdio'),
    behind(ONLY, 'sdk2-only-2026', 'http'),
  ],
  '2026-07-28': [
    { title: 'SDK 2.x, direct', open: () => startUpstream('sdk2') },
    behind('SDK 2.x', 'sdk2', 'stdio'),
    behind('SDK 2.x', 'sdk2', 'http'),
    { title: `${ONLY}, direct`, open: () => startUpstream('sdk2-only-2026') },
    behind(ONLY, 'sdk2-only-2026', 'stdio'),
    behind(ONLY, 'sdk2-only-2026', 'http'),
    behind('SDK 1.x', 'sdk1', 'stdio', TO_2025_OVER_STDIO),
    behind('SDK 1.x', 'sdk1', 'http', TO_2025_OVER_HTTP),
  ],
}

/** Runs the suite for each column, one after the other. */
export async function runColumns(revision: Revision, columns: Column[]): Promise<Results[]> {
  const all: Results[] = []
  for (const { open, ...column } of columns) {
    await using target = await open()
    all.push({ ...column, results: await runRequirements(target, revision) })
  }
  return all
}

/** @param columns Their results stand in the same order of scenarios. */
export function toMarkdown(columns: Results[]): string {
  const scenarios = columns[0]!.results.map(({ scenario }) => scenario)
  const rows = scenarios.map((scenario, index) => [
    `\`${scenario}\``,
    ...columns.map(({ results, reasons }) =>
      hasPassed(results[index]!) ? '✓' : `no: ${reasons?.[scenario] ?? 'unexplained'}`,
    ),
  ])
  const totals = columns.map(({ results }) => `${results.filter(hasPassed).length} of ${results.length}`)
  const lines = [['scenario', ...columns.map(({ title }) => title)], ['---', ...columns.map(() => '---')], ...rows]
  return [...lines, ['**passed**', ...totals]].map(cells => `| ${cells.join(' | ')} |`).join('\n')
}

/** @returns failures without a reason and reasons without a failure. */
export function problemsOf(columns: Results[]): string[] {
  return columns.flatMap(({ title, results, reasons = {} }) => {
    const failed = results.filter(result => !hasPassed(result))
    const unexplained = failed.filter(({ scenario }) => !(scenario in reasons))
    const stale = Object.keys(reasons).filter(name => !failed.some(({ scenario }) => scenario === name))
    return [
      ...unexplained.map(({ scenario, failed, warned, skipped }) => {
        const wrong = [...failed, ...warned].map(({ check, message }) => `${check} (${message})`)
        const checks = [...wrong, ...skipped.map(check => `${check} (skipped)`)]
        return `${title}: ${scenario} fails: ${checks.join(', ') || 'no check passed'}`
      }),
      ...stale.map(scenario => `${title}: ${scenario} does not fail`),
    ]
  })
}

if (import.meta.main) {
  const problems: string[] = []
  for (const [revision, columns] of Object.entries(COLUMNS) as [Revision, Column[]][]) {
    const results = await runColumns(revision, columns)
    console.log(`Clients of ${revision}:\n\n${toMarkdown(results)}\n`)
    problems.push(...problemsOf(results).map(problem => `${revision}, ${problem}`))
  }
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) process.exitCode = 1
}
