/**
 * The load of the benchmark, in a process of its own: a number of callers, each of which calls the tool `echo` again as
 * soon as it has its answer. Over HTTP it writes to bare sockets, since a full client would be slower than what it
 * measures; over the pipes of a child it shows what there is to reach. Usage: load.ts JSON; prints JSON.
 */
import { spawn } from 'node:child_process'

export interface Load {
  /** An endpoint, or a command whose pipes are written to. */
  target: { url: string; headers: Record<string, string> } | { command: string[] }
  era: 'modern' | 'session'
  callers: number
  /** That the callers share. */
  sessions: number
  /** The tool's name. */
  tool: string
  seconds: number
}

export interface Measured {
  calls: number
  /** With those of the warm-up. */
  all: number
  seconds: number
  /** Milliseconds of a call: the median, and what 99 of 100 stay under. */
  median: number
  p99: number
}

const TEXT = 'What is the weather in Paris today, and what should I wear when I go out?'
const MODERN = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1.0.0' },
  'io.modelcontextprotocol/clientCapabilities': {},
}
const WARM_UP = 0.3

let lastId = 0
const nextId = () => ++lastId
const request = (id: number, method: string, params: object) => JSON.stringify({ jsonrpc: '2.0', id, method, params })
const initialize = () =>
  request(nextId(), 'initialize', {
    protocolVersion: '2025-11-25',
    clientInfo: { name: 'bench', version: '1.0.0' },
    capabilities: {},
  })
const INITIALIZED = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })

function callOf({ era, tool }: Load): { id: number; text: string } {
  const id = nextId()
  const params = { name: tool, arguments: { text: TEXT }, ...(era === 'modern' ? { _meta: MODERN } : {}) }
  return { id, text: request(id, 'tools/call', params) }
}

function check(answer: string): void {
  if (!answer.includes(TEXT)) throw new Error(`an answer of another kind: ${answer.slice(0, 500)}`)
}

/** Has every caller call until the time is over. @param call Resolves with the answer. */
async function measure(load: Load, callers: ((call: { id: number; text: string }) => Promise<string>)[]) {
  const times: number[] = []
  let all = 0
  const startedAt = performance.now()
  const from = startedAt + WARM_UP * 1000
  const end = from + load.seconds * 1000
  await Promise.all(
    callers.map(async call => {
      for (;;) {
        const before = performance.now()
        if (before > end) return
        check(await call(callOf(load)))
        all++
        if (before > from) times.push(performance.now() - before)
      }
    }),
  )
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.floor(times.length * share)] ?? Number.NaN
  return { calls: times.length, all, seconds: load.seconds, median: at(0.5), p99: at(0.99) }
}

/** One connection that is kept, and carries one request at a time. */
async function openHttp(url: URL) {
  let text = ''
  let waiting: PromiseWithResolvers<string> | undefined
  const socket = await Bun.connect({
    hostname: url.hostname,
    port: Number(url.port),
    socket: {
      data(_, chunk) {
        text += chunk.toString('latin1')
        if (!isWhole(text)) return
        const answer = text
        text = ''
        waiting?.resolve(answer)
      },
      close: () => waiting?.reject(new Error(`the server closed the connection after ${text}`)),
    },
  })
  return (head: string, body: string): Promise<string> => {
    waiting = Promise.withResolvers()
    socket.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`)
    return waiting.promise
  }
}

function isWhole(text: string): boolean {
  const head = text.indexOf('\r\n\r\n')
  if (head < 0) return false
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, head))
  return length
    ? text.length >= head + 4 + Number(length[1])
    : text.startsWith('HTTP/1.1 202') || text.endsWith('\r\n0\r\n\r\n')
}

async function overHttp(load: Load, { url: address, headers }: { url: string; headers: Record<string, string> }) {
  const url = new URL(address)
  const fields = {
    Host: url.host,
    'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream',
    ...headers,
    ...(load.era === 'modern'
      ? { 'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': 'tools/call', 'Mcp-Name': load.tool }
      : {}),
  }
  const headOf = (more: Record<string, string>) =>
    `POST ${url.pathname} HTTP/1.1\r\n${Object.entries({ ...fields, ...more })
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join('')}`
  const heads = load.era === 'modern' ? [headOf({})] : await Promise.all(Array.from({ length: load.sessions }, begin))
  async function begin(): Promise<string> {
    const send = await openHttp(url)
    const id = /\r\nmcp-session-id: (\S+)/i.exec(await send(headOf({}), initialize()))?.[1]
    const head = headOf({ 'MCP-Protocol-Version': '2025-11-25', ...(id === undefined ? {} : { 'Mcp-Session-Id': id }) })
    await send(head, INITIALIZED)
    return head
  }
  const callers = await Promise.all(
    Array.from({ length: load.callers }, async (_, at) => {
      const send = await openHttp(url)
      return ({ text }: { text: string }) => send(heads[at % heads.length]!, text)
    }),
  )
  return measure(load, callers)
}

async function overPipes(load: Load, [command, ...args]: string[]) {
  const child = spawn(command!, args, { stdio: ['pipe', 'pipe', 'ignore'] })
  const waiting = new Map<number, (answer: string) => void>()
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      const { id } = JSON.parse(line)
      waiting.get(id)?.(line)
      waiting.delete(id)
    }
  })
  let batch: string[] = []
  const send = ({ id, text }: { id: number; text: string }) => {
    const { promise, resolve } = Promise.withResolvers<string>()
    waiting.set(id, resolve)
    if (batch.push(text, '\n') === 2)
      queueMicrotask(() => {
        child.stdin.write(batch.join(''))
        batch = []
      })
    return promise
  }
  if (load.era === 'session') {
    await send({ id: lastId + 1, text: initialize() })
    child.stdin.write(`${INITIALIZED}\n`)
  }
  const measured = await measure(load, Array<typeof send>(load.callers).fill(send))
  child.kill()
  return measured
}

const load: Load = JSON.parse(process.argv[2]!)
const { target } = load
const measured: Measured = 'url' in target ? await overHttp(load, target) : await overPipes(load, target.command)
console.log(JSON.stringify(measured))
process.exit(0)
