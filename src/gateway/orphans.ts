/**
 * Ends child processes that outlived a killed server. Every server keeps a file with the pid and start time of each
 * child; the next server ends those that still run. The start time is needed because pids are reused.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { Log } from '../lib/log.ts'
import { endGroup } from './process-group.ts'
import { pidSpace, processState } from './process-state.ts'

const known = z.object({ pid: z.int().min(2), startedAt: z.string() })
const file = z.object({ space: z.string(), owner: known.extend({ pid: z.int().min(1) }), children: z.array(known) })
type Known = z.output<typeof known>

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

/** @param directory Local to this machine and private to this user. @throws if it is not writable. */
export function openChildRecord(directory: string, log: Log, grace?: number): ChildRecord {
  const space = pidSpace()
  const self = processState(process.pid)
  if (!space || !self) return NOTHING
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const orphans = takeOrphans(directory, space, log)
  const path = join(directory, `children-${process.pid}.json`)
  const children = new Map<number, Known>()
  const owner = { pid: process.pid, startedAt: self.startedAt }
  const write = () => {
    // Replaced atomically: a server killed here leaves either the old list or the new one.
    try {
      writeFileSync(`${path}.new`, JSON.stringify({ space, owner, children: [...children.values()] }), { mode: 0o600 })
      renameSync(`${path}.new`, path)
    } catch (error) {
      // A full disk must not stop a child: it would be left behind only if this server were killed.
      log.error({ file: path, err: error }, 'the record of child processes could not be written')
    }
  }
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
    close: () => rmSync(path, { force: true }),
  }
}

/** Reads and deletes the records of servers that no longer run. */
function takeOrphans(directory: string, space: string, log: Log): Known[] {
  return readdirSync(directory)
    .filter(name => /^children-\d+\.json$/.test(name))
    .flatMap(name => {
      const path = join(directory, name)
      const left = readRecord(path)
      if (left?.space === space && isProcess(left.owner)) return []
      rmSync(path, { force: true })
      if (!left) log.warn({ file: path }, 'a record of child processes could not be read; it was removed')
      return left?.space === space ? left.children : []
    })
}

function readRecord(path: string): z.output<typeof file> | undefined {
  try {
    return file.safeParse(JSON.parse(readFileSync(path, 'utf8'))).data
  } catch {
    return undefined
  }
}

const isProcess = ({ pid, startedAt }: Known) => processState(pid)?.startedAt === startedAt

/** The child leads its own process group, and the group's id cannot be reused while it lives. */
async function endOrphan(orphan: Known, log: Log, grace?: number): Promise<void> {
  const { pid } = orphan
  if (!isProcess(orphan) || processState(pid)?.group !== pid) return
  log.warn({ pid }, 'ending a child process left by a killed server')
  if (!(await endGroup(pid, grace === undefined ? {} : { grace })))
    log.error({ pid }, 'a child process could not be ended')
}
