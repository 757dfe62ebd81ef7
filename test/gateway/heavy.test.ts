/** Upstreams that send far too much, and very many listeners and upstreams: memory stays bounded and calls still work. */
// Not on PostgreSQL: it is about memory.

import { heapStats } from 'bun:jsc'
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { join } from 'node:path'
import type { RpcNotification } from '../../src/gateway/messages.ts'
import { follow } from '../support/command.ts'
import { callerOf, exchangeOf, startGateway, type TestGateway } from '../support/gateway.ts'
import { until } from '../support/until.ts'

setDefaultTimeout(300_000)

const HEAVY = join(import.meta.dir, '../support/heavy-server.ts')
const MB = 1_048_576

let http: Bun.Subprocess<'ignore', 'pipe', 'inherit'>
let front: TestGateway
let servers: Record<string, object>

beforeAll(async () => {
  http = Bun.spawn([process.execPath, HEAVY, '--http', '--tools', '100000'], { stdout: 'pipe', stderr: 'inherit' })
  const [, url] = await follow(http.stdout).until(/listening on (\S+)\n/)
  servers = { http: { url }, stdio: { command: process.execPath, args: [HEAVY, '--stdio', '--tools', '100000'] } }
  front = await startGateway(servers)
})
afterAll(async () => {
  await front[Symbol.asyncDispose]()
  http.kill()
  await http.exited
})

const request = (endpoint: string | undefined, method: string, params = {}, more = {}) =>
  front.gateway.request(endpoint, exchangeOf('2026', method, params, more))

/** @returns the result of the work, and by how much the process's memory grew at its peak, in MB. */
async function peakOf<T>(work: () => Promise<T>): Promise<[T, number]> {
  Bun.gc(true)
  const before = process.memoryUsage.rss()
  let peak = before
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss())
  }, 2)
  const result = await work()
  clearInterval(watch)
  return [result, (Math.max(peak, process.memoryUsage.rss()) - before) / MB]
}

test.each([
  ['stdio', 'in one line', 'gigabyte'],
  ['http', 'in one event', 'gigabyte'],
  ['http', 'in JSON of unknown length', 'gigabyte_json'],
  ['http', 'in JSON that gzip made small', 'gigabyte_gzip'],
])('a gigabyte over %s %s is an error, and takes less than 100 MB', async (endpoint, _, name) => {
  await request(endpoint, 'tools/list')
  const [error, megabytes] = await peakOf(() =>
    request(endpoint, 'tools/call', { name, arguments: {} }).catch((reason: Error) => reason),
  )
  expect(error).toMatchObject({
    message: `The server "${endpoint}" sent too much data`,
    data: { reason: 'protocol_error' },
  })
  expect(megabytes).toBeLessThan(100)
})

test.each(['stdio', 'http'])(
  'of 100,000 notifications during a call over %s most are dropped, and the answer arrives',
  async endpoint => {
    const told: RpcNotification[] = []
    const params = { name: 'notifications', arguments: {}, _meta: { progressToken: 'mine' } }
    const more = { notify: (notification: RpcNotification) => void told.push(notification), logLevel: 'debug' }
    const [result, megabytes] = await peakOf(() =>
      front.gateway.request(endpoint, exchangeOf('2025', 'tools/call', params, more)),
    )
    expect(result).toEqual({ content: [{ type: 'text', text: 'at last' }] })
    expect(told.length).toBeGreaterThanOrEqual(1_000)
    expect(told.length).toBeLessThan(20_000)
    expect(megabytes).toBeLessThan(250) // of the whole process, which has run other tests
  },
)

test('of 100,000 tools 1,000 are listed, at each endpoint and in the hub', async () => {
  const namesOf = async (endpoint: string | undefined) => {
    const { tools } = await request(endpoint, 'tools/list')
    return (tools as { name: string }[]).map(({ name }) => name)
  }
  for (const endpoint of ['stdio', 'http']) {
    const names = await namesOf(endpoint)
    expect([names.length, names[0], names.at(-1)]).toEqual([1_000, 'gigabyte', 'tool_993'])
  }
  expect(await namesOf(undefined)).toHaveLength(2_000)
})

describe('upstreams', () => {
  test('get one subscription for 1,000 idle streams, which all hear of a change', async () => {
    const told = new Array<number>(1_000).fill(0)
    const filter = { toolsListChanged: true }
    const listenings = await Promise.all(
      told.map((_, at) =>
        front.gateway.listen('http', callerOf(`user${at}`), filter, () => {
          told[at]!++
        }),
      ),
    )
    const call = async (name: string) => {
      const { content } = await request('http', 'tools/call', { name, arguments: {} })
      return (content as [{ text: string }])[0].text
    }
    expect(JSON.parse(await call('listening'))).toEqual({ opened: 1, open: 1 })
    await call('change')
    await until(() => told.every(times => times === 1))
    for (const listening of listenings) listening.close()
    expect(JSON.parse(await call('listening'))).toEqual({ opened: 1, open: 1 })
  })

  test('that nobody uses take less than 10 MB, 50 of them together', async () => {
    const unused = Array.from({ length: 50 }, (_, at) => [
      `unused${at}`,
      at % 2 === 0 ? { command: 'nothing', env: { WHO: '${user.sub}' } } : { url: `http://127.0.0.1:9/${at}` },
    ])
    Bun.gc(true)
    const before = heapStats().heapSize
    await front.configure({ ...servers, ...Object.fromEntries(unused) })
    expect(front.gateway.endpoints()).toHaveLength(52)
    Bun.gc(true)
    expect((heapStats().heapSize - before) / MB).toBeLessThan(10)
  })
})
