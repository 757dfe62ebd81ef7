/** One child process: started in its own process group, watched, and terminated together with its descendants. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import type { Log } from '../lib/log.ts'
import { fail } from './connection.ts'
import { endGroup } from './process-group.ts'
import { readStderr } from './stderr-lines.ts'

export interface ChildSpec {
  /** The upstream's name, for the log. */
  upstream: string
  /** `user:<id>`, `client:<id>`, or {@link SHARED}. */
  principal: string
  command: string
  args: readonly string[]
  /** The complete environment of the child. */
  env: Readonly<Record<string, string>>
  cwd?: string
}

export interface Child {
  readonly spec: ChildSpec
  readonly pid: number
  readonly stdin: Writable
  readonly stdout: Readable
  /** Resolves when the process itself has exited; its descendants may run a little longer. */
  readonly exited: Promise<void>
  /** Resolves when it has exited and all of its output has been read. */
  readonly closed: Promise<void>
  /** Resolves when the whole process group has ended. */
  readonly gone: Promise<void>
  /** How it exited, for the log. */
  exit(): string | undefined
  /** Ends the group; the reason of the first call is kept. Resolves when the group is gone. */
  end(why: string): Promise<void>
  /** Why we ended it, if we did. */
  endedBecause(): string | undefined
  /** The last lines of standard error. */
  stderr(): string[]
}

/** @throws UpstreamFailure `start_failed`: no such command or directory, no permission, or no more processes allowed. */
export async function startChild(spec: ChildSpec, log: Log, grace?: number): Promise<Child> {
  const process = await spawned(spec)
  const { pid } = process
  const fields = { upstream: spec.upstream, pid }
  const lines = readStderr(process.stderr, {
    line: text => log.info({ ...fields, line: text }, 'upstream stderr'),
    dropped: lines => log.warn({ ...fields, lines }, 'upstream writes too much to stderr; some lines were dropped'),
  })
  let exit: string | undefined
  const exited = new Promise<void>(resolve => {
    process.once('exit', (code, signal) => {
      exit = signal ? `ended by ${signal}` : `exit code ${code}`
      resolve()
    })
  })
  const closed = new Promise<void>(resolve => {
    process.once('close', () => resolve())
  })
  const { promise: gone, resolve: settle } = Promise.withResolvers<void>()
  let because: string | undefined
  let isEnding = false
  const endWhole = async () => {
    if (isEnding) return
    isEnding = true
    const closeInput = () => process.stdin.end()
    const isGone = await endGroup(pid, { ...(grace === undefined ? {} : { grace }), closeInput })
    if (isGone) await exited
    else log.error(fields, 'a child process could not be ended')
    // A process outside the group may still hold the other ends.
    for (const stream of [process.stdin, process.stdout, process.stderr]) stream.destroy()
    settle()
  }
  void exited.then(endWhole)
  return {
    spec,
    pid,
    stdin: process.stdin,
    stdout: process.stdout,
    exited,
    closed,
    gone,
    exit: () => exit,
    end(why) {
      because ??= why
      void endWhole()
      return gone
    },
    endedBecause: () => because,
    stderr: lines.last,
  }
}

type Spawned = ChildProcessWithoutNullStreams & { readonly pid: number }

/** `spawn` reports errors in two ways: thrown, and as an event. */
async function spawned({ command, args, env, cwd }: ChildSpec): Promise<Spawned> {
  const { promise, resolve, reject } = Promise.withResolvers<Spawned>()
  const refuse = (error: unknown) => {
    const { code, message } = error as { code?: string; message?: string }
    const place = cwd === undefined ? '' : ` in ${cwd}`
    reject(fail('start_failed', `"${command}" could not be started${place}: ${message ?? code ?? 'unknown error'}`))
  }
  try {
    const child = spawn(command, args, { env, ...(cwd === undefined ? {} : { cwd }), detached: true, stdio: 'pipe' })
    child.once('error', refuse)
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.on('error', refuse)
    if (child.pid !== undefined) {
      // Later errors come from `kill` and from broken pipes, which the exit and the end of the streams report.
      child.on('error', () => {})
      resolve(child as Spawned)
    }
  } catch (error) {
    refuse(error)
  }
  return promise
}
