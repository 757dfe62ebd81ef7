/** Child processes of the gateway in tests: connections that collect messages, and whether a process is alive. */
import { resolve } from 'node:path'
import type { ConnectionEvents, Failure } from '../../src/gateway/connection.ts'
import type { Id, Message, RpcResponse } from '../../src/gateway/messages.ts'
import { openStdio, type StdioSpec } from '../../src/gateway/stdio.ts'
import type { Supervisor } from '../../src/gateway/supervisor.ts'
import type { Log } from '../../src/lib/log.ts'
import { openLog } from '../../src/lib/log.ts'

export const CHILD = resolve(import.meta.dir, 'stdio-child.ts')

export const childSpec = (mode = '', more: Partial<StdioSpec> = {}): StdioSpec => ({
  upstream: 'files',
  principal: 'user:u1',
  command: process.execPath,
  args: [CHILD, mode],
  env: { PATH: process.env.PATH ?? '' },
  maxItems: 1000,
  maxBytes: 10_485_760,
  ...more,
})

export interface Line {
  level: number
  msg: string
  [field: string]: unknown
}

/** A log that keeps its lines. */
export function keptLog(): { log: Log; lines: Line[] } {
  const lines: Line[] = []
  const log = openLog('debug')
  const keep = (level: number) => (fields: object, msg: string) => void lines.push({ level, msg, ...fields })
  Object.assign(log, { debug: keep(20), info: keep(30), warn: keep(40), error: keep(50) })
  return { log, lines }
}

/** A connection whose responses can be awaited. */
export async function connect(supervisor: Supervisor, spec: StdioSpec) {
  const messages: Message[] = []
  const failures: [Id, Failure][] = []
  const closed = Promise.withResolvers<Failure>()
  let closes = 0
  let heard = Promise.withResolvers<void>()
  const notice = () => {
    heard.resolve()
    heard = Promise.withResolvers()
  }
  const events: ConnectionEvents = {
    onMessage(message) {
      messages.push(message)
      notice()
    },
    onFailure(id, failure) {
      failures.push([id, failure])
      notice()
    },
    onClose(failure) {
      closes++
      closed.resolve(failure)
      notice()
    },
  }
  const connection = await openStdio(supervisor, spec, events)
  let ids = 0
  return {
    ...connection,
    messages,
    failures,
    closed: closed.promise,
    closes: () => closes,
    /** Resolves at the next message, failure or end. */
    heard: () => heard.promise,
    /** Sends a request and waits for its response. @throws the failure, if the connection closes first. */
    async call(method: string, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
      const id = ++ids
      await connection.send({ jsonrpc: '2.0', id, method, params })
      for (;;) {
        const answer = messages.find((message): message is RpcResponse => !('method' in message) && message.id === id)
        if (answer) return 'result' in answer ? answer.result : { ...answer.error }
        if (closes > 0) throw new Error((await closed.promise).reason)
        await heard.promise
      }
    },
  }
}

/** Whether a process is alive; a zombie is not. */
export function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  const { stdout } = Bun.spawnSync(['ps', '-o', 'stat=', '-p', String(pid)])
  return !/^Z|^$/.test(stdout.toString().trim())
}
