/**
 * An MCP server by hand that answers with far too much: `--stdio` (2025-11-25), or `--http` (2026-07-28) on a free port
 * of loopback. It lists `--tools N` tools.
 */
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import type { RpcRequest } from '../../src/gateway/messages.ts'
import { MODERN, SUBSCRIPTION_ID } from '../../src/gateway/protocol.ts'

const { values } = parseArgs({
  options: { stdio: { type: 'boolean' }, http: { type: 'boolean' }, tools: { type: 'string', default: '0' } },
})
const NAMES = ['gigabyte', 'gigabyte_json', 'gigabyte_gzip', 'notifications', 'listening', 'change']
const MIB = 'x'.repeat(1_048_576)
const GIGABYTE = 1_024
const NOTIFICATIONS = 100_000

const capabilities = { tools: { listChanged: true }, resources: { subscribe: true }, logging: {} }
const serverInfo = { name: 'heavy', version: '1.0.0' }
const hints = { resultType: 'complete', ttlMs: 0, cacheScope: 'private' }
const text = (words: string) => ({ resultType: 'complete', content: [{ type: 'text', text: words }] })

const tools = [...NAMES, ...Array.from({ length: Number(values.tools) }, (_, at) => `tool_${at}`)].map(name => ({
  name,
  description: 'A tool among many',
  inputSchema: { type: 'object' },
}))

/** Answers to what is small. */
function answer({ id, method }: RpcRequest): object {
  const result = (value: object) => ({ jsonrpc: '2.0', id, result: value })
  if (method === 'initialize') return result({ protocolVersion: '2025-11-25', capabilities, serverInfo })
  if (method === 'server/discover') return result({ ...hints, supportedVersions: [MODERN], capabilities })
  if (method === 'tools/list') return result({ ...hints, tools })
  return { jsonrpc: '2.0', id, error: { code: -32601, message: 'Method not found' } }
}

/** The answer whose text is a gigabyte, in pieces. */
async function* gigabyte(id: unknown): AsyncGenerator<string> {
  yield `{"jsonrpc":"2.0","id":${id},"result":{"content":[{"type":"text","text":"`
  for (let at = 0; at < GIGABYTE; at++) {
    yield MIB
    await sleep(0)
  }
  yield '"}]}}'
}

async function* notifications({ id, params }: RpcRequest): AsyncGenerator<string> {
  const { progressToken } = (params as { _meta: { progressToken: unknown } })._meta
  const progress = (at: number) => ({ method: 'notifications/progress', params: { progressToken, progress: at } })
  const log = (at: number) => ({ method: 'notifications/message', params: { level: 'info', data: `line ${at}` } })
  for (let at = 0; at < NOTIFICATIONS; at += 500) {
    for (let each = at; each < at + 500; each++)
      yield JSON.stringify({ jsonrpc: '2.0', ...(each % 2 === 0 ? progress(each) : log(each)) })
    await sleep(0)
  }
  yield JSON.stringify({ jsonrpc: '2.0', id, result: text('at last') })
}

if (values.stdio) {
  const write = async (piece: string) => {
    if (!process.stdout.write(piece)) await new Promise(resolve => process.stdout.once('drain', resolve))
  }
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line) as RpcRequest
    if (request.id === undefined) continue
    const name = request.method === 'tools/call' ? request.params?.name : undefined
    if (name === 'gigabyte') for await (const piece of gigabyte(request.id)) await write(piece)
    else if (name === 'notifications') for await (const message of notifications(request)) await write(`${message}\n`)
    else await write(JSON.stringify(answer(request)))
    await write('\n')
  }
}

let opened = 0
const listening = new Set<(message: object) => void>()

function listen({ id, params }: RpcRequest, { signal }: Request): Response {
  const encoder = new TextEncoder()
  const asked = (params as { notifications: object }).notifications
  const tag = { _meta: { [SUBSCRIPTION_ID]: id } }
  opened++
  const body = new ReadableStream({
    start(controller) {
      const send = (message: object) => controller.enqueue(encoder.encode(`data: ${JSON.stringify(message)}\n\n`))
      listening.add(send)
      signal.addEventListener('abort', () => listening.delete(send))
      const method = 'notifications/subscriptions/acknowledged'
      send({ jsonrpc: '2.0', method, params: { notifications: asked, ...tag } })
    },
  })
  return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } })
}

function stream(pieces: AsyncIterable<string>, wrap: (piece: string) => string, type: string): Response {
  const encoder = new TextEncoder()
  const iterator = pieces[Symbol.asyncIterator]()
  const body = new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next()
      if (done) controller.close()
      else controller.enqueue(encoder.encode(wrap(value)))
    },
  })
  return new Response(body, { headers: { 'Content-Type': type } })
}

async function* event(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  yield 'data: '
  yield* pieces
  yield '\n\n'
}

/** A member of gzip of 16 MiB, as often as it takes: gzip allows that. */
function zipped(): Response {
  const member = gzipSync(MIB.repeat(16))
  let left = GIGABYTE / 16
  const body = new ReadableStream({
    pull(controller) {
      if (left-- === 0) controller.close()
      else controller.enqueue(member)
    },
  })
  return new Response(body, { headers: { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' } })
}

function call(request: RpcRequest): Response {
  const { id, params } = request
  const as = (piece: string) => piece
  switch (params?.name) {
    case 'gigabyte':
      return stream(event(gigabyte(id)), as, 'text/event-stream')
    case 'gigabyte_json':
      return stream(gigabyte(id), as, 'application/json')
    case 'gigabyte_gzip':
      return zipped()
    case 'notifications':
      return stream(notifications(request), message => `data: ${message}\n\n`, 'text/event-stream')
    case 'change':
      for (const send of listening) send({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
      return Response.json({ jsonrpc: '2.0', id, result: text('changed') })
    default:
      return Response.json({ jsonrpc: '2.0', id, result: text(JSON.stringify({ opened, open: listening.size })) })
  }
}

if (values.http) {
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    idleTimeout: 0,
    async fetch(http) {
      const request = (await http.json()) as RpcRequest
      if (request.method === 'subscriptions/listen') return listen(request, http)
      return request.method === 'tools/call' ? call(request) : Response.json(answer(request))
    },
  })
  console.log(`listening on http://127.0.0.1:${server.port}/mcp`)
}
