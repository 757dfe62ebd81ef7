/** An HTTP upstream of 2026-07-28 whose tools misbehave as their names say. */
import { gzipSync } from 'node:zlib'
import { MODERN, SERVER_INFO } from '../../src/gateway/protocol.ts'

type Misbehaviour = (
  request: { id: number; params: Record<string, unknown> },
  http: Request,
  /** Of the other end of the connection. */
  port: number,
) => Response | Promise<Response>

const SECRET = 'words of the upstream'
const json = (body: unknown, init?: ResponseInit) =>
  new Response(JSON.stringify(body), { ...init, headers: { 'Content-Type': 'application/json', ...init?.headers } })
const answer = (id: unknown, words: string) => ({
  jsonrpc: '2.0',
  id,
  result: { resultType: 'complete', content: [{ type: 'text', text: words }] },
})
const event = (message: unknown) => `data: ${JSON.stringify(message)}\n\n`
const never = () => new Promise<Response>(() => {})

function stream(chunks: Iterable<string> | AsyncIterable<string>, encoding?: string): Response {
  const encoder = new TextEncoder()
  const body = new ReadableStream({
    async start(controller) {
      for await (const chunk of chunks) controller.enqueue(encoder.encode(chunk))
      controller.close()
    },
  })
  return new Response(body, {
    headers: { 'Content-Type': 'text/event-stream', ...(encoding ? { 'Content-Encoding': encoding } : {}) },
  })
}

async function* openEnded(first: string): AsyncGenerator<string> {
  yield first
  await new Promise(() => {})
}

/** @param elsewhere The target of redirects. @param hasEnded Called when somebody has cut off a stream without an end. */
function misbehaviours(elsewhere: string, hasEnded: () => void): Record<string, Misbehaviour> {
  return {
    fine: ({ id }) => json(answer(id, 'fine')),
    headers: ({ id }, { headers }) => json(answer(id, JSON.stringify(Object.fromEntries(headers)))),
    status_401: () => new Response(SECRET, { status: 401, headers: { 'WWW-Authenticate': 'Bearer' } }),
    status_403: () => json({ jsonrpc: '2.0', id: null, error: { code: -32000, message: SECRET } }, { status: 403 }),
    status_307: () => Response.redirect(elsewhere, 307),
    status_500: () => new Response(`<p>${SECRET}</p>`, { status: 500, headers: { 'Set-Cookie': 'a=b' } }),
    html: () => new Response(`<p>${SECRET}</p>`, { headers: { 'Content-Type': 'text/html', 'Set-Cookie': 'a=b' } }),
    not_json: () => new Response(SECRET, { headers: { 'Content-Type': 'application/json' } }),
    silence: never,
    silence_in_stream: () => stream(openEnded(':\n\n')),
    cut: ({ id }) =>
      stream([event({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: id, progress: 1 } })]),
    look_alike_id: ({ id }) => json(answer(String(id), SECRET)),
    foreign_id: ({ id }) => stream([event(answer(id + 1_000, SECRET)), event(answer(id, 'mine'))]),
    repeated: ({ id }) => stream([event(answer(id, 'first')), event(answer(id, 'second'))]),
    no_object: ({ id }) => json({ jsonrpc: '2.0', id, result: 7 }),
    unasked: ({ id }) =>
      stream([event({ jsonrpc: '2.0', id: 'x', method: 'roots/list' }), event(answer(id, 'anyway'))]),
    one_line: ({ id }) =>
      stream([`data: {"jsonrpc":"2.0","id":${id},"result":{"x":"`, ...repeat('x'.repeat(65_536), 64)]),
    large_json: ({ id }) => json(answer(id, 'x'.repeat(4_000_000))),
    bomb: () =>
      new Response(gzipSync(Buffer.alloc(50_000_000, 32)), {
        headers: { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' },
      }),
    zipped: ({ id }) =>
      new Response(gzipSync(JSON.stringify(answer(id, 'unzipped'))), {
        headers: { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' },
      }),
    flood: ({ id }) => stream(flood(id)),
    port: ({ id }, _, port) => stream(endingLater(event(answer(id, `${port}`)))),
    endless: ({ id }) => endless(event(answer(id, 'enough')), `:${'x'.repeat(1_000)}\n\n`, hasEnded),
    left_open: ({ id }) => endless(event(answer(id, 'enough')), '', hasEnded),
  }
}

function* repeat(text: string, times: number): Generator<string> {
  for (let i = 0; i < times; i++) yield text
}

async function* endingLater(only: string): AsyncGenerator<string> {
  yield only
  await Bun.sleep(5)
}

/** @param rest What follows, again and again; nothing: silence. */
function endless(first: string, rest: string, cancel: () => void): Response {
  const body = new ReadableStream<string>({
    start: controller => controller.enqueue(first),
    async pull(controller) {
      await Bun.sleep(0)
      if (rest) controller.enqueue(rest)
      else await new Promise(() => {})
    },
    cancel,
  })
  return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } })
}

async function* flood(id: number): AsyncGenerator<string> {
  for (let i = 0; i < 100_000; i += 1_000) {
    let chunk = ''
    for (let j = i; j < i + 1_000; j++)
      chunk += event({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: id, progress: j } })
    yield chunk
  }
  yield event(answer(id, 'at last'))
}

export interface HostileHttp extends Disposable {
  url: string
  /** How often each tool was called. */
  calls: Map<string, number>
  /** Requests that followed a redirect. */
  strayed(): number
  /** How many endless streams were cut off. */
  cut(): number
  /** Tools that are listed besides those that misbehave. */
  tools: unknown[]
}

export function startHostileHttp(): HostileHttp {
  const calls = new Map<string, number>()
  const tools: unknown[] = []
  let strayed = 0
  let cut = 0
  const elsewhere = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch() {
      strayed++
      return new Response()
    },
  })
  const acts = misbehaviours(`http://127.0.0.1:${elsewhere.port}/`, () => cut++)
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    idleTimeout: 0,
    async fetch(request, http) {
      const { id, method, params } = (await request.json()) as {
        id: number
        method: string
        params: Record<string, unknown>
      }
      const _meta = { [SERVER_INFO]: { name: 'hostile', version: '1' } }
      const hints = { resultType: 'complete', ttlMs: 0, cacheScope: 'private', _meta }
      if (method === 'server/discover')
        return json({
          jsonrpc: '2.0',
          id,
          result: { ...hints, supportedVersions: [MODERN], capabilities: { tools: {} } },
        })
      if (method === 'tools/list') {
        const own = Object.keys(acts).map(name => ({ name, inputSchema: { type: 'object' } }))
        return json({ jsonrpc: '2.0', id, result: { ...hints, tools: [...own, ...tools] } })
      }
      // An answer to what it asked.
      if (method === undefined) return new Response(null, { status: 202 })
      const name = String(params.name)
      calls.set(name, (calls.get(name) ?? 0) + 1)
      return acts[name]!({ id, params }, request, http.requestIP(request)?.port ?? 0)
    },
  })
  return {
    url: `http://127.0.0.1:${server.port}/mcp`,
    calls,
    strayed: () => strayed,
    cut: () => cut,
    tools,
    [Symbol.dispose]() {
      void server.stop(true)
      void elsewhere.stop(true)
    },
  }
}
