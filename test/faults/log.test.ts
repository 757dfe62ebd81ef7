/** The server keeps serving when its log cannot be written: as its own process, with different kinds of standard output. */
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { closeSync, constants, mkdtempSync, openSync, readSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { binary } from '../support/binary.ts'
import { ROOT } from '../support/command.ts'
import { freePort } from '../support/ports.ts'
import { migratedDatabase } from '../support/server.ts'

setDefaultTimeout(120_000)

/** Runs `serve` with its standard output going to a path. */
async function serving(output: string, work: (base: string) => Promise<void>): Promise<void> {
  const database = await migratedDatabase()
  const port = await freePort()
  const child = Bun.spawn(['sh', '-c', 'exec "$0" serve > "$1"', binary(), output], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', PORT: String(port), LOG_LEVEL: 'debug', ...database.env },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const base = `http://127.0.0.1:${port}`
  const health = () =>
    fetch(`${base}/healthz`).then(
      answer => answer.status,
      () => 0,
    )
  while ((await health()) !== 200) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`)
    await Bun.sleep(50)
  }
  await work(base)
  expect(await health()).toBe(200)
  child.kill('SIGTERM')
  expect(await child.exited).toBe(0)
  await database.drop()
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
  return bytes.toString('utf8', 0, readSync(reader, bytes))
}

describe('a log that cannot be written loses lines, not the service', () => {
  test('on a full disk', () => serving('/dev/full', base => refusals(base, 50)))

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
      readPipe(reader)
      await refusals(base, 1)
      const lines = readPipe(reader).split('\n').filter(Boolean)
      const note = lines.map(line => JSON.parse(line.startsWith('{') ? line : '{}')).find(line => 'dropped' in line)
      expect(note).toEqual({
        level: 40,
        time: expect.any(String),
        dropped: expect.any(Number),
        msg: 'log lines were dropped because they could not be written',
      })
      expect(note.dropped).toBeGreaterThan(100)
    })
    closeSync(reader)
  })
})
