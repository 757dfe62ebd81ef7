import { dlopen, type Pointer, read } from 'bun:ffi'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { UnreachableError, UsageError } from '../lib/errors.ts'

/** Held while this process uses the embedded database. The kernel releases it however the process ends. */
export interface DataDirLock {
  release(): void
}

/** flock(2): exclusive, without waiting. */
const LOCK_EX_NB = 2 | 4
const RETRY_MS = 20

/**
 * Takes a kernel lock (flock) on a data directory. Two processes on one PGlite directory silently lost rows in our tests,
 * so nothing opens it without this lock. The lock is on the directory itself, because a file in it could be deleted and
 * recreated while a server runs, and a second process would then lock the new file. Neither Bun nor Node has flock, so it
 * is called in the C library. Children do not inherit the descriptor, hence not the lock.
 *
 * @param waitMs How long to wait for another process that is just ending.
 * @returns the lock, or the process that holds it.
 * @throws UsageError if the directory cannot be locked, as on some network file systems.
 */
export async function lockDataDir(dir: string, what: string, waitMs = 0): Promise<DataDirLock | { heldBy: string }> {
  const holder = join(dir, 'holder')
  const descriptor = openSync(dir, 'r')
  const deadline = performance.now() + waitMs
  for (let lock = tryLock(descriptor); lock !== 'ours'; lock = tryLock(descriptor)) {
    if (lock === 'held' && performance.now() < deadline) {
      await Bun.sleep(RETRY_MS)
      continue
    }
    closeSync(descriptor)
    if (lock === 'held') return { heldBy: readHolder(holder) }
    throw new UsageError(`DATA_DIR (${dir}) cannot be locked (errno ${lock.errno}); put it on a local file system`)
  }
  writeFileSync(holder, `process ${process.pid} (${what})`, { mode: 0o600 })
  return { release: () => closeSync(descriptor) }
}

/** Takes a kernel lock on an open file or directory, until it is closed. @returns who has it, or why it cannot be locked. */
export function tryLock(descriptor: number): 'ours' | 'held' | { errno: number } {
  const { flock, errno: lastError, busy } = openLibc()
  if (flock(descriptor, LOCK_EX_NB) === 0) return 'ours'
  const errno = lastError()
  return errno === busy ? 'held' : { errno }
}

const ANSWER_MS = 10_000

/**
 * Takes the lock for a command, unless a server holds it and answers at its socket. One that is just starting or stopping
 * is waited for.
 *
 * @throws UnreachableError if it does not answer in time.
 */
export async function lockOrShare(
  dir: string,
  socket: string,
  waitMs = ANSWER_MS,
): Promise<DataDirLock | { heldBy: string }> {
  for (const deadline = performance.now() + waitMs; ; await Bun.sleep(RETRY_MS)) {
    const lock = await lockDataDir(dir, 'command')
    if (!('heldBy' in lock) || (await answers(socket))) return lock
    if (performance.now() > deadline)
      throw new UnreachableError(
        `${dir} is in use by ${lock.heldBy}, which does not answer: it is still starting, or stopping. Try again in a moment.`,
      )
  }
}

async function answers(socket: string): Promise<boolean> {
  try {
    const connection = await Bun.connect({ unix: socket, socket: { data() {} } })
    connection.end()
    return true
  } catch {
    return false
  }
}

function readHolder(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return 'another process'
  }
}

interface Libc {
  flock(descriptor: number, operation: number): number
  errno(): number
  /** The errno of a lock that another process holds, EWOULDBLOCK. */
  busy: number
}

/** The C library's names on Linux: glibc's and musl's. */
export const LINUX_LIBC = ['libc.so.6', `libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`]

/** The C library, by its name on this system. */
function openLibc(): Libc {
  const mac = process.platform === 'darwin'
  const names = mac ? ['libSystem.B.dylib'] : LINUX_LIBC
  const errnoLocation = mac ? '__error' : '__errno_location'
  const signatures = {
    flock: { args: ['i32', 'i32'], returns: 'i32' },
    [errnoLocation]: { args: [], returns: 'ptr' },
  } as const
  for (const name of names) {
    try {
      const { symbols } = dlopen(name, signatures)
      return {
        flock: symbols.flock,
        errno: () => read.i32((symbols[errnoLocation] as () => Pointer)()),
        busy: mac ? 35 : 11,
      }
    } catch {
      // not this C library
    }
  }
  throw new UsageError(`DATA_DIR cannot be locked: no supported C library was found (${names.join(', ')})`)
}
