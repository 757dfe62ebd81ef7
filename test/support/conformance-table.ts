/**
 * What of the conformance suite comes through, per scenario, as Markdown for the README: `bun run conformance`. A column
 * is a server, reached in one way by clients of one revision. A scenario that fails needs a reason, and a reason needs a
 * scenario that fails; anything else is an error, so that the table cannot go stale unseen.
 */
import { hasPassed, type Revision, runRequirements, type ScenarioResult, type Target } from './conformance.ts'
import { startUpstream } from './upstreams/start.ts'

export interface Column {
  title: string
  /** Makes the server ready; disposed of after its run. */
  open(): Promise<Target & AsyncDisposable>
  /** Why a scenario fails here, by its name. */
  reasons?: Record<string, string>
}

export type Results = Pick<Column, 'title' | 'reasons'> & { results: ScenarioResult[] }

/** By the revision that the client speaks. */
const COLUMNS: Record<Revision, Column[]> = {
  '2025-11-25': [
    { title: 'SDK 1.x, direct', open: () => startUpstream('sdk1') },
    { title: 'SDK 2.x, direct', open: () => startUpstream('sdk2') },
  ],
  '2026-07-28': [
    { title: 'SDK 2.x, direct', open: () => startUpstream('sdk2') },
    { title: 'SDK 2.x, 2026-07-28 only, direct', open: () => startUpstream('sdk2-only-2026') },
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
