import { dlopen } from 'bun:ffi'
import { closeSync, openSync } from 'node:fs'
import { LINUX_LIBC } from './lock.ts'

/**
 * Makes everything durable that was written to the file system of a directory: syncfs(2), which neither Bun nor Node has.
 *
 * @returns whether it did; other systems than Linux have no such call.
 */
export function syncFileSystem(dir: string): boolean {
  if (process.platform !== 'linux') return false
  const descriptor = openSync(dir, 'r')
  try {
    for (const name of LINUX_LIBC) {
      try {
        return dlopen(name, { syncfs: { args: ['i32'], returns: 'i32' } }).symbols.syncfs(descriptor) === 0
      } catch {
        // not this C library
      }
    }
    return false
  } finally {
    closeSync(descriptor)
  }
}
