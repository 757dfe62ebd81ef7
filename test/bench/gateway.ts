/**
 * Calls a second through the gateway, beside the same upstream reached directly and the gateways of npm, for clients of
 * both eras. Rounds are interleaved and what counts is the ratio, since a machine is never quiet; the time of the
 * processor that a call takes says the most. Usage: bun run bench:gateway [--rounds N] [--seconds N]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { onPostgres } from '../support/server.ts'
import { longestBlocks, startWith } from './burdens.ts'
import type { Load, Measured } from './load.ts'
import { ECHO, fetchPeer, peers, type Running, startBare, startOurs, startPeer, startUpstream } from './peers.ts'
import { cpuOf } from './processor.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '2' } },
})
const ROUNDS = Number(values.rounds)
const SECONDS = Number(values.seconds)
const CALLERS = 64
const SESSIONS = 8
const ERAS = ['modern', 'session'] as const
const LOOP = 'a loop over its pipes'
const DIRECT = 'the upstream itself'
const BARE = 'a bare HTTP server'
const OURS = 'this gateway'

interface Contender {
  name: string
  target: Load['target']
  /** Whose time of the processor is counted. */
  pid?: number
}

interface Figures {
  perSecond: number
  median: number
  /** Microseconds of the processor for a call. */
  cpu: number
}

async function run({ target, pid }: Contender, era: Load['era'], callers: number): Promise<Figures> {
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

const middle = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
const round = (value: number, digits = 0) =>
  Number.isNaN(value)
    ? ''
    : value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits })

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
const upstream = stack.use(await startUpstream())
const bare = stack.use(await startBare())
const ours = stack.use(await startOurs(upstream.url))
const others: { name: string; running: Running }[] = []
for (const peer of peers) {
  const found = fetchPeer(peer, directory)
  if (found)
    others.push({
      name: `${peer.split('@')[0]} ${found.version}`,
      running: stack.use(await startPeer(peer, directory)),
    })
  else console.log(`${peer} is left out: npm did not fetch it`)
}

const contender = (name: string, { pid, endpoint }: Running, wire: 'stdio' | 'http'): Contender => {
  return { name, pid, target: endpoint(wire) }
}
const stdio = [
  { name: LOOP, target: { command: ECHO } },
  contender(BARE, bare, 'stdio'),
  contender(OURS, ours, 'stdio'),
  ...others.map(({ name, running }) => contender(name, running, 'stdio')),
]
const http = [contender(DIRECT, upstream, 'http'), contender(OURS, ours, 'http')]

console.log(
  `\n${CALLERS} callers, ${ROUNDS} rounds of ${SECONDS} s, ${onPostgres ? 'PostgreSQL' : 'embedded database'}; medians. CPU: of the named process, a call.`,
)
for (const era of ERAS) {
  const clients = era === 'modern' ? 'clients of 2026-07-28' : 'clients of 2025-11-25 with sessions'
  const figures = await compare(stdio, era, CALLERS)
  show(`Upstream over stdio, ${clients}`, figures, [LOOP, BARE, ...others.slice(0, 1).map(({ name }) => name)])
  show(`Upstream over HTTP, ${clients}`, await compare(http, era, CALLERS), [DIRECT])
}
console.log('\nOne call at a time')
for (const era of ERAS) {
  showLatency(
    `stdio, ${era}`,
    await compare(
      stdio.filter(({ name }) => name === LOOP || name === OURS),
      era,
      1,
    ),
    LOOP,
  )
  showLatency(`HTTP, ${era}`, await compare(http, era, 1), DIRECT)
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
