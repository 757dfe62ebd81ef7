/** A disk that a test can fill: a tmpfs, so Linux and root only. */
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface SmallDisk {
  path: string
  /** Leaves so many bytes free. */
  fill(leave?: number): void
  makeRoom(): void
  unmount(): void
}

/** @returns undefined without the right to mount. */
export function mountSmallDisk(megabytes: number): SmallDisk | undefined {
  const path = mkdtempSync(join(tmpdir(), 'mcp-oauth-disk-'))
  const size = `size=${megabytes}m`
  const mounted =
    process.platform === 'linux' && Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', size, 'tmpfs', path]).exitCode === 0
  if (!mounted) {
    rmSync(path, { recursive: true })
    return undefined
  }
  const filler = join(path, 'filler')
  return {
    path,
    fill(leave = 0) {
      const { bavail, bsize } = statfsSync(path)
      try {
        writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - leave)))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error // a server wrote meanwhile: it is full, too
      }
    },
    makeRoom: () => rmSync(filler, { force: true }),
    unmount() {
      Bun.spawnSync(['umount', '-l', path])
      rmSync(path, { recursive: true, force: true })
    },
  }
}
