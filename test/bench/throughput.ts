/**
 * Measures what clients do most: requests a second and, above all, the time of the processor for each, of the server and
 * of PostgreSQL, since a machine is never quiet. Beside it in the same run is `floor.ts`, a bare handler that does the least.
 * Usage: bun run bench [--rounds N] [--seconds N] [--only case,case] [--contenders floor,postgres,embedded,oidc-provider,sdk] [--binary PATH]
 * [--out PATH] writes PATH.json and PATH.svg; README shows test/bench/results.svg.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { binary as compiled } from '../support/binary.ts'
import { startCluster } from '../support/with-postgres.ts'
import { CASES, type Case, type CaseName } from './cases.ts'
import { type Contender, startFloor, startOidcProvider, startOurs, startSdk } from './contenders.ts'
import { cpuOf, cpuOfFamily } from './processor.ts'
import { chartOf, type Figures, lineOf, machine, type Result, tableOf } from './report.ts'
import { load } from './wrk.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    only: { type: 'string', default: Object.keys(CASES).join() },
    contenders: { type: 'string', default: 'floor,postgres,embedded,oidc-provider,sdk' },
    binary: { type: 'string' },
    out: { type: 'string' },
  },
})
const ROUNDS = Number(values.rounds)
const SECONDS = Number(values.seconds)
const CONNECTIONS = 64
const WARM_UP = 1

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
  'oidc-provider': () => startOidcProvider(cluster),
  sdk: () => startSdk(),
}
const contenders: Contender[] = []
for (const name of values.contenders.split(','))
  try {
    contenders.push(stack.use(await starters[name]!()))
  } catch (error) {
    console.log(`${name} is left out: ${(error as Error).message}`)
  }

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

const results: Result[] = []
for (const name of values.only.split(',') as CaseName[]) {
  const able = contenders.filter(({ cases }) => cases?.includes(name) ?? true)
  const rounds = new Map<Contender, Figures[]>(able.map(contender => [contender, []]))
  for (let round = 0; round <= ROUNDS; round++)
    for (const contender of rounds.keys())
      try {
        const figures = await run(contender, name, round === 0 ? WARM_UP : SECONDS)
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
const about = { machine: machine(), date: new Date().toISOString().slice(0, 10), rounds: ROUNDS, seconds: SECONDS }
console.log(`\n${tableOf(results)}`)
if (values.out) {
  writeFileSync(`${values.out}.json`, `${JSON.stringify({ ...about, connections: CONNECTIONS, results }, null, 2)}\n`)
  writeFileSync(`${values.out}.svg`, await chartOf(results, about, directory))
}
