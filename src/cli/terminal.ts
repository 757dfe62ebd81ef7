/** What a person at a terminal reads, and what a program reads from a pipe. */
import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import { UsageError } from '../lib/errors.ts'

/** A result, on standard output. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** One of many results: waits while the reader of a pipe is behind, so that they do not pile up in memory. */
export async function printInTurn(text: string): Promise<void> {
  if (!process.stdout.write(`${text}\n`)) await once(process.stdout, 'drain')
}

/** A message to the person, on standard error. Not with `console.error`, which Bun writes in red. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

type Cell = string | number | Date | null

interface Table {
  columns: readonly string[]
  rows: AsyncIterable<readonly Cell[]> | Iterable<readonly Cell[]>
}

/** Rows whose columns are aligned together; more are not kept in memory. */
const PAGE = 100

/** On a terminal: a header, aligned columns, and times relative to `now`. In a pipe: tab-separated columns. */
export async function printTable({ columns, rows }: Table, now: Date): Promise<void> {
  if (!process.stdout.isTTY) {
    for await (const row of rows) await printInTurn(row.map(cell => plain(cell)).join('\t'))
    return
  }
  let page: string[][] = [columns.map(name => name.toUpperCase())]
  for await (const row of rows) {
    page.push(row.map(cell => (cell instanceof Date ? relativeTime(cell, now) : plain(cell) || '-')))
    if (page.length <= PAGE) continue
    printAligned(page)
    page = []
  }
  printAligned(page)
}

function plain(cell: Cell): string {
  return cell instanceof Date ? cell.toISOString() : String(cell ?? '')
}

function printAligned(rows: string[][]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]!.length)))
  for (const row of rows)
    print(
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
}

const UNITS = [
  ['year', 365 * 86_400],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
  ['second', 1],
] as const

/** Such as `3 minutes ago`. */
export function relativeTime(time: Date, now: Date): string {
  const seconds = Math.round((time.getTime() - now.getTime()) / 1000)
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ['second', 1]
  return new Intl.RelativeTimeFormat('en', { numeric: 'auto' }).format(Math.round(seconds / length), unit)
}

/** Such as `1 row`, `20,000 rows`. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`
}

const BAR = 30
const REDRAW_MS = 100

/**
 * A progress bar on standard error, if that is a terminal. It is erased when all is done.
 *
 * @returns a function to call with what part is done, from 0 to 1, and what that is a part of.
 */
export function progressBar(label: string): (part: number, words: string) => void {
  if (!process.stderr.isTTY) return () => {}
  let drawnAt = 0
  return (part, words) => {
    if (part >= 1) {
      if (drawnAt > 0) process.stderr.write('\r\x1b[K')
      return
    }
    if (performance.now() - drawnAt < REDRAW_MS) return
    drawnAt = performance.now()
    const full = Math.floor(BAR * part)
    const bar = `[${'#'.repeat(full)}${' '.repeat(BAR - full)}] ${Math.floor(100 * part)}%`
    process.stderr.write(`\r${label} ${bar} ${words}\x1b[K`)
  }
}

/** A progress bar to call with how many more rows are done, and the number of all rows. */
export function rowProgress(label: string): (more: number, all: number) => void {
  const bar = progressBar(label)
  let done = 0
  return (more, all) => {
    done += more
    bar(done / all, `of ${counted(all, 'row')}`)
  }
}

/**
 * Asks the person at the terminal.
 *
 * @throws UsageError if there is none: scripts say `--yes`.
 */
export async function isConfirmed(question: string): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new UsageError(`${question} There is no terminal to ask at: add --yes`)
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await lines.question(`${question} [y/N] `).catch(() => '') // Ctrl-C and Ctrl-D mean no
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    lines.close()
  }
}

/** The members of an object as `--json` prints them: in snake_case. */
export const inSnakeCase = (value: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`),
      member,
    ]),
  )
