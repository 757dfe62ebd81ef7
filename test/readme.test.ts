/** The README, the Dockerfile and the program agree. */
import { describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import packageJson from '../package.json' with { type: 'json' }
import { configSchema } from '../src/config.ts'
import { clientsFor } from '../views/home-clients.tsx'
import { TEXTS } from '../views/texts/index.ts'
import { publishedIn } from './bench/report.ts'
import { ROOT, runCommand } from './support/command.ts'

const read = (path: string) => Bun.file(join(ROOT, path)).text()

describe('README.md', async () => {
  const readme = await read('README.md')

  test('shows the example client that is tested', async () => {
    const [, block] = /```python\n([\s\S]*?)```/.exec(readme)!
    expect(block!).toBe(await read('test/clients/device_client.py'))
  })

  test('has a row with the default for every variable of the configuration, and no other', () => {
    const rows = [...readme.matchAll(/^\| `([A-Z_]+)` \| (.*?) \|/gm)]
    expect(rows.map(row => row[1]!).sort()).toEqual(Object.keys(configSchema.shape).sort())
    const defaults: Record<string, unknown> = configSchema.parse({})
    for (const [, key, text] of rows) {
      const value = defaults[key!]
      if (typeof value === 'string' || typeof value === 'number') expect([key, text]).toEqual([key, `\`${value}\``])
    }
  })

  test('lists the commands as help does', async () => {
    const [, block] = /\n## Commands\n\n```\n([\s\S]*?)```/.exec(readme)!
    const { stdout } = await runCommand(['help'])
    const [, list] = /\nCommands:\n([\s\S]*?)\n\n/.exec(stdout)!
    expect(block!.trimEnd()).toBe(list!.replace(/^ {2}/gm, ''))
  })

  test('shows each client of its table that the front page shows, with the same command', () => {
    const setUp = {
      baseUrl: 'http://localhost:3000',
      mcpUrl: 'http://localhost:3000/mcp',
      name: 'hub',
      command: 'mcp-oauth-server',
    }
    const [, table] = /\n\| client \| what to do \|\n\|---\|---\|\n([\s\S]*?)\n\n/.exec(readme)!
    const rows = table!.split('\n').map(row => row.split(' | ').map(cell => cell.replace(/^\| | \|$/g, '')))
    const shown = new Map(clientsFor(setUp, TEXTS.en).map(({ title, body }) => [title, String(body)]))
    const own = ['Apps with an mcpServers file', 'A script, or a machine without a browser']
    expect(
      rows
        .map(([name]) => name!)
        .filter(name => !name.includes('SDK'))
        .toSorted(),
    ).toEqual([...shown.keys()].filter(title => !own.includes(title)).toSorted())
    for (const [name, steps] of rows)
      for (const [, command] of steps!.matchAll(/`((?:claude|codex|gemini|qwen|opencode) mcp add [^`]+)`/g))
        expect([name, shown.get(name!)!.includes(command!)]).toEqual([name, true])
  })

  test('shows the figures of test/bench/results.json', async () => {
    expect(publishedIn(readme, await Bun.file(join(ROOT, 'test/bench/results.json')).json())).toBe(readme)
  })

  test('names only files that exist and scripts in package.json', () => {
    for (const [, path] of readme.matchAll(/`?\b((?:src|test|views|sql)\/[a-z/-]+\.(?:ts|tsx|py))\b/g))
      expect([path, existsSync(join(ROOT, path!))]).toEqual([path, true])
    for (const [, script] of readme.matchAll(/bun@\S+ run ([a-z:]+)(?![\w/.])/g))
      expect(Object.keys(packageJson.scripts)).toContain(script!)
  })
})

test('the README and the Dockerfile use the Bun that package.json pins', async () => {
  const pinned = packageJson.packageManager
  for (const file of ['README.md', 'Dockerfile']) {
    const versions = [...(await read(file)).matchAll(/\bbun[@:](\d[\d.]*\d)/g)].map(match => `bun@${match[1]}`)
    expect([file, ...new Set(versions)]).toEqual([file, pinned])
  }
})
