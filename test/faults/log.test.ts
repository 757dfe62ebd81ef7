/** The binary keeps serving when its log cannot be written, with different kinds of standard output. */
import { afterAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { binary } from '../support/binary.ts'
import { faultDatabase } from '../support/faults.ts'
import { freePort } from '../support/ports.ts'
import { mountSmallDisk } from '../support/small-disk.ts'
import { until } from '../support/until.ts'

setDefaultTimeout(300_000)

const disk = mountSmallDisk(4)
afterAll(() => disk?.unmount())

/** Runs `serve` with its standard output going to a path. */
async function serving(output: string, work: (base: string) => Promise<void>): Promise<void> {
  const database = await faultDatabase('PostgreSQL')
  const port = await freePort()
  const child = Bun.spawn(['sh', '-c', 'exec "$0" > "$1"', binary(), output], {
    env: {
      PATH: process.env.PATH ?? '',
      PORT: String(port),
      LOG_LEVEL: 'debug',
      SHUTDOWN_GRACE: '0',
      ...database.env,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const base = `http://127.0.0.1:${port}`
  const health = () =>
    fetch(`${base}/healthz`).then(
      answer => answer.status,
      () => 0,
    )
  try {
    await until(async () => (await health()) === 200)
    await work(base)
    expect(await health()).toBe(200)
    child.kill('SIGTERM')
    expect(await child.exited).toBe(0)
  } finally {
    child.kill('SIGKILL')
    await database.drop()
  }
}

/** Each request writes at least one line to the log. */
async function refusals(base: string, count: number): Promise<void> {
  for (let sent = 0; sent < count; sent++) {
    const answer = await fetch(`${base}/api/oauth/token`, { method: 'POST' })
    expect([answer.status, await answer.json()]).toEqual([
      401,
      {
        error: 'invalid_client',
        error_description: 'The client is unknown or its credentials are wrong',
      },
    ])
  }
}

/** A named pipe, open for reading, that nobody reads yet. */
function namedPipe(): { path: string; reader: number } {
  const path = join(mkdtempSync(join(tmpdir(), 'mcp-oauth-log-')), 'pipe')
  Bun.spawnSync(['mkfifo', path])
  return { path, reader: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK) }
}

/** What is in the pipe now. */
function readPipe(reader: number): string {
  const bytes = Buffer.alloc(1024 * 1024)
  try {
    return bytes.toString('utf8', 0, readSync(reader, bytes))
  } catch (error) {
    if ((error as { code?: string }).code === 'EAGAIN') return ''
    throw error
  }
}

describe('a log that cannot be written loses lines, not the service', () => {
  test('on a device that is always full', () => serving('/dev/full', base => refusals(base, 50)))

  // Needs the right to mount a tmpfs.
  test.skipIf(!disk)('on a disk that fills up; once there is room, the log goes on', async () => {
    const log = join(disk!.path, 'server.log')
    await serving(log, async base => {
      disk!.fill()
      const full = statSync(log).size
      await refusals(base, 200)
      expect(statSync(log).size - full).toBeLessThan(16_384) // what was left of its last page
      disk!.makeRoom()
      const notes = () => readFileSync(log, 'utf8').match(/"log lines were dropped because they could not be written"/g)
      await until(async () => {
        await refusals(base, 50)
        return notes() !== null && statSync(log).size > full + 16_384
      })
      expect(notes()).toHaveLength(1)
    })
  })

  test('when its reader is gone', async () => {
    const { path, reader } = namedPipe()
    await serving(path, async base => {
      closeSync(reader)
      await refusals(base, 50)
    })
  })

  test('when its reader stalls; once it resumes, the log says how many lines are missing', async () => {
    const { path, reader } = namedPipe()
    await serving(path, async base => {
      await refusals(base, 1_000)
      let log = ''
      const notes = () =>
        [...log.matchAll(/^\{.*"dropped":.*\}$/gm)].map(([line]) => JSON.parse(line) as { dropped: number })
      await until(async () => {
        log += readPipe(reader)
        await refusals(base, 1)
        return notes().reduce((sum, { dropped }) => sum + dropped, 0) > 100
      })
      expect(notes()[0]).toEqual({
        level: 40,
        time: expect.any(String),
        dropped: expect.any(Number),
        msg: 'log lines were dropped because they could not be written',
      } as never)
    })
    closeSync(reader)
  })
})
