/**
 * Watches a file by polling its state four times a second. Unlike notifications, that works for replaced files, changed
 * symlinks (Kubernetes), network file systems and container mounts.
 */
import { stat } from 'node:fs/promises'

export interface WatchOptions {
  /** How long the file must be unchanged before the callback, in milliseconds. */
  quiet?: number
  interval?: number
}

export interface Watch {
  close(): void
}

/**
 * Calls back once after each change, when the file has been quiet, and also when it has been deleted. Does not keep the
 * process alive.
 */
export async function watchFile(
  path: string,
  onChange: () => void,
  { quiet = 500, interval = 250 }: WatchOptions = {},
): Promise<Watch> {
  // The state last reported, the state last seen, and since when.
  let known = await stateOf(path)
  let seen = known
  let since = performance.now()
  let closed = false
  let timer: NodeJS.Timeout | undefined
  const look = async () => {
    const state = await stateOf(path)
    if (closed) return
    if (state !== seen) {
      seen = state
      since = performance.now()
    } else if (seen !== known && performance.now() - since >= quiet) {
      known = seen
      onChange()
    }
    next()
  }
  const next = () => {
    timer = setTimeout(look, interval)
    timer.unref()
  }
  next()
  return {
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}

/** Identifies the file and its content by inode, size and times. */
async function stateOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
  } catch (error) {
    return `cannot be read: ${(error as { code?: string }).code}`
  }
}
