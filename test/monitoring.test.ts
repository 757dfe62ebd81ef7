/** The Grafana dashboard and the alert rules use only what /metrics has. */
import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import dashboard from '../deploy/grafana-dashboard.json' with { type: 'json' }
import { AUDIT_EVENTS } from '../src/audit/catalogue.ts'
import { announce } from '../src/presence.ts'
import { sweep } from '../src/sweeper.ts'
import { ROOT } from './support/command.ts'
import { startServer } from './support/server.ts'

const RULES = join(ROOT, 'deploy/prometheus-alerts.yml')
const METRICS_TOKEN = 'metrics-'.repeat(5)
const NAME = /\b(?:mcp_oauth|process|nodejs)_\w+/g

const files = mkdtempSync(join(tmpdir(), 'monitoring-'))
const series = new Set<string>()
const metrics = new Set<string>()
let text = ''

beforeAll(async () => {
  // A program that is configured, but not started.
  const MCP_SERVERS = join(files, 'mcp.json')
  writeFileSync(MCP_SERVERS, JSON.stringify({ mcpServers: { files: { command: 'true' } } }))
  const NOTIFY = { NOTIFY_URL: 'http://127.0.0.1:9/', NOTIFY_SECRET: `whsec_${Buffer.alloc(32).toString('base64')}` }
  const server = await startServer({ METRICS_TOKEN, MCP_SERVERS, ...NOTIFY })
  await sweep(server.deps)
  const presence = announce(server.deps)
  text = await (await server.get('/metrics', { Authorization: `Bearer ${METRICS_TOKEN}` })).text()
  await presence.stop()
  for (const [, name] of text.matchAll(/^# TYPE (mcp_oauth_\S+) /gm)) metrics.add(name!)
  for (const [, name, type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm))
    for (const ending of type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']) series.add(name + ending)
  await server.close()
}, 30_000)
afterAll(() => rmSync(files, { recursive: true }))

const queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))
const rules = [...readFileSync(RULES, 'utf8').matchAll(/^ +expr: (?:>-\n)?((?:.*\n)+?) +(?:for|labels):/gm)].map(
  ([, expr]) => expr!,
)

test('the dashboard and the rules query only metrics that exist, and all of ours are on the dashboard', () => {
  const used = (texts: readonly string[]) => new Set(texts.flatMap(text => text.match(NAME) ?? []))
  expect(rules.length).toBeGreaterThan(10)
  expect([...used([...queries, ...rules])].filter(name => !series.has(name))).toEqual([])
  const shown = used(queries)
  const ours = [...series].filter(name => name.startsWith('mcp_oauth_') && !/_(bucket|sum)$/.test(name))
  expect(ours.filter(name => !shown.has(name))).toEqual([])
})

test('the README has all of ours in its table, and no other', () => {
  const [, table = ''] = /\n\| metric \| labels \|\n([\s\S]*?)\n\n/.exec(readFileSync(join(ROOT, 'README.md'), 'utf8'))!
  const named = [...table.matchAll(/`(mcp_oauth_\w+)`/g)].map(([, name]) => name!)
  expect(named.toSorted()).toEqual([...metrics].toSorted())
})

test('they name only events that exist', () => {
  const known = Object.keys(AUDIT_EVENTS)
  const patterns = [...queries, ...rules].flatMap(text =>
    [...text.matchAll(/event=~?"([^"]*)"/g)].flatMap(([, pattern]) => pattern!.split('|')),
  )
  expect(patterns.length).toBeGreaterThan(15)
  expect(patterns.filter(pattern => !known.some(name => new RegExp(`^${pattern}$`).test(name)))).toEqual([])
})

test('every event is counted from 0, for an alert sees no increase in a series that begins with 1', () => {
  const counted = [...text.matchAll(/^mcp_oauth_audit_events_total\{event="([^"]+)"\} \d+$/gm)].map(
    ([, event]) => event,
  )
  expect(counted.toSorted()).toEqual(Object.keys(AUDIT_EVENTS).toSorted())
})

test.skipIf(Bun.which('promtool') === null)('Prometheus accepts the rules', () => {
  const { exitCode, stdout } = Bun.spawnSync(['promtool', 'check', 'rules', RULES])
  expect([exitCode, stdout.toString()]).toEqual([0, expect.stringContaining(`SUCCESS: ${rules.length} rules found`)])
})
