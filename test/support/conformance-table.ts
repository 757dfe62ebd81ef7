/**
 * What of the conformance suite comes through the gateway: `bun run conformance` writes it, per scenario, to a file, and
 * its sums into the README. A scenario that fails needs a reason, and a reason needs a scenario that fails; anything else
 * is an error, so that the tables cannot go stale unseen.
 */
import { join } from 'node:path'
import { ROOT } from './command.ts'
import { hasPassed, type Revision, runRequirements, type ScenarioResult, type Target } from './conformance.ts'
import { openBehind } from './front.ts'
import { startUpstream, type Upstream } from './upstreams/start.ts'

const WIRES = ['direct', 'stdio', 'http'] as const
type Wire = (typeof WIRES)[number]

const TITLES: Record<Wire, string> = {
  direct: 'directly',
  stdio: 'through the gateway, over stdio',
  http: 'through the gateway, over HTTP',
}

/** A server as clients of one revision meet it. */
export interface Pair {
  server: string
  revision: Revision
  /** Why a scenario fails through the gateway, by its name. */
  reasons?: Record<string, string>
  /** In the suite's order. Without `direct`: the server does not speak the revision. */
  results: Partial<Record<Wire, ScenarioResult[]>>
}

/** What no gateway can make a server of 2025 do for a client of 2026-07-28. */
export const ASKED_FROM_2025 = {
  'input-required-result-basic-elicitation':
    'a 2025 server gives its questions no keys, so the gateway makes keys up; the suite wants one of its own',
  'input-required-result-multiple-input-requests': 'a 2025 server asks one thing at a time',
  'input-required-result-capability-check':
    'a 2025 server is told once what clients can answer, not with each request; what this client did not declare is refused with -32021',
  'input-required-result-ignore-extra-params': 'the suite answers what it was not asked yet; a 2025 server asks first',
}

const SERVERS: readonly { upstream: Upstream; title: string; direct: readonly Revision[] }[] = [
  { upstream: 'sdk1', title: 'SDK 1.x: up to 2025-11-25', direct: ['2025-11-25'] },
  { upstream: 'sdk2', title: 'SDK 2.x: both', direct: ['2025-11-25', '2026-07-28'] },
  { upstream: 'sdk2-only-2026', title: 'SDK 2.x: 2026-07-28 only', direct: ['2026-07-28'] },
]
const REVISIONS: readonly Revision[] = ['2025-11-25', '2026-07-28']

const FILE = 'test/gateway/conformance.md'
const BEGIN = '<!-- bun run conformance -->'
const END = '<!-- end -->'

async function open(upstream: Upstream, wire: Wire): Promise<Target & AsyncDisposable> {
  return wire === 'direct' ? startUpstream(upstream) : openBehind(upstream, wire)
}

/** Runs the suite for every server, revision and wire, one after the other. */
async function runAll(): Promise<Pair[]> {
  const pairs: Pair[] = []
  for (const { upstream, title, direct } of SERVERS)
    for (const revision of REVISIONS) {
      const results: Pair['results'] = {}
      for (const wire of WIRES) {
        if (wire === 'direct' && !direct.includes(revision)) continue
        await using target = await open(upstream, wire)
        results[wire] = await runRequirements(target, revision)
        console.log(`${title}, client ${revision}, ${TITLES[wire]}: ${sumOf(results[wire])}`)
      }
      const reasons = upstream === 'sdk1' && revision === '2026-07-28' ? ASKED_FROM_2025 : undefined
      pairs.push({ server: title, revision, results, ...(reasons ? { reasons } : {}) })
    }
  return pairs
}

const sumOf = (results: ScenarioResult[]) => `${results.filter(hasPassed).length} of ${results.length}`
const table = (lines: string[][]) =>
  [lines[0]!, lines[0]!.map(() => '---'), ...lines.slice(1)].map(cells => `| ${cells.join(' | ')} |`).join('\n')

/** How many scenarios pass, and what is lost. */
export function summarize(pairs: readonly Pair[]): string {
  const lines = pairs.map(({ server, revision, results }) => [
    server,
    revision,
    ...WIRES.map(wire => (results[wire] ? sumOf(results[wire]) : '')),
  ])
  const reasons = pairs.flatMap(({ reasons = {} }) => Object.entries(reasons))
  return [
    table([['server', 'client', ...WIRES.map(wire => TITLES[wire])], ...lines]),
    ...(reasons.length > 0
      ? ['', 'What is lost:', '', ...reasons.map(([scenario, reason]) => `- \`${scenario}\`: ${reason}.`)]
      : []),
  ].join('\n')
}

/** A line for each scenario of a revision. */
export function toMarkdown(pairs: readonly Pair[]): string {
  const columns = pairs.flatMap(({ server, results, reasons = {} }) =>
    WIRES.flatMap(wire => {
      const ran = results[wire]
      return ran ? [{ title: `${server}, ${TITLES[wire]}`, ran, reasons: wire === 'direct' ? {} : reasons }] : []
    }),
  )
  const lines = columns[0]!.ran.map(({ scenario }, index) => [
    `\`${scenario}\``,
    ...columns.map(({ ran, reasons }) => (hasPassed(ran[index]!) ? '✓' : `no: ${reasonOf(reasons, scenario)}`)),
  ])
  return table([
    ['scenario', ...columns.map(({ title }) => title)],
    ...lines,
    ['**passed**', ...columns.map(({ ran }) => sumOf(ran))],
  ])
}

const reasonOf = (reasons: Record<string, string>, scenario: string) => reasons[scenario] ?? 'unexplained'

/** @returns failures without a reason and reasons without a failure. */
export function problemsOf({ server, revision, results, reasons = {} }: Pair): string[] {
  return WIRES.flatMap(wire => {
    const explained = wire === 'direct' ? {} : reasons
    const failed = results[wire]?.filter(result => !hasPassed(result))
    if (!failed) return []
    const where = `${server}, client ${revision}, ${TITLES[wire]}`
    const unexplained = failed.filter(({ scenario }) => !(scenario in explained))
    const stale = Object.keys(explained).filter(name => !failed.some(({ scenario }) => scenario === name))
    return [
      ...unexplained.map(({ scenario, failed, warned, skipped }) => {
        const wrong = [...failed, ...warned].map(({ check, message }) => `${check} (${message})`)
        const checks = [...wrong, ...skipped.map(check => `${check} (skipped)`)]
        return `${where}: ${scenario} fails: ${checks.join(', ') || 'no check passed'}`
      }),
      ...stale.map(scenario => `${where}: ${scenario} does not fail`),
    ]
  })
}

/** @returns the text with its table replaced. */
export function replaceTable(text: string, written: string): string {
  const [before, rest] = [text.slice(0, text.indexOf(BEGIN)), text.slice(text.indexOf(END))]
  if (!text.includes(BEGIN) || !text.includes(END)) throw new Error(`README.md must have ${BEGIN} and ${END}`)
  return `${before}${BEGIN}\n${written}\n${rest}`
}

if (import.meta.main) {
  const pairs = await runAll()
  const problems = pairs.flatMap(problemsOf)
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) process.exit(1)
  const ofRevision = (revision: Revision) => toMarkdown(pairs.filter(pair => pair.revision === revision))
  const details = REVISIONS.map(revision => `## Clients of ${revision}\n\n${ofRevision(revision)}\n`)
  const head = '# The conformance suite through the gateway\n\nWritten by `bun run conformance`.'
  await Bun.write(join(ROOT, FILE), `${head}\n\n${summarize(pairs)}\n\n${details.join('\n')}`)
  const readme = Bun.file(join(ROOT, 'README.md'))
  await readme.write(replaceTable(await readme.text(), summarize(pairs)))
  process.exit(0)
}
