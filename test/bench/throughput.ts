/**
 * Measures what clients do most: requests a second and, above all, the time of the processor for each, of the server and
 * of PostgreSQL, since a machine is never quiet. Beside it in the same run is `floor.ts`, a bare handler that does the least.
 * Usage: bun run bench [--rounds N] [--seconds N] [--only case,case] [--contenders floor,postgres,embedded] [--binary PATH]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { binary as compiled } from '../support/binary.ts'
import { startCluster } from '../support/with-postgres.ts'
import { CASES, type Case, type CaseName } from './cases.ts'
import { type Contender, startFloor, startOurs } from './contenders.ts'
import { cpuOf, cpuOfFamily } from './processor.ts'
import { load, type Measured } from './wrk.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    only: { type: 'string', default: Object.keys(CASES).join() },
    contenders: { type: 'string', default: 'floor,postgres,embedded' },
    binary: { type: 'string' },
  },
})
const ROUNDS = Number(values.rounds)
const SECONDS = Number(values.seconds)
const CONNECTIONS = 64
const WARM_UP = 1

export interface Figures extends Measured {
  /** Microseconds of the processor for a request. */
  server: number
  database: number
}

await using stack = new AsyncDisposableStack()
const directory = mkdtempSync(join(tmpdir(), 'bench-'))
stack.defer(() => rmSync(directory, { recursive: true, force: true }))
const binary = values.binary ?? compiled()
const cluster = await startCluster()
stack.defer(() => cluster.remove())

const starters: Record<string, () => Promise<Contender>> = {
  floor: () => startFloor(cluster),
  postgres: () => startOurs(binary, cluster),
  embedded: () => startOurs(binary, undefined),
}
const contenders: Contender[] = []
for (const name of values.contenders.split(',')) contenders.push(stack.use(await starters[name]!()))

/** The next unused row of each contender. */
const nextRow = new Map<Contender, number>()

async function run(contender: Contender, name: CaseName, seconds: number): Promise<Figures> {
  const { title, reuse, refused, requests }: Case = CASES[name]
  const count = reuse === 'once' ? contender.fastest * seconds : 0
  const from = nextRow.get(contender) ?? 1
  nextRow.set(contender, from + count)
  if (count > 0) await contender.seed(name, from, count)
  const prepared = requests(contender.target, from, count)
  const time = () => ({
    server: cpuOf(contender.pid),
    database: contender.postmaster ? cpuOfFamily(contender.postmaster) : 0,
  })
  const before = time()
  const measured = await load(contender.url, prepared, {
    ...{ file: join(directory, 'requests'), reuse, seconds, connections: CONNECTIONS },
  })
  const after = time()
  const expected = refused ? measured.requests : 0
  // Some answers may be missing that were on their way when the time was over.
  if (Math.abs(measured.refused - expected) > CONNECTIONS)
    throw new Error(`${title} by ${contender.name}: ${measured.refused} of ${measured.requests} answers are errors`)
  const each = (from: number, to: number) => ((to - from) / measured.requests) * 1e6
  return { ...measured, server: each(before.server, after.server), database: each(before.database, after.database) }
}

const middle = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN
const show = (value: number, digits = 0) =>
  value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits })

const names = values.only.split(',') as CaseName[]
for (const name of names) {
  const rounds = new Map<Contender, Figures[]>(contenders.map(contender => [contender, []]))
  for (const contender of contenders) await run(contender, name, WARM_UP)
  for (let round = 0; round < ROUNDS; round++)
    for (const contender of contenders) rounds.get(contender)!.push(await run(contender, name, SECONDS))
  for (const [contender, figures] of rounds) {
    const of = (key: keyof Figures) => middle(figures.map(figure => figure[key]))
    console.log(
      `${CASES[name].title.padEnd(34)} ${contender.name.padEnd(11)} ${show(of('server')).padStart(5)} + ${show(of('database')).padStart(4)} µs  ${show(of('perSecond')).padStart(7)} /s  p50 ${show(of('p50'), 2)} p99 ${show(of('p99'), 2)} ms`,
    )
  }
}
