/**
 * A connection over the pipes of a child process: JSON-RPC messages, one per line, in both directions. peer.ts matches
 * answers to requests; here they only show whether the child is in use.
 */
import { type Connection, type ConnectionEvents, type Failure, fail, UpstreamFailure } from './connection.ts'
import type { Transport } from './expand.ts'
import { splitLines } from './lines.ts'
import { parseAnswer } from './long-lists.ts'
import { type Id, isMessage, isObject, isRequest, isResponse, type Message } from './messages.ts'
import { paceOf } from './pace.ts'
import type { ManagedChild, Supervisor } from './supervisor.ts'

export interface StdioSpec extends Omit<Extract<Transport, { type: 'stdio' }>, 'type'> {
  upstream: string
  /** `user:<id>`, `client:<id>`, or `SHARED` of supervisor.ts. */
  principal: string
  /** Maximum size of one message, in either direction. */
  maxBytes: number
  /** Maximum number of items in a list. */
  maxItems: number
  /** Milliseconds without use until the child is ended; absent or 0: never. */
  idleTimeout?: number
  /** Whether it is in use although no request is waiting, for instance by a subscription. */
  inUse?(): boolean
}

export interface StdioConnection extends Connection {
  readonly pid: number
}

/** How long to read a child's remaining output after it exits or closes a pipe, in milliseconds. */
const LAST_WORDS = 200

/**
 * Starts the command. Resolves when the process runs, whether or not it speaks MCP.
 *
 * @throws UpstreamFailure `start_failed` or `busy`; `onClose` has been called with the same.
 */
export async function openStdio(
  supervisor: Supervisor,
  { maxBytes, maxItems, inUse, ...spec }: StdioSpec,
  events: ConnectionEvents,
): Promise<StdioConnection> {
  /** Requests without an answer, and their methods. */
  const waiting = new Map<Id, string>()
  /** Until its first message, a child counts as in use by the caller that started it. */
  let isNew = true
  const isUsed = () => isNew || waiting.size > 0 || (inUse?.() ?? false)
  let reader: { stop(): void } | undefined
  let closed: Failure | undefined
  const close = (failure: Failure) => {
    if (closed) return
    closed = failure
    waiting.clear()
    reader?.stop()
    events.onClose(failure)
  }
  let child: ManagedChild
  try {
    // A child that is being ended takes no more calls, although it may run for a few more seconds.
    const onEnding = (why: string) => close({ reason: 'cancelled', detail: why })
    child = await supervisor.start({ ...spec, inUse: isUsed, onEnding })
  } catch (error) {
    if (error instanceof UpstreamFailure) close(error.failure)
    throw error
  }
  const parse = (line: string) => parseLine(line, id => waiting.get(id), maxItems)
  reader = readMessages(child, maxBytes, parse, {
    message(message, bytes) {
      // Unsolicited messages do not count as use.
      if (isResponse(message)) {
        waiting.delete(message.id)
        child.touch()
      }
      events.onMessage(message, bytes)
    },
    malformed(id) {
      waiting.delete(id)
      events.onFailure?.(id, { reason: 'malformed', detail: 'the answer is neither a result nor an error' })
    },
    tooLarge() {
      close({ reason: 'too_large', detail: `a message exceeds ${maxBytes} bytes` })
      child.stdout.destroy()
      void child.end('wrote a message that is too large')
    },
    strange(line, count) {
      const fields = { upstream: spec.upstream, pid: child.pid }
      if (count === 1) supervisor.log.warn({ ...fields, line }, 'upstream wrote a line to stdout that is not a message')
      else supervisor.log.warn({ ...fields, lines: count }, 'upstream wrote lines to stdout that are not messages')
    },
  })
  const write = writeMessages(child, maxBytes)
  void watchEnd(child).then(detail => {
    // A child that we ended has not failed.
    close({
      reason: child.endedBecause() ? 'cancelled' : 'exited',
      detail: [detail, ...child.stderr().slice(-1)].join('; stderr: '),
    })
    if (child.exit() === undefined) void child.end(detail)
  })
  return {
    pid: child.pid,
    async send(message) {
      if (closed) throw fail(closed.reason, closed.detail)
      write(message)
      isNew = false
      child.touch()
      if (isRequest(message)) waiting.set(message.id, message.method)
      else if ('method' in message && message.method === 'notifications/cancelled')
        waiting.delete(message.params?.requestId as Id)
    },
    async close() {
      close({ reason: 'cancelled', detail: 'the connection was closed' })
      await child.end('its connection was closed')
    },
  }
}

/** Resolves when no more messages can arrive: the process or its output has ended, and remaining output has been read. */
async function watchEnd(child: ManagedChild): Promise<string> {
  const { promise: ended, resolve } = Promise.withResolvers<string>()
  child.stdout.once('end', () => resolve('it closed its standard output'))
  child.stdout.once('close', () => resolve('it closed its standard output'))
  child.stdin.once('error', () => resolve('it closed its standard input'))
  const first = await Promise.race([ended, child.exited])
  await Promise.race([child.closed, new Promise(done => setTimeout(done, LAST_WORDS).unref())])
  return child.endedBecause() ?? child.exit() ?? first ?? 'it has ended'
}

interface MessageEvents {
  message(message: Message, bytes: number): void
  /** A response whose result or error has the wrong form. */
  malformed(id: Id): void
  tooLarge(): void
  /** Called for the first line that is not a message, and at the end with their number, if more than one. */
  strange(line: string, count: number): void
}

function readMessages(
  child: ManagedChild,
  maxBytes: number,
  parse: (line: string) => unknown,
  events: MessageEvents,
): { stop(): void } {
  const pace = paceOf(child.stdout)
  let strange = 0
  let stopped = false
  const take = (value: unknown, bytes: number): boolean => {
    if (isMessage(value)) events.message(value, bytes)
    else if (isObject(value) && value.method === undefined && isId(value.id)) events.malformed(value.id)
    else return false
    return true
  }
  const onLine = (line: string, bytes: number) => {
    if (stopped || line === '' || line === '\r') return
    const value = parse(line)
    // An array is a batch (2025-03-26).
    const taken = Array.isArray(value) ? value.filter(one => take(one, bytes)).length > 0 : take(value, bytes)
    if (taken) return
    pace.wasted(bytes)
    if (++strange === 1) events.strange(line.slice(0, 200), 1)
  }
  const split = splitLines(maxBytes, onLine, events.tooLarge)
  // After stop() output is discarded, so that a child that writes while ending is not blocked.
  child.stdout.on('data', (chunk: Buffer) => {
    if (!stopped) split(chunk)
    pace.read(chunk.length)
  })
  return {
    stop() {
      stopped = true
      if (strange > 1) events.strange('', strange)
    },
  }
}

const isId = (value: unknown): value is Id => typeof value === 'string' || typeof value === 'number'

/** @returns undefined if it is not JSON. Lines that cannot be a message are not parsed, since exceptions are expensive in a flood. */
function parseLine(text: string, ...about: [methodOf: (id: number) => string | undefined, most: number]): unknown {
  if (!/^\s*[{[]/.test(text)) return undefined
  try {
    return parseAnswer(text, ...about)
  } catch {
    return undefined
  }
}

/**
 * Writes the messages of one turn of the event loop together. Queues at most `maxBytes` (or one message) for a child that
 * does not read.
 */
function writeMessages({ stdin }: ManagedChild, maxBytes: number): (message: Message) => void {
  let batch: string[] = []
  let queued = 0
  stdin.on('error', () => {
    // The child no longer reads; its exit is handled elsewhere.
    batch = []
  })
  const flush = () => {
    const text = batch.join('')
    batch = []
    stdin.write(text, () => {
      queued -= text.length
    })
  }
  return message => {
    const line = `${JSON.stringify(message)}\n`
    if (queued > 0 && queued + line.length > maxBytes) throw fail('busy', 'the child does not read its standard input')
    queued += line.length
    if (batch.push(line) === 1) setImmediate(flush)
  }
}
