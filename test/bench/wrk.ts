/** The load generator: `wrk` in a process of its own. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Reuse } from './cases.ts'

export interface Measured {
  requests: number
  perSecond: number
  /** Milliseconds. */
  p50: number
  p99: number
  /** Answers with an error status. */
  refused: number
}

/** Sends requests for some seconds. @param file A file that may be overwritten. @throws if connections break. */
export async function load(
  url: string,
  requests: readonly string[],
  { file, reuse, seconds, connections }: { file: string; reuse: Reuse; seconds: number; connections: number },
): Promise<Measured> {
  writeFileSync(file, requests.map(request => `${Buffer.byteLength(request)}\n${request}`).join(''))
  const script = join(import.meta.dir, 'requests.lua')
  const child = Bun.spawn(
    ['wrk', '-t1', `-c${connections}`, `-d${seconds}`, '--latency', '-s', script, url, '--', file, reuse],
    { stdout: 'pipe', stderr: 'inherit' },
  )
  const text = await child.stdout.text()
  const line = text.split('\n').findLast(line => line.startsWith('{'))
  if ((await child.exited) !== 0 || line === undefined) throw new Error(`wrk failed: ${text}`)
  const { requests: sent, microseconds, p50, p99, refused, broken } = JSON.parse(line)
  if (broken > 0) throw new Error(`${broken} connections broke`)
  return { requests: sent, perSecond: sent / (microseconds / 1e6), p50: p50 / 1000, p99: p99 / 1000, refused }
}
