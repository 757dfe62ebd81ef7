/** The table for people, and the same as JSON. */
import type { Outcome, Result } from './requirement.ts'

const OUTCOMES: Outcome[] = ['pass', 'fail', 'not offered', 'not tested']
const LABELS: Record<Outcome, string> = {
  pass: 'pass',
  fail: 'FAIL',
  'not offered': 'not offered',
  'not tested': 'not tested',
}

export function summarize(results: Result[]) {
  const count = (outcome: Outcome, level?: string) =>
    results.filter(result => result.outcome === outcome && (level === undefined || result.level === level)).length
  return {
    ...(Object.fromEntries(OUTCOMES.map(outcome => [outcome, count(outcome)])) as Record<Outcome, number>),
    failedMust: count('fail', 'MUST'),
    failedShould: count('fail', 'SHOULD'),
  }
}

export function table(issuer: string, results: Result[]): string {
  const widths = { id: 8, level: 7, outcome: 12, source: Math.max(...results.map(({ source }) => source.length)) + 2 }
  const lines = results.flatMap(({ id, level, outcome, source, expected, seen }) => [
    id.padEnd(widths.id) +
      level.padEnd(widths.level) +
      LABELS[outcome].padEnd(widths.outcome) +
      source.padEnd(widths.source) +
      expected,
    ...(outcome === 'pass' ? [] : [`${' '.repeat(widths.id + widths.level)}seen: ${seen}`]),
  ])
  const { failedMust, failedShould, ...counts } = summarize(results)
  const total = OUTCOMES.map(outcome => `${counts[outcome]} ${outcome === 'fail' ? 'failed' : outcome}`).join(', ')
  return `${issuer}\n\n${lines.join('\n')}\n\n${total}; ${failedMust} MUST and ${failedShould} SHOULD failed\n`
}

export function json(issuer: string, results: Result[]): string {
  return `${JSON.stringify({ issuer, summary: summarize(results), results }, null, 2)}\n`
}
