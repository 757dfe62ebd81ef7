import { Database as LockFile } from 'bun:sqlite'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Held for as long as this process may touch the embedded database; the kernel lets go of it however the process ends. */
export interface DataDirLock {
  release(): void
}

/**
 * Takes the kernel's lock on a data directory. Two processes that opened one PGlite directory silently lost rows in our
 * tests, so nothing opens it without this lock. SQLite takes the lock for us (fcntl, portable, not inherited by children);
 * its file holds no data and must never be opened by other means in this process, because closing it would let go.
 *
 * @returns the lock, or who holds it.
 */
export function lockDataDir(dir: string, what: string, waitMs = 0): DataDirLock | { heldBy: string } {
  const file = new LockFile(join(dir, 'lock'), { create: true })
  const holder = join(dir, 'holder')
  try {
    file.run(`pragma busy_timeout = ${waitMs}`)
    file.run('begin exclusive')
  } catch (error) {
    file.close()
    if ((error as { code?: string }).code !== 'SQLITE_BUSY') throw error
    return { heldBy: readHolder(holder) }
  }
  writeFileSync(holder, `process ${process.pid} (${what})`, { mode: 0o600 })
  return { release: () => file.close() }
}

function readHolder(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return 'another process'
  }
}
