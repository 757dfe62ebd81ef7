/** What upstreams cost that nobody calls, and what one does that lists 100,000 tools. */
import { join } from 'node:path'
import { follow } from '../support/command.ts'
import { exchangeOf, startGateway } from '../support/gateway.ts'
import { startOurs } from './peers.ts'
import { memoryOf } from './processor.ts'

const HEAVY = [join(import.meta.dir, '../support/heavy-server.ts'), '--tools', '100000']

/** @returns for each wire, for how many milliseconds the event loop was blocked at most while the tools were listed. */
export async function longestBlocks(): Promise<Record<'stdio' | 'http', number>> {
  const http = Bun.spawn([process.execPath, ...HEAVY, '--http'], { stdout: 'pipe', stderr: 'inherit' })
  const [, url] = await follow(http.stdout).until(/listening on (\S+)\n/)
  const stdio = { command: process.execPath, args: [...HEAVY, '--stdio'] }
  await using front = await startGateway({ stdio, http: { url } })
  const longest = async (endpoint: string) => {
    let before = performance.now()
    let longest = 0
    const watch = setInterval(() => {
      const now = performance.now()
      longest = Math.max(longest, now - before - 1)
      before = now
    }, 1)
    await front.gateway.request(endpoint, exchangeOf('2026', 'tools/list', {}))
    clearInterval(watch)
    return longest
  }
  const blocks = { stdio: await longest('stdio'), http: await longest('http') }
  http.kill()
  await http.exited
  return blocks
}

/** @returns milliseconds until a server with so many more upstreams answers, and its memory in MB. */
export async function startWith(unused: number): Promise<{ ms: number; megabytes: number }> {
  const more = Array.from({ length: unused }, (_, at) => [
    `unused${at}`,
    at % 2 === 0 ? { command: 'nothing', env: { WHO: '${user.sub}' } } : { url: `http://127.0.0.1:9/${at}` },
  ])
  const startedAt = performance.now()
  await using ours = await startOurs('bare', 'http://127.0.0.1:9/', Object.fromEntries(more))
  return { ms: ours.readyAt - startedAt, megabytes: memoryOf(ours.pid) }
}
