/**
 * What a session and an idle stream take in memory: the slope over several numbers of them, each after the collection of
 * garbage, in a server that does nothing else. Kernel memory, such as that of sockets, is not in it.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Cluster } from '../support/with-postgres.ts'
import { openSession, startOurs } from './contenders.ts'
import { openIdleStream } from './idle-stream.ts'
import type { Memory } from './memory-probe.ts'

/** A person may have 256 of both, and a server 10,000. */
const PER_PERSON = 32
const STEP = 1_600
/** After the first, in which the runtime compiles what it runs, and reserves room. */
const STEPS = 5
const AT_ONCE = 50

/** @returns bytes of each. */
export async function measureMemory(
  binary: string,
  cluster: Cluster,
  directory: string,
): Promise<{ session: Memory; stream: Memory }> {
  const file = join(directory, 'memory.json')
  const preload = `--preload ${join(import.meta.dir, 'memory-probe.ts')}`
  const more = { LOG_LEVEL: 'warn', BUN_OPTIONS: preload, MEMORY_FILE: file }
  await using server = await startOurs(binary, cluster, more)
  const tokens: string[] = []
  const sessions: string[] = []
  const streams: { close(): void }[] = []
  const tokenOf = (n: number) => (tokens[Math.floor(n / PER_PERSON)] ??= server.tokenOf(Math.floor(n / PER_PERSON)))

  async function probe(): Promise<Memory> {
    process.kill(server.process.pid, 'SIGUSR2')
    for (let times = 0; !existsSync(file); times++) {
      if (times > 1_000) throw new Error('the server does not tell how much memory it takes')
      await Bun.sleep(10)
    }
    const memory: Memory = JSON.parse(readFileSync(file, 'utf8'))
    rmSync(file)
    return memory
  }

  /** Opens more of them, step by step. */
  async function grow(open: (n: number) => Promise<unknown>): Promise<Memory> {
    const points: Memory[] = []
    for (let step = 0; step <= STEPS; step++) {
      for (let at = step * STEP; at < (step + 1) * STEP; at += AT_ONCE)
        await Promise.all(Array.from({ length: AT_ONCE }, (_, one) => open(at + one)))
      points.push(await probe())
    }
    const of = (key: keyof Memory) => slopeOf(points.map(point => point[key])) / STEP
    return { heap: of('heap'), resident: of('resident') }
  }

  const session = await grow(async n => {
    sessions[n] = await openSession(server.url, tokenOf(n))
  })
  const stream = await grow(async n => {
    streams[n] = await openIdleStream(server.url, tokenOf(n), sessions[n]!)
  })
  for (const one of streams) one.close()
  return { session, stream }
}

/** The slope of the line through values at 0, 1, 2 and so on that has the least squares. */
function slopeOf(values: readonly number[]): number {
  const center = (values.length - 1) / 2
  const square = values.reduce((sum, _, at) => sum + (at - center) ** 2, 0)
  return values.reduce((sum, value, at) => sum + (at - center) * value, 0) / square
}
