/**
 * Measures what clients do most: requests a second and, above all, the time of the processor for each, of the server and
 * of PostgreSQL, since a machine is never quiet. Beside it in the same run is `floor.ts`, a bare handler that does the least.
 * Afterwards, how long each takes to start, and its memory at rest.
 * Usage: bun run bench [--rounds N] [--seconds N] [--only case,case] [--contenders floor,postgres,...] [--binary PATH] [--publish]
 * --publish writes results.json, results.svg and the table in README.md.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { binary as compiled } from '../support/binary.ts'
import { ROOT } from '../support/command.ts'
import { startCluster } from '../support/with-postgres.ts'
import { CASES, type Case, type CaseName } from './cases.ts'
import { type Contender, send, startFloor, startOurs } from './contenders.ts'
import { startBetterAuth, startOidcProvider, startSdk } from './npm-contenders.ts'
import { cpuOf, cpuOfFamily, memoryOf } from './processor.ts'
import {
  type Bench,
  chartOf,
  type Figures,
  lineOf,
  machine,
  publishedIn,
  type Result,
  type Start,
  sectionOf,
} from './report.ts'
import { load } from './wrk.ts'

await using stack = new AsyncDisposableStack()
const directory = mkdtempSync(join(tmpdir(), 'bench-'))
stack.defer(() => rmSync(directory, { recursive: true, force: true }))
const cluster = await startCluster()
stack.defer(() => cluster.remove())

const starters: Record<string, (binary: string) => Promise<Contender>> = {
  floor: () => startFloor(cluster),
  postgres: binary => startOurs(binary, cluster),
  embedded: binary => startOurs(binary, undefined),
  'oidc-provider': () => startOidcProvider(cluster),
  'better-auth': () => startBetterAuth(cluster, directory),
  'sdk-2': () => startSdk(2),
  'sdk-1': () => startSdk(1),
}
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    only: { type: 'string', default: Object.keys(CASES).join() },
    contenders: { type: 'string', default: Object.keys(starters).join() },
    binary: { type: 'string' },
    publish: { type: 'boolean', default: false },
  },
})
const ROUNDS = Number(values.rounds)
const SECONDS = Number(values.seconds)
const CONNECTIONS = 64
/** Seconds, until most code is compiled for a long run. What can be sent once has fewer requests to spare. */
const WARM_UP = { again: 5, once: 1 }
/** What a server does soon after its start, such as sweeping, is over by then. */
const SETTLED_MS = 5_000

const binary = values.binary ?? compiled()
const contenders: Contender[] = []
for (const name of values.contenders.split(','))
  try {
    contenders.push(stack.use(await starters[name]!(binary)))
  } catch (error) {
    console.log(`${name} is left out: ${(error as Error).message}`)
  }

/** The next unused row of each contender. */
const nextRow = new Map<Contender, number>()

async function run(contender: Contender, name: CaseName, seconds: number): Promise<Figures> {
  const { title, reuse, most, refused, requests }: Case = CASES[name]
  const perRun = most === undefined ? Number.POSITIVE_INFINITY : Math.floor(most / (ROUNDS + 1))
  const count = reuse === 'once' ? Math.min(contender.fastest * seconds, perRun) : 0
  const from = nextRow.get(contender) ?? 1
  nextRow.set(contender, from + count)
  if (count > 0) await contender.seed(name, from, count)
  const prepared = requests(contender.target, from, count)
  const time = () => ({
    server: cpuOf(contender.process.pid),
    database: contender.postmaster ? cpuOfFamily(contender.postmaster) : 0,
  })
  const before = time()
  const measured = await load(contender.url, prepared, {
    ...{ file: join(directory, 'requests'), reuse, seconds, connections: CONNECTIONS },
  })
  const after = time()
  if (measured.requests === 0) throw new Error(`${title} by ${contender.name}: no answers`)
  const expected = refused ? measured.requests : 0
  // Some answers may be missing that were on their way when the time was over.
  if (Math.abs(measured.refused - expected) > CONNECTIONS)
    throw new Error(`${title} by ${contender.name}: ${measured.refused} of ${measured.requests} answers are errors`)
  const each = (from: number, to: number) => ((to - from) / measured.requests) * 1e6
  return { ...measured, server: each(before.server, after.server), database: each(before.database, after.database) }
}

const results: Result[] = []
for (const name of values.only.split(',') as CaseName[]) {
  const able = contenders.filter(({ cases }) => cases?.includes(name) ?? true)
  const rounds = new Map<Contender, Figures[]>(able.map(contender => [contender, []]))
  for (let round = 0; round <= ROUNDS; round++)
    for (const contender of rounds.keys())
      try {
        const figures = await run(contender, name, round === 0 ? WARM_UP[CASES[name].reuse] : SECONDS)
        if (round > 0) rounds.get(contender)!.push(figures)
      } catch (error) {
        rounds.delete(contender)
        console.log(`${contender.name} is left out of ${name}: ${(error as Error).message}`)
      }
  for (const [{ name: contender }, figures] of rounds) {
    const result = { case: CASES[name].title, contender, rounds: figures }
    results.push(result)
    console.log(lineOf(result))
  }
}

async function startAgain({ url, process, target, first = 'credentials' }: Contender): Promise<number> {
  const [request] = (CASES[first] as Case).requests(target, 1, 0)
  return process.restart(async () => (await send(url, request!)).ok)
}

const starts: Start[] = []
for (const contender of contenders) {
  const { name, process } = contender
  const again: number[] = []
  for (let round = 0; round < ROUNDS; round++) again.push(await startAgain(contender))
  starts.push({ contender: name, first: process.firstStart, again, megabytes: Number.NaN })
}
await Bun.sleep(SETTLED_MS)
for (const [at, { process }] of contenders.entries()) starts[at]!.megabytes = memoryOf(process.pid)

const bench: Bench = {
  ...{ machine: machine(), date: new Date().toISOString().slice(0, 10) },
  ...{ rounds: ROUNDS, seconds: SECONDS, connections: CONNECTIONS, results, starts },
}
console.log(`\n${sectionOf(bench)}`)
if (values.publish) {
  const path = (name: string) => join(import.meta.dir, name)
  writeFileSync(path('results.json'), `${JSON.stringify(bench, null, 2)}\n`)
  writeFileSync(path('results.svg'), await chartOf(results, bench, directory))
  const readme = join(ROOT, 'README.md')
  writeFileSync(readme, publishedIn(readFileSync(readme, 'utf8'), bench))
}
