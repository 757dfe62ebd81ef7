/**
 * Sees that a file has changed by asking for its state, four times a second. That works where notifications do not:
 * files that are replaced, symlinks that point elsewhere (Kubernetes), network and container mounts.
 */
import { stat } from 'node:fs/promises'

export interface WatchOptions {
  /** For how long nothing must have changed, in milliseconds. */
  quiet?: number
  interval?: number
}

export interface Watch {
  close(): void
}

/**
 * Calls back once after each change, when the file has been quiet. Also when it has gone: what to do then is the
 * caller's decision. Keeps no process alive.
 */
export async function watchFile(
  path: string,
  onChange: () => void,
  { quiet = 500, interval = 250 }: WatchOptions = {},
): Promise<Watch> {
  /** The state that the caller knows, and the one seen last, since when. */
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

/** Changes with the content, and when another file stands there. */
async function stateOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ')
  } catch (error) {
    return `cannot be read: ${(error as { code?: string }).code}`
  }
}
