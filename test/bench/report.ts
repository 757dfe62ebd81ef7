/** Figures as lines, as the table of the README, and as a chart. */
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { join } from 'node:path'
import { ROOT } from '../support/command.ts'
import type { Measured } from './wrk.ts'

export interface Figures extends Measured {
  /** Microseconds of the processor for a request. */
  server: number
  database: number
}

export interface Result {
  case: string
  contender: string
  rounds: Figures[]
}

/** How long a contender takes to start, and what it needs then. */
export interface Start {
  contender: string
  /** Milliseconds until it was ready for the first time, with an empty database. */
  first: number
  /** Milliseconds until it answered its first request, each time. */
  again: number[]
  /** Resident memory, a few seconds after that. */
  megabytes: number
}

/** All of results.json. */
export interface Bench {
  machine: string
  date: string
  rounds: number
  seconds: number
  connections: number
  results: Result[]
  starts: Start[]
}

/** The median. */
export function middle(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const half = Math.floor(sorted.length / 2)
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}

const show = (value: number, digits = 0) =>
  value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits })
const of = ({ rounds }: Result, key: keyof Figures) => middle(rounds.map(figures => figures[key]))
const total = (figures: Figures) => figures.server + figures.database

export function machine(): string {
  return `${availableParallelism()} cores of ${cpus()[0]?.model}`
}

export function lineOf(result: Result): string {
  const totals = result.rounds.map(total)
  return [
    result.case.padEnd(34),
    result.contender.padEnd(14),
    `${show(of(result, 'server')).padStart(5)} + ${show(of(result, 'database')).padStart(4)} µs`,
    `(${show(Math.min(...totals))}–${show(Math.max(...totals))})`.padStart(14),
    `${show(of(result, 'perSecond')).padStart(8)} /s`,
    `p50 ${show(of(result, 'p50'), 1)} p99 ${show(of(result, 'p99'), 1)} ms`,
  ].join('  ')
}

/** A line for each case, a column for each contender: server + database, and how often the floor fits into that. */
function costsOf({ results, starts }: Bench): string {
  const contenders = starts.map(({ contender }) => contender)
  const lines = [...new Set(results.map(result => result.case))].map(title => {
    const [floor] = results.filter(result => result.case === title && result.contender === 'floor')
    const cells = contenders.map(contender => {
      const result = results.find(one => one.case === title && one.contender === contender)
      if (!result) return ''
      const cost = `${show(of(result, 'server'))}${of(result, 'database') >= 0.5 ? ` + ${show(of(result, 'database'))}` : ''}`
      if (!floor || result === floor) return cost
      const ratio = middle(result.rounds.map(figures => total(figures) / middle(floor.rounds.map(total))))
      return `${cost} (${show(ratio, 1)} x)`
    })
    return [title, ...cells]
  })
  return table(['µs of processor time', ...contenders], lines)
}

function startsOf({ starts }: Bench): string {
  return table(
    ['', ...starts.map(({ contender }) => contender)],
    [
      ['start to first token, or call, ms', ...starts.map(({ again }) => show(middle(again)))],
      ['first start, new database, ms', ...starts.map(({ first }) => show(first))],
      ['memory at rest, MB', ...starts.map(({ megabytes }) => show(megabytes))],
    ],
  )
}

const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
const table = (head: readonly string[], lines: readonly string[][]) =>
  [row(head), `|${'---|'.repeat(head.length)}`, ...lines.map(row)].join('\n')

/** What the README says of a run. */
export function sectionOf(bench: Bench): string {
  const { machine, rounds, seconds, connections } = bench
  const date = new Date(bench.date).toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' })
  return [
    costsOf(bench),
    '',
    startsOf(bench),
    '',
    `Medians of ${rounds} rounds of ${seconds} s, in turns, with ${connections} connections, on ${date}, on ${machine}.`,
  ].join('\n')
}

const MARKED = /(<!-- bench -->\n)[\s\S]*(\n<!-- \/bench -->)/

/** The README with the section of a run between its marks. */
export function publishedIn(readme: string, bench: Bench): string {
  return readme.replace(MARKED, (_, before: string, after: string) => before + sectionOf(bench) + after)
}

/** An SVG chart, drawn by Vega, which is fetched into a directory. */
export function chartOf(
  results: readonly Result[],
  about: { machine: string; date: string },
  directory: string,
): Promise<string> {
  const rows = results.map(result => ({
    case: result.case.replaceAll('`', ''),
    contender: result.contender,
    cost: of(result, 'server') + of(result, 'database'),
  }))
  return draw(directory, {
    title: titleOf(about),
    width: 560,
    data: { values: rows },
    height: { step: 24 },
    mark: { type: 'point', filled: true, size: 90, opacity: 1 }, // a logarithmic scale has no zero for bars to begin at
    encoding: {
      y: { field: 'case', type: 'nominal', sort: null, title: null, axis: { labelLimit: 260, grid: true } },
      x: { field: 'cost', type: 'quantitative', title: 'µs, logarithmic', scale: { type: 'log', domainMin: 5 } },
      color: { field: 'contender', type: 'nominal', sort: null, title: null },
    },
  })
}

/** A line for each kind of request: what it costs by how much there is of what grows. */
export function curveOf(
  measured: readonly { grown: string; count: number; case: string; server: number; database: number }[],
  about: { machine: string; date: string },
  directory: string,
): Promise<string> {
  const rows = measured.map(row => ({
    ...row,
    case: `${row.case.replaceAll('`', '')}, ${row.grown}`,
    cost: row.server + row.database,
  }))
  return draw(directory, {
    title: titleOf(about),
    width: 520,
    height: 320,
    data: { values: rows },
    mark: { type: 'line', point: true },
    encoding: {
      x: { field: 'count', type: 'quantitative', title: 'how many there are', scale: { type: 'log' } },
      y: { field: 'cost', type: 'quantitative', title: 'µs', scale: { domainMin: 0 } },
      color: { field: 'case', type: 'nominal', sort: null, title: null, legend: { labelLimit: 260 } },
    },
  })
}

const titleOf = (about: { machine: string; date: string }) => ({
  text: 'Processor time of a request, server and PostgreSQL, in microseconds',
  subtitle: `${about.machine}, ${about.date}`,
})

async function draw(directory: string, chart: object): Promise<string> {
  const flags = ['--no-audit', '--no-fund', '--ignore-scripts']
  const install = ['npm', 'install', ...flags, '--prefix', directory, 'vega@6', 'vega-lite@6']
  if (!Bun.spawnSync(install, { stdout: 'ignore', stderr: 'inherit' }).success)
    throw new Error('npm did not fetch vega')
  const load = (name: string) => import(Bun.resolveSync(name, directory))
  const [vega, lite] = [await load('vega'), await load('vega-lite')]
  const { spec } = lite.compile({ background: 'white', ...chart })
  return new vega.View(vega.parse(spec), { renderer: 'none' }).toSVG()
}

/** Replaces the table of a benchmark in the README, between two comments that name it. */
export function writeReadme(bench: string, table: string): void {
  const path = join(ROOT, 'README.md')
  const [begin, end] = [`<!-- bench:${bench} -->\n`, `<!-- /bench:${bench} -->`]
  const text = readFileSync(path, 'utf8')
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < 0) throw new Error(`README.md must have ${begin.trim()} and ${end}`)
  writeFileSync(path, `${text.slice(0, from)}${begin}\n${table}\n\n${text.slice(to)}`)
}
