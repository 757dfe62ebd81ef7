/** The conformance tables cannot hide a failure. */
import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { ROOT } from '../support/command.ts'
import type { ScenarioResult } from '../support/conformance.ts'
import { type Pair, problemsOf, replaceTable, summarize, toMarkdown } from '../support/conformance-table.ts'

const passing = (scenario: string): ScenarioResult => ({
  scenario,
  passed: ['a-check'],
  failed: [],
  warned: [],
  skipped: [],
})
const failing = (scenario: string): ScenarioResult => ({
  scenario,
  passed: ['a-check'],
  failed: [{ check: 'another-check', message: 'expected 200, got 404' }],
  warned: [],
  skipped: [],
})

const whole = [passing('ping'), passing('tools-list')]
const lossy: Pair = {
  server: 'a server',
  revision: '2026-07-28',
  results: { direct: whole, http: [passing('ping'), failing('tools-list')] },
  reasons: { 'tools-list': 'tools cannot be listed' },
}

describe('the conformance tables', () => {
  test('have a line for each scenario, a reason for each failure, and totals', () => {
    expect(toMarkdown([lossy]).split('\n')).toEqual([
      '| scenario | a server, directly | a server, through the gateway, over HTTP |',
      '| --- | --- | --- |',
      '| `ping` | ✓ | ✓ |',
      '| `tools-list` | ✓ | no: tools cannot be listed |',
      '| **passed** | 2 of 2 | 1 of 2 |',
    ])
    expect(summarize([lossy]).split('\n')).toEqual([
      '| server | client | directly | through the gateway, over stdio | through the gateway, over HTTP |',
      '| --- | --- | --- | --- | --- |',
      '| a server | 2026-07-28 | 2 of 2 |  | 1 of 2 |',
      '',
      'What is lost:',
      '',
      '- `tools-list`: tools cannot be listed.',
    ])
    expect(problemsOf(lossy)).toEqual([])
  })

  test('a failure without a reason is reported with what failed', () => {
    const fails = 'tools-list fails: another-check (expected 200, got 404)'
    expect(problemsOf({ ...lossy, reasons: {} })).toEqual([
      `a server, client 2026-07-28, through the gateway, over HTTP: ${fails}`,
    ])
    // What fails without the gateway has no excuse.
    expect(problemsOf({ ...lossy, results: { direct: [failing('tools-list')] } })).toEqual([
      `a server, client 2026-07-28, directly: ${fails}`,
    ])
  })

  test('a reason for something that passes is reported', () => {
    expect(problemsOf({ ...lossy, results: { stdio: whole } })).toEqual([
      'a server, client 2026-07-28, through the gateway, over stdio: tools-list does not fail',
    ])
  })

  test('a warning, a skipped check or a scenario without checks is not a pass', () => {
    const warned = { ...passing('ping'), warned: [{ check: 'a-should', message: 'is not done' }] }
    const skipped = { ...passing('caching'), skipped: ['another-check'] }
    const empty = { ...passing('tools-list'), passed: [] }
    const where = 'a server, client 2026-07-28, directly'
    expect(problemsOf({ ...lossy, results: { direct: [warned, skipped, empty] } })).toEqual([
      `${where}: ping fails: a-should (is not done)`,
      `${where}: caching fails: another-check (skipped)`,
      `${where}: tools-list fails: no check passed`,
    ])
  })

  test('the README has the totals of the last run, and links to the rest', async () => {
    const readme = await Bun.file(join(ROOT, 'README.md')).text()
    const results = await Bun.file(join(ROOT, 'test/gateway/conformance.md')).text()
    const sums = results.slice(results.indexOf('| server |'), results.indexOf('\n\n## Clients'))
    expect(sums).toContain('| SDK 1.x: up to 2025-11-25 | 2026-07-28 |')
    expect(replaceTable(readme, sums)).toBe(readme)
    expect(readme).toContain('test/gateway/conformance.md')
  })
})
