import { constants, fstatSync, openSync, writeSync } from 'node:fs'
import { type DestinationStream, type Logger, pino } from 'pino'

export type Log = Logger

/** Structured log, one JSON object a line on standard output. Callers pass ids and our own words, never secrets. */
export function openLog(level: string): Log {
  return pino({ level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime }, standardOutput())
}

/** There is one, however many servers are in this process. */
let destination: DestinationStream | undefined
function standardOutput(): DestinationStream {
  destination ??= openDestination()
  return destination
}

const STANDARD_OUTPUT = 1
const WARN = 40
let dropped = 0

/** Lines of the log that could not be written since the process began. */
export function droppedLogLines(): number {
  return dropped
}

/**
 * Where lines go: those of one turn of the event loop are written together, or dropped and counted. A full disk, a reader
 * that is gone and one that does not keep up cost the log lines, never the service. The next line that can be written
 * comes after one that says how many are missing.
 */
function openDestination(): DestinationStream {
  const output = nonBlocking(STANDARD_OUTPUT)
  let lines: string[] = []
  /** What is left of lines that were cut in the middle; nothing else may be written before it. */
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

/** @returns how many bytes could be written now. */
function writeSome(output: number, bytes: Buffer): number {
  let written = 0
  try {
    while (written < bytes.length) written += writeSync(output, bytes, written)
  } catch {
    // Whatever it is, the log cannot tell; the caller counts what is missing.
  }
  return written
}

function missingNote(count: number): string {
  return `{"level":${WARN}${pino.stdTimeFunctions.isoTime()},"dropped":${count},"msg":"log lines are missing here: they could not be written"}\n`
}

/**
 * A pipe whose reader has stalled would block the whole process. It is opened anew for that, since the mode belongs to
 * what is open and others may share it. Where that is not allowed, and for anything else, the descriptor itself serves.
 */
function nonBlocking(descriptor: number): number {
  try {
    if (!fstatSync(descriptor).isFIFO()) return descriptor
    return openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch {
    return descriptor
  }
}
