/** A small disk as DATA_DIR: a tmpfs, so Linux and root only. */
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from '../support/command.ts'
import { freePort } from '../support/ports.ts'
import { serve } from '../support/processes.ts'
import { onPostgres } from '../support/server.ts'

setDefaultTimeout(120_000)

const MB = 1024 * 1024
const mount = mkdtempSync(join(tmpdir(), 'mcp-oauth-disk-'))
const mounted =
  !onPostgres &&
  process.platform === 'linux' &&
  Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', 'size=80m', 'tmpfs', mount]).exitCode === 0
afterAll(() => {
  if (mounted) Bun.spawnSync(['umount', '-l', mount])
  rmSync(mount, { recursive: true, force: true })
})

// Needs the right to mount a tmpfs, and the embedded database.
describe.skipIf(!mounted)('a first start on a disk without room', () => {
  const filler = join(mount, 'filler')
  const dataDir = join(mount, 'data')
  const free = () => {
    const { bavail, bsize } = statfsSync(mount)
    return bavail * bsize
  }

  test.each([0, 1, 20])('says so in one sentence with %d MB free, and starts once there is room', async megabytes => {
    rmSync(dataDir, { recursive: true, force: true })
    writeFileSync(filler, Buffer.alloc(free() - megabytes * MB))
    const port = String(await freePort())
    const failed = await runCommand(['serve'], { DATA_DIR: dataDir, PORT: port })
    expect([failed.code, failed.stdout]).toEqual([1, ''])
    expect(failed.stderr).toMatch(
      /^The database in DATA_DIR \(.*data\) could not be opened, and its disk has only \d+ MB free\. A new database takes 40 MB: free some space, or set DATA_DIR to another disk, then start again\. \(.*\)\n$/,
    )
    rmSync(filler)
    const program = await serve({ DATA_DIR: dataDir })
    expect((await fetch(`${program.base}/readyz`)).status).toBe(200)
    program.kill('SIGTERM')
    expect(await program.exited).toBe(0)
  })
})
