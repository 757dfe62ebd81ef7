import { constants, fstatSync, openSync, writeSync } from 'node:fs'
import { type DestinationStream, type Logger, pino } from 'pino'
import pretty from 'pino-pretty'

export type Log = Logger

/** Structured log on standard output: JSON lines, or text on a terminal. Callers must not pass secrets. */
export function openLog(level: string): Log {
  return pino({ level, base: undefined, timestamp: isoTime }, standardOutput())
}

let timeText = ''
let madeAt = Number.NEGATIVE_INFINITY

/** As pino's, but made once a millisecond: many requests are logged in one. */
function isoTime(): string {
  const now = performance.now()
  if (now - madeAt >= 1) {
    madeAt = now
    timeText = pino.stdTimeFunctions.isoTime()
  }
  return timeText
}

const { streamSym, timeSym } = pino.symbols as { streamSym: symbol; timeSym: symbol }

/** As `log.info(fields, message)`, for plain values and far cheaper: for the line of each request. */
export function logInfo(log: Log, fields: object, message: string): void {
  if (!log.isLevelEnabled('info')) return
  const internals = log as unknown as Record<symbol, unknown>
  const time = (internals[timeSym] as () => string)()
  const text = JSON.stringify(fields).slice(1, -1)
  ;(internals[streamSym] as DestinationStream).write(`{"level":30${time},${text},"msg":"${message}"}\n`)
}

/** One per process, even with several servers in it. */
let destination: DestinationStream | undefined
function standardOutput(): DestinationStream {
  if (destination) return destination
  const output = process.stdout.isTTY ? openTerminal() : openDestination()
  destination = {
    write(line) {
      if (ERROR_LINE.test(line)) remember(line)
      output.write(line)
    },
  }
  return destination
}

/** As pino writes it: level 50 is an error, 60 is fatal. */
const ERROR_LINE = /^\{"level":[56]/
const REMEMBERED = 5
const errors: { at: string; message: string }[] = []

function remember(line: string): void {
  const { time, msg } = JSON.parse(line) as { time?: string; msg?: string }
  errors.unshift({ at: time ?? '', message: msg ?? '' })
  if (errors.length > REMEMBERED) errors.pop()
}

/** The last errors of this process, the newest first: what the log calls them, without details. */
export function lastErrors(): { at: string; message: string }[] {
  return [...errors]
}

function openTerminal(): DestinationStream {
  return pretty({
    destination: STANDARD_OUTPUT,
    sync: true,
    translateTime: 'SYS:HH:MM:ss',
    singleLine: true,
    errorLikeObjectKeys: [],
  })
}

const STANDARD_OUTPUT = 1
const WARN = 40
let dropped = 0

/** Number of log lines dropped since the process started. */
export function droppedLogLines(): number {
  return dropped
}

/**
 * Writes the lines of one turn of the event loop together, or drops and counts them: a full disk or a closed or slow
 * reader costs log lines, never the service. The next line that can be written is preceded by a note of how many are
 * missing.
 */
function openDestination(): DestinationStream {
  const output = nonBlocking(STANDARD_OUTPUT)
  let lines: string[] = []
  /** The rest of partially written lines, which must be written first. */
  let rest = Buffer.alloc(0)
  let missing = 0
  function flush(): void {
    if (lines.length === 0) return
    rest = rest.subarray(writeSome(output, rest))
    if (rest.length === 0) {
      const bytes = Buffer.from((missing > 0 ? missingNote(missing) : '') + lines.join(''))
      const written = writeSome(output, bytes)
      if (written > 0) {
        rest = bytes.subarray(written)
        missing = 0
        lines = []
        return
      }
    }
    missing += lines.length
    dropped += lines.length
    lines = []
  }
  process.on('exit', flush)
  return {
    write(line) {
      if (lines.push(line) === 1) setImmediate(flush)
    },
  }
}

/** @returns how many bytes were written. */
function writeSome(output: number, bytes: Buffer): number {
  let written = 0
  try {
    while (written < bytes.length) written += writeSync(output, bytes, written)
  } catch {
    // The error cannot be logged; the caller counts missing lines.
  }
  return written
}

function missingNote(count: number): string {
  return `{"level":${WARN}${pino.stdTimeFunctions.isoTime()},"dropped":${count},"msg":"log lines were dropped because they could not be written"}\n`
}

/**
 * A pipe with a stalled reader would block the whole process, so it is reopened in non-blocking mode: changing the mode of
 * the existing descriptor would affect others that share it. If that fails, or it is not a pipe, the descriptor is used.
 */
function nonBlocking(descriptor: number): number {
  try {
    if (!fstatSync(descriptor).isFIFO()) return descriptor
    return openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch {
    return descriptor
  }
}
