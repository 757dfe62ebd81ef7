/** What commands print with `--json` is what the table in the README says. */
// Not on PostgreSQL: it is about a document.
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { upsertUpstreamStatus } from '../../sql/upstream-status.ts'
import { fullName, leaves, openProgram } from '../../src/cli/program.ts'
import type { UpstreamStatus } from '../../src/gateway/exchange.ts'
import { ROOT, runCommand } from '../support/command.ts'
import { deviceTokens, registerClient, signIn } from '../support/flows.ts'
import { startServer, type TestServer } from '../support/server.ts'

setDefaultTimeout(300_000)

const STATUS: Omit<UpstreamStatus, 'name'> = {
  ...{ transport: 'http', state: 'away', era: '2026', tools: 1, prompts: 1, resources: 1, connections: 1, restarts: 0 },
  ...{ inFlight: 0, waiting: 0, lastError: undefined, retryAt: undefined, stderr: [], blocked: [] },
}

let server: TestServer
let documented: Map<string, { prints: string; members: string[] }>
beforeAll(async () => {
  server = await startServer()
  const app = await registerClient(server, { client_name: 'An app' })
  await deviceTokens(server, app, await signIn(server))
  documented = await readTable()
})
afterAll(() => server.close())

async function readTable() {
  const readme = await Bun.file(join(ROOT, 'README.md')).text()
  const [, table] = /\n\| command \| prints \| members \|\n\|---\|---\|---\|\n([\s\S]*?)\n\n/.exec(readme)!
  const wordsOf = (cell: string) => [...cell.replace(/\([^)]*\)/g, '').matchAll(/`([^`]+)`/g)].map(([, word]) => word!)
  const rows = new Map<string, { prints: string; members: string[] }>()
  for (const line of table!.split('\n')) {
    const [, commands = '', prints = '', members = ''] = line.split('|').map(cell => cell.trim())
    const named = wordsOf(members).flatMap(word => rows.get(word)?.members ?? word)
    for (const command of wordsOf(commands)) rows.set(command, { prints, members: named.toSorted() })
  }
  return rows
}

test('every command with --json is in the table', () => {
  const commands = leaves(openProgram()).filter(({ options }) => options.some(({ long }) => long === '--json'))
  expect([...documented.keys()].filter(name => name !== 'doctor --client').toSorted()).toEqual(
    commands.map(fullName).toSorted(),
  )
})

test('each prints an object, an array or lines, with the members that the table names', async () => {
  const added = await runCommand(['client', 'add', 'A job', '--grant', 'client_credentials', '--json'], server.env)
  const machine = JSON.parse(added.stdout).client_id
  const upstream = { ...STATUS, retryAt: new Date(), lastError: 'exited', name: 'notes' }
  await upsertUpstreamStatus(server.deps.sql, { server: 'here 1', status: [upstream], at: new Date() })
  const file = join(mkdtempSync(join(tmpdir(), 'json-')), 'servers.json')
  writeFileSync(file, '{"mcpServers":{}}')
  const env = { ...server.env, MCP_SERVERS: file }
  const lines: [command: string, ...args: string[]][] = [
    ['status'],
    ['client add', 'Another', '--grant', 'client_credentials'],
    ['client list'],
    ['client show', machine],
    ['client rotate-secret', machine],
    ['user list'],
    ['user show', 'ada@example.com'],
    ['session list', 'ada@example.com'],
    ['connection list'],
    ['token add', 'A script', '--user', 'ada@example.com'],
    ['token list'],
    ['key list'],
    ['upstream list'],
    ['audit list'],
    ['audit export'],
  ]
  for (const [command, ...args] of lines) {
    const { stdout } = await runCommand([...command.split(' '), ...args, '--json'], env)
    const { prints, members } = documented.get(command)!
    const values =
      prints === 'an object per line'
        ? stdout
            .trim()
            .split('\n')
            .map(line => JSON.parse(line))
        : JSON.parse(stdout)
    expect([command, Array.isArray(values)]).toEqual([command, prints !== 'an object'])
    const found = new Set([values].flat().flatMap(value => Object.keys(value)))
    expect([command, [...found].toSorted()]).toEqual([command, members])
  }
})
