import { afterEach, expect, test } from 'bun:test'
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Watch, watchFile } from '../../src/gateway/watch.ts'
import { until } from '../support/until.ts'

const open: Watch[] = []
afterEach(() => {
  for (const watch of open.splice(0)) watch.close()
})

async function watched(path: string) {
  const changes: number[] = []
  open.push(await watchFile(path, () => changes.push(performance.now()), { quiet: 150, interval: 20 }))
  return changes
}

function newFile(): { directory: string; path: string } {
  const directory = mkdtempSync(join(tmpdir(), 'watch-'))
  const path = join(directory, 'mcp.json')
  writeFileSync(path, '{}')
  return { directory, path }
}

test('a file written in pieces is one change, once it has settled', async () => {
  const { path } = newFile()
  const changes = await watched(path)
  const writes: number[] = []
  for (let n = 0; n < 6; n++) {
    appendFileSync(path, ' ')
    writes.push(performance.now())
    await Bun.sleep(60) // time is the subject: less than it takes to settle
  }
  await until(() => changes.length > 0 && changes.at(-1)! > writes.at(-1)!)
  await Bun.sleep(400) // no further one comes
  // On a busy machine a pause may have been long enough for it to settle in between.
  const pauses = writes.filter((write, n) => (writes[n + 1] ?? Number.POSITIVE_INFINITY) - write > 145)
  expect(changes.length).toBeLessThanOrEqual(pauses.length)
  expect(changes.at(-1)! - writes.at(-1)!).toBeGreaterThan(145)
})

test('a file replaced by one of the same size and age is a change; later changes are seen, too', async () => {
  const { directory, path } = newFile()
  const age = new Date('2026-01-01T00:00:00Z')
  utimesSync(path, age, age)
  const changes = await watched(path)
  writeFileSync(join(directory, 'new'), '[]')
  utimesSync(join(directory, 'new'), age, age)
  renameSync(join(directory, 'new'), path)
  await until(() => changes.length === 1)
  appendFileSync(path, ' ')
  await until(() => changes.length === 2)
})

test('a Kubernetes volume, whose file is a symlink through a symlinked directory', async () => {
  const { directory } = newFile()
  const version = (name: string, text: string) => {
    mkdirSync(join(directory, name))
    writeFileSync(join(directory, name, 'servers.json'), text)
    symlinkSync(name, join(directory, '..data_tmp'))
    renameSync(join(directory, '..data_tmp'), join(directory, '..data'))
  }
  version('..2026_01', '{}')
  symlinkSync('..data/servers.json', join(directory, 'servers.json'))
  const changes = await watched(join(directory, 'servers.json'))
  version('..2026_02', '{}')
  rmSync(join(directory, '..2026_01'), { recursive: true })
  await until(() => changes.length === 1)
})

test('a file that disappears or appears is a change', async () => {
  const { path } = newFile()
  const changes = await watched(path)
  rmSync(path)
  await until(() => changes.length === 1)
  writeFileSync(path, '{}')
  await until(() => changes.length === 2)
})

test('reading a file reports no change, and close() ends reports', async () => {
  const { path } = newFile()
  const changes = await watched(path)
  await Bun.file(path).text()
  await Bun.sleep(300) // longer than a change takes
  open.splice(0)[0]!.close()
  appendFileSync(path, ' ')
  await Bun.sleep(300)
  expect(changes).toEqual([])
})
