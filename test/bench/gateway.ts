/**
 * Calls a second through the gateway, beside the same upstream reached directly and the gateways of npm, for clients of
 * both eras. Rounds are interleaved and what counts is the ratio, since a machine is never quiet; the time of the
 * processor that a call takes says the most. In front of two upstreams: the least that one can be, and one on the MCP SDK.
 * Usage: bun run bench:gateway [--rounds N] [--seconds N] [--upstreams bare,sdk] [--wires stdio,http]
 * [--out PATH] writes PATH.json, and the table of the README. On PostgreSQL:
 * bun run test/support/with-postgres.ts bun run bench:gateway --out test/bench/gateway
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { onPostgres } from '../support/server.ts'
import { longestBlocks, startWith } from './burdens.ts'
import type { Load, Measured } from './load.ts'
import {
  fetchPeer,
  overStdio,
  peers,
  type Running,
  startBare,
  startOurs,
  startPeer,
  startUpstream,
  type Upstream,
} from './peers.ts'
import { cpuOf } from './processor.ts'
import { machine, middle, writeReadme } from './report.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    upstreams: { type: 'string', default: 'bare,sdk' },
    wires: { type: 'string', default: 'stdio,http' },
    out: { type: 'string' },
  },
})
const ROUNDS = Number(values.rounds)
const SECONDS = Number(values.seconds)
const CALLERS = 64
const SESSIONS = 8
const ERAS = ['modern', 'session'] as const
const DIRECT = 'directly'
/** What this server asks of the upstream, whatever its clients speak: the newest revision that it offers. */
const DIRECT_MODERN = 'directly, 2026-07-28'
const BARE = 'a bare HTTP server'
const OURS = 'this server'

interface Contender {
  name: string
  target: Load['target']
  /** What it is asked in, instead of what the row is about. */
  era?: Load['era']
  /** Whose time of the processor is counted. */
  pid?: number
}

interface Figures {
  perSecond: number
  median: number
  /** Microseconds of the processor for a call. */
  cpu: number
}

async function run(contender: Contender, rowEra: Load['era'], callers: number): Promise<Figures> {
  const { target, pid, era = rowEra } = contender
  const load: Load = { target, era, callers, sessions: SESSIONS, tool: 'echo', seconds: SECONDS }
  const before = pid === undefined ? 0 : cpuOf(pid)
  const child = Bun.spawn([process.execPath, join(import.meta.dir, 'load.ts'), JSON.stringify(load)], {
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  if (code !== 0) throw new Error(err)
  const { calls, all, seconds, median }: Measured = JSON.parse(out)
  const cpu = pid === undefined ? Number.NaN : ((cpuOf(pid) - before) / all) * 1e6
  return { perSecond: calls / seconds, median, cpu }
}

const round = (value: number, digits = 0) =>
  Number.isNaN(value)
    ? ''
    : value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits })

type Wire = 'stdio' | 'http'
const UPSTREAM_NAMES: Record<Upstream, string> = { bare: 'A bare upstream', sdk: 'An upstream on the MCP SDK' }
const CLIENTS = { modern: '2026-07-28', session: '2025-11-25 with sessions' } as const

interface Row {
  upstream: Upstream
  wire: Wire
  era: Load['era']
  figures: Record<string, Figures[]>
  /** One call at a time. */
  alone: Record<string, Figures[]>
}

/** Calls a second and microseconds of the processor, a column for each contender. */
function tableOf(rows: readonly Row[]): string {
  const names = [...new Set(rows.flatMap(({ figures }) => Object.keys(figures)))]
  const lines = rows.map(({ upstream, wire, era, figures }) => {
    const cells = names.map(name => {
      const rounds = figures[name]
      if (!rounds) return ''
      const rate = `${round(middle(rounds.map(({ perSecond }) => perSecond)))} calls/s`
      const cpu = round(middle(rounds.map(figure => figure.cpu)))
      return cpu === '' ? rate : `${rate}, ${cpu} µs`
    })
    return `| ${[`${upstream} over ${wire}, ${CLIENTS[era]}`, ...cells].join(' | ')} |`
  })
  return [`| upstream, clients | ${names.join(' | ')} |`, `|${'---|'.repeat(names.length + 1)}`, ...lines].join('\n')
}

/** Rounds of several contenders, in turn. */
async function compare(contenders: readonly Contender[], era: Load['era'], callers: number) {
  const figures = new Map<string, Figures[]>(contenders.map(({ name }) => [name, []]))
  for (let at = 0; at < ROUNDS; at++)
    for (const contender of contenders)
      try {
        figures.get(contender.name)?.push(await run(contender, era, callers))
      } catch (error) {
        figures.delete(contender.name)
        console.log(
          `  ${contender.name} fails: ${(error as Error).message.split('\n').find(line => /error/i.test(line))}`,
        )
      }
  return figures
}

/** @param bases Whose calls a second the others are compared with, in each round: noise of the machine hits both. */
function show(title: string, figures: Map<string, Figures[]>, bases: readonly string[]): void {
  console.log(`\n${title}`)
  console.log(`${''.padEnd(24)} calls/s   least–most       CPU µs  ${bases.map(base => `  of ${base}`).join('')}`)
  for (const [name, rounds] of figures) {
    const rates = rounds.map(({ perSecond }) => perSecond)
    const spread = `${round(Math.min(...rates))}–${round(Math.max(...rates))}`
    const ratios = bases.map(base => {
      const others = figures.get(base)
      const ratio = others ? middle(rates.map((rate, at) => rate / others[at]!.perSecond)) : Number.NaN
      return round(ratio, 2).padStart(5 + base.length)
    })
    const cpu = round(middle(rounds.map(figure => figure.cpu)))
    console.log(
      `${name.padEnd(24)} ${round(middle(rates)).padStart(7)}   ${spread.padEnd(15)} ${cpu.padStart(6)}  ${ratios.join('')}`,
    )
  }
}

function showLatency(title: string, figures: Map<string, Figures[]>, base: string): void {
  const of = (name: string) => figures.get(name)?.map(({ median }) => median) ?? []
  const added = middle(of(OURS).map((median, at) => median - of(base)[at]!))
  console.log(
    `${title.padEnd(34)} ${round(middle(of(base)), 2)} ms by ${base}, ${round(middle(of(OURS)), 2)} ms by ${OURS}: ${round(added, 2)} ms more`,
  )
}

await using stack = new AsyncDisposableStack()
const directory = mkdtempSync(join(tmpdir(), 'bench-peers-'))
stack.defer(() => rmSync(directory, { recursive: true, force: true }))
const found = peers.flatMap(peer => {
  const fetched = fetchPeer(peer, directory)
  if (!fetched) console.log(`${peer} is left out: npm did not fetch it`)
  return fetched ? [{ peer, name: `${peer.split('@')[0]} ${fetched.version}` }] : []
})

/** What is compared in front of an upstream, by wire. */
async function open(upstream: Upstream): Promise<Record<Wire, (era: Load['era']) => Contender[]>> {
  const behind = stack.use(await startUpstream(upstream))
  const pipes = overStdio(upstream)
  const ours = stack.use(await startOurs(upstream, behind.url))
  const contender = (name: string, { pid, endpoint }: Running, wire: Wire): Contender => {
    return { name, pid, target: endpoint(wire) }
  }
  // One for each era: a server on the SDK stays with that of its first message over stdio.
  const bare = { modern: stack.use(await startBare(pipes)), session: stack.use(await startBare(pipes)) }
  const bareHttp = stack.use(await startBare(behind.url))
  const others = await Promise.all(
    found.map(async ({ peer, name }) =>
      contender(name, stack.use(await startPeer(peer, directory, upstream)), 'stdio'),
    ),
  )
  const directly = (direct: Contender, era: Load['era']): Contender[] =>
    era === 'modern' ? [direct] : [direct, { ...direct, name: DIRECT_MODERN, era: 'modern' }]
  return {
    stdio: era => [
      ...directly({ name: DIRECT, target: { command: pipes } }, era),
      contender(BARE, bare[era], 'stdio'),
      contender(OURS, ours, 'stdio'),
      ...others,
    ],
    http: era => [
      ...directly(contender(DIRECT, behind, 'http'), era),
      contender(BARE, bareHttp, 'http'),
      contender(OURS, ours, 'http'),
    ],
  }
}

console.log(
  `${CALLERS} callers, ${ROUNDS} rounds of ${SECONDS} s, ${onPostgres ? 'PostgreSQL' : 'embedded database'}; medians. CPU: of the named process, a call.`,
)
const results: Row[] = []
for (const upstream of values.upstreams.split(',') as Upstream[]) {
  const contenders = await open(upstream)
  for (const wire of values.wires.split(',') as Wire[])
    for (const era of ERAS) {
      const compared = contenders[wire](era)
      const figures = await compare(compared, era, CALLERS)
      const title = `${UPSTREAM_NAMES[upstream]} over ${wire}, clients of ${CLIENTS[era]}`
      const bases = [DIRECT, DIRECT_MODERN, BARE, ...found.slice(0, 1).map(({ name }) => name)]
      show(
        title,
        figures,
        bases.filter(base => figures.has(base)),
      )
      const beside = compared.filter(({ name }) => name === DIRECT || name === OURS)
      const alone = await compare(beside, era, 1)
      showLatency(`${title}, one call at a time`, alone, DIRECT)
      results.push({ upstream, wire, era, figures: Object.fromEntries(figures), alone: Object.fromEntries(alone) })
    }
}
if (values.out) {
  const date = new Date().toISOString().slice(0, 10)
  const about = { machine: machine(), date, rounds: ROUNDS, seconds: SECONDS, callers: CALLERS }
  writeFileSync(`${values.out}.json`, `${JSON.stringify({ ...about, results }, null, 2)}\n`)
  writeReadme('gateway', tableOf(results))
}

console.log('\nBurdens')
const blocks = await longestBlocks()
for (const [wire, ms] of Object.entries(blocks))
  console.log(`100,000 tools over ${wire}: the event loop is blocked for ${round(ms)} ms at most`)
for (let at = 0; at < ROUNDS; at++)
  for (const unused of [0, 50]) {
    const { ms, megabytes } = await startWith(unused)
    console.log(`${unused} unused upstreams: ready after ${round(ms)} ms, ${round(megabytes)} MB`)
  }
