/** The table of the README cannot hide a failure. */
import { describe, expect, test } from 'bun:test'
import type { ScenarioResult } from '../support/conformance.ts'
import { problemsOf, type Results, toMarkdown } from '../support/conformance-table.ts'

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

const direct: Results = { title: 'direct', results: [passing('ping'), passing('tools-list')] }
const through: Results = {
  title: 'through',
  results: [passing('ping'), failing('tools-list')],
  reasons: { 'tools-list': 'tools cannot be listed' },
}

describe('the table of conformance', () => {
  test('has a line for each scenario, a reason for each failure, and sums', () => {
    expect(toMarkdown([direct, through]).split('\n')).toEqual([
      '| scenario | direct | through |',
      '| --- | --- | --- |',
      '| `ping` | ✓ | ✓ |',
      '| `tools-list` | ✓ | no: tools cannot be listed |',
      '| **passed** | 2 of 2 | 1 of 2 |',
    ])
    expect(problemsOf([direct, through])).toEqual([])
  })

  test('a failure without a reason is a problem, and says what failed', () => {
    expect(problemsOf([{ ...through, reasons: {} }])).toEqual([
      'through: tools-list fails: another-check (expected 200, got 404)',
    ])
  })

  test('a reason for what does not fail is a problem', () => {
    const reasons = { ping: 'a reason of the past', 'tools-list': 'tools cannot be listed' }
    expect(problemsOf([{ ...through, reasons }])).toEqual(['through: ping does not fail'])
  })

  test('a warning, a check that was skipped, or a scenario in which nothing was checked, has not passed', () => {
    const warned = { ...passing('ping'), warned: [{ check: 'a-should', message: 'is not done' }] }
    const skipped = { ...passing('caching'), skipped: ['another-check'] }
    const empty = { ...passing('tools-list'), passed: [] }
    expect(problemsOf([{ title: 'direct', results: [warned, skipped, empty] }])).toEqual([
      'direct: ping fails: a-should (is not done)',
      'direct: caching fails: another-check (skipped)',
      'direct: tools-list fails: no check passed',
    ])
  })
})
