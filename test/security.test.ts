/** SECURITY.md promises only what a test shows. */
import { expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dir, '..')
const rows = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8')
  .split('\n')
  .filter(line => line.startsWith('| ') && !/^\| (promise|what breaks) /.test(line))

test('each promise of SECURITY.md names a test that exists', () => {
  expect(rows.length).toBeGreaterThan(25)
  for (const row of rows) {
    const [, path = '', title = ''] = /`(test\/\S+\.test\.ts)`: (.+) \|$/.exec(row) ?? []
    expect([row, existsSync(join(ROOT, path)) && path !== '']).toEqual([row, true])
    const lines = readFileSync(join(ROOT, path), 'utf8').split('\n')
    const isTitle = (line: string) => line.includes(title) && /^\s*((test|describe)\b.*)?['"`]/.test(line)
    expect([row, lines.some(isTitle)]).toEqual([row, true])
  }
})
