/**
 * Measures whether requests cost more as the server fills: with rows, devices that wait, people, sessions and streams. What
 * is shown is the processor time of a request, of the server and of PostgreSQL, beside the bare handler of `floor.ts` at the
 * same moment, whose tables do not grow.
 * Usage: bun run bench:growth [--rows N,N] [--open N,N] [--seconds N] [--rounds N] [--binary PATH] [--out PATH]
 * --out writes PATH.json and PATH.svg.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { binary as compiled } from '../support/binary.ts'
import { startCluster } from '../support/with-postgres.ts'
import { CASES, type Case, type CaseName } from './cases.ts'
import { type Contender, type Ours, openSession, send, startFloor, startOurs } from './contenders.ts'
import { fillTo, sizesOf } from './grown.ts'
import { openIdleStream } from './idle-stream.ts'
import { measureMemory } from './memory.ts'
import type { Memory } from './memory-probe.ts'
import { cpuOf, cpuOfFamily } from './processor.ts'
import { curveOf, machine, middle } from './report.ts'
import { load } from './wrk.ts'

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000,100000,1000000' },
    open: { type: 'string', default: '1,100,1000,9900' },
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
    binary: { type: 'string' },
    out: { type: 'string' },
  },
})
const [SECONDS, ROUNDS] = [Number(values.seconds), Number(values.rounds)]
const numbers = (list: string) => list.split(',').map(Number)
/** A connection may have 64 streams and 32 sessions, a person 256, and a server 10,000. */
const PER_PERSON = 32

interface Measured {
  grown: string
  count: number
  case: string
  /** Microseconds of the processor. */
  server: number
  database: number
  floor: number
}

await using stack = new AsyncDisposableStack()
const directory = mkdtempSync(join(tmpdir(), 'bench-'))
stack.defer(() => rmSync(directory, { recursive: true, force: true }))
const cluster = await startCluster({ settings: ['max_wal_size=4GB'] })
stack.defer(() => cluster.remove())
const floor = stack.use(await startFloor(cluster))
const startServer = () => startOurs(values.binary ?? compiled(), cluster, { LOG_LEVEL: 'warn' })
const ours = stack.use(await startServer())
const nextRow = new Map<Contender, number>()
const measured: Measured[] = []

/** @param among Sends what the first rows allow again and again, instead of using each row once. */
async function costOf(
  contender: Contender,
  name: CaseName,
  among?: number,
): Promise<[server: number, database: number]> {
  const { reuse, most = Number.POSITIVE_INFINITY, requests }: Case = CASES[name]
  const once = reuse === 'once' && among === undefined
  const perRun = Math.floor(most / ROUNDS / numbers(values.rows).length)
  const count = once ? Math.min(4_000 * SECONDS, perRun) : (among ?? 0)
  const from = among === undefined ? (nextRow.get(contender) ?? 20_001) : 1
  if (once) {
    nextRow.set(contender, from + count)
    await contender.seed(name, from, count)
  }
  const time = () => [cpuOf(contender.process.pid), cpuOfFamily(contender.postmaster!)] as const
  const before = time()
  const { requests: sent } = await load(contender.url, requests(contender.target, from, count), {
    ...{ file: join(directory, 'requests'), reuse: once ? 'once' : 'again', seconds: SECONDS, connections: 64 },
  })
  const after = time()
  return [((after[0] - before[0]) / sent) * 1e6, ((after[1] - before[1]) / sent) * 1e6]
}

/** Measures one case in turns with the floor. */
async function measure(
  grown: string,
  count: number,
  name: CaseName,
  { among, server: asked = ours }: { among?: number; server?: Ours } = {},
): Promise<void> {
  const rounds: Pick<Measured, 'server' | 'database' | 'floor'>[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const [server, database] = await costOf(asked, name, among)
    const least = await costOf(floor, name, among)
    rounds.push({ server, database, floor: least[0] + least[1] })
  }
  const of = (key: 'server' | 'database' | 'floor') => Math.round(middle(rounds.map(round => round[key])))
  const row = {
    grown,
    count,
    case: CASES[name].title,
    server: of('server'),
    database: of('database'),
    floor: of('floor'),
  }
  measured.push(row)
  const ratio = (row.server + row.database) / row.floor
  console.log(
    `${grown} ${count}: ${row.case}: ${row.server} + ${row.database} µs, floor ${row.floor}, ${ratio.toFixed(1)} x`,
  )
}

/** Opens one after the other, fifty at once, and goes on at each of the numbers to measure at. */
async function grow(open: (n: number) => Promise<unknown>, atCount: (count: number) => Promise<void>): Promise<void> {
  let at = 0
  for (const count of numbers(values.open)) {
    for (; at < count; at += 50) {
      const batch = Array.from({ length: Math.min(50, count - at) }, (_, i) => at + i)
      await Promise.all(batch.map(open))
    }
    at = count
    await atCount(count)
  }
}

/** Opens sessions, and then a stream in each, and measures a call beside them. */
async function measureIdle(): Promise<void> {
  const tokens: string[] = []
  const sessions: string[] = []
  const streams: { close(): void }[] = []
  stack.defer(() => {
    for (const stream of streams) stream.close()
  })
  const tokenOf = (n: number) => (tokens[Math.floor(n / PER_PERSON)] ??= ours.tokenOf(Math.floor(n / PER_PERSON)))
  await grow(
    async n => {
      sessions[n] = await openSession(ours.url, tokenOf(n))
    },
    count => measure('sessions', count, 'callSession'),
  )
  await grow(
    async n => {
      streams[n] = await openIdleStream(ours.url, tokenOf(n), sessions[n]!)
    },
    async count => {
      for (const name of ['callModern', 'callSession'] as const) await measure('streams', count, name)
    },
  )
}

/** Measures calls of people who take turns, each in a session of their own. */
async function measurePeople(): Promise<void> {
  await using server = await startServer()
  await server.addPeople(Math.max(...numbers(values.open)))
  await costOf(server, 'callSession') // the runtime compiles what it runs
  const tokens: string[] = []
  const sessions: string[] = []
  Object.assign(server.target, { tokens, sessions })
  await grow(
    async n => {
      const accessToken = server.tokenOf(n)
      tokens[n] = accessToken
      sessions[n] = await openSession(server.url, accessToken)
      // The first call of each reads their row.
      const [call] = CASES.callModern.requests({ ...server.target, accessToken })
      await (await send(server.url, call!)).text()
    },
    count => measure('people', count, 'callSession', { server }),
  )
}

for (const rows of numbers(values.rows)) {
  await fillTo(ours.db, rows)
  for (const name of ['credentials', 'device', 'exchange', 'refresh', 'callModern'] as const)
    await measure('rows', rows, name)
}
const sizes = await sizesOf(ours.db.sql)
for (const contender of [ours, floor]) await contender.seed('poll', 1, 10_000)
for (const count of [1, 100, 10_000]) await measure('devices', count, 'poll', { among: count })
await measurePeople()
await measureIdle()
const bytes = await measureMemory(values.binary ?? compiled(), cluster, directory)
const told = ({ heap, resident }: Memory) =>
  `${(resident / 1024).toFixed(1)} KiB of memory, ${(heap / 1024).toFixed(1)} KiB of them on the heap`
console.log(`a session: ${told(bytes.session)}\nan idle stream: ${told(bytes.stream)}`)

const about = { machine: machine(), date: new Date().toISOString().slice(0, 10), rounds: ROUNDS, seconds: SECONDS }
if (values.out) {
  writeFileSync(`${values.out}.json`, `${JSON.stringify({ ...about, measured, bytes, sizes }, null, 2)}\n`)
  writeFileSync(`${values.out}.svg`, await curveOf(measured, about, directory))
}
