/**
 * Ends child processes that outlived a killed server, and what they started. Every server keeps a file with the pid and
 * start time of each child, and the time of the last look at them; the next server ends those that still run. The times
 * are needed because pids are reused. Containers, or machines, may share the directory: a server leaves alone the files of
 * servers whose pids mean nothing where it runs.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { Log } from '../lib/log.ts'
import { endGroup } from './process-group.ts'
import { type ProcessState, pidSpace, processState, runningProcesses, ticksSinceBoot } from './process-state.ts'

const known = z.object({ pid: z.int().min(2), startedAt: z.string() })
const file = z.object({
  space: z.string(),
  owner: known.extend({ pid: z.int().min(1) }),
  children: z.array(known),
  /** When these children were last known to have process groups of their own, in clock ticks since boot. */
  seenAt: z.int(),
})
type Known = z.output<typeof known>
type Orphan = Known & { seenAt: number }

/** How often `seenAt` is renewed, in milliseconds. */
const LOOK = 5000
/** After how long without a look a file from another container or machine is removed, in milliseconds. */
const FORGOTTEN = 86_400_000

export interface ChildRecord {
  /** Call it first, before anything else is done with a child. */
  add(pid: number): void
  remove(pid: number): void
  /** Resolves when the children of earlier servers have ended. */
  orphansEnded: Promise<void>
  /** Deletes the file; all children must have ended. */
  close(): void
}

const NOTHING: ChildRecord = { add() {}, remove() {}, orphansEnded: Promise.resolve(), close() {} }

/** @param directory Private to this user; created for the first child. */
export function openChildRecord(directory: string, log: Log, now: () => Date, grace?: number): ChildRecord {
  const space = pidSpace()
  const self = processState(process.pid)
  if (!space || !self) return NOTHING
  const orphans = takeOrphans(directory, space, log, now())
  const path = join(directory, `children-${process.pid}-${randomBytes(4).toString('hex')}.json`)
  const children = new Map<number, Known>()
  const owner = { pid: process.pid, startedAt: self.startedAt }
  const write = () => {
    // Replaced atomically: a server killed here leaves either the old list or the new one.
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 })
      const record = { space, owner, children: [...children.values()], seenAt: ticksSinceBoot() }
      writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 })
      renameSync(`${path}.new`, path)
    } catch (error) {
      // A full disk must not stop a child: it would be left behind only if this server were killed.
      log.error({ file: path, err: error }, 'the record of child processes could not be written')
    }
  }
  const looking = setInterval(() => children.size > 0 && write(), LOOK).unref()
  return {
    add(pid) {
      const state = processState(pid)
      if (!state) return
      children.set(pid, { pid, startedAt: state.startedAt })
      write()
    },
    remove(pid) {
      if (children.delete(pid)) write()
    },
    orphansEnded: Promise.all(orphans.map(orphan => endOrphan(orphan, log, grace))).then(() => {}),
    close() {
      clearInterval(looking)
      rmSync(path, { force: true })
    },
  }
}

/** Reads and deletes the records of servers that no longer run. */
function takeOrphans(directory: string, space: string, log: Log, now: Date): Orphan[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory)
    .filter(name => /^children-\d+(-\w+)?\.json$/.test(name))
    .flatMap(name => {
      const path = join(directory, name)
      const left = readRecord(path)
      if (left && (left.space === space ? isProcess(left.owner) : !isForgotten(path, now))) return []
      rmSync(path, { force: true })
      if (!left) log.warn({ file: path }, 'a record of child processes could not be read; it was removed')
      return left?.space === space ? left.children.map(child => ({ ...child, seenAt: left.seenAt })) : []
    })
}

function readRecord(path: string): z.output<typeof file> | undefined {
  try {
    return file.safeParse(JSON.parse(readFileSync(path, 'utf8'))).data
  } catch {
    return undefined
  }
}

/** Of a server that runs elsewhere and has children, the file is written again at each look. */
function isForgotten(path: string, now: Date): boolean {
  const written = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
  return now.getTime() - written > FORGOTTEN
}

const isProcess = ({ pid, startedAt }: Known) => processState(pid)?.startedAt === startedAt

/**
 * Whether the group that the child began still has processes. While it has, its id is not given to another process, even
 * after the child has ended. Of a process in the group and in the session that the child began, it is certain that both
 * are the child's and not those of a later process with its pid, if it is older than the last look at the child.
 */
function groupIsLeft({ pid, startedAt, seenAt }: Orphan): boolean {
  const child = processState(pid)
  if (child?.startedAt === startedAt) return child.group === pid
  const isOfChild = (other: ProcessState) =>
    other.group === pid && other.session === pid && Number(other.startedAt) < seenAt
  return runningProcesses()?.some(isOfChild) ?? false
}

async function endOrphan(orphan: Orphan, log: Log, grace?: number): Promise<void> {
  const { pid } = orphan
  if (!groupIsLeft(orphan)) return
  log.warn({ pid }, 'ending a child process left by a killed server')
  if (!(await endGroup(pid, grace === undefined ? {} : { grace })))
    log.error({ pid }, 'a child process could not be ended')
}
