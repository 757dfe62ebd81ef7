import { type Logger, pino } from 'pino'

export type Log = Logger

/** Structured log, one JSON object a line on standard output. Callers pass ids and our own words, never secrets. */
export function openLog(level: string): Log {
  return pino({ level, base: undefined, timestamp: pino.stdTimeFunctions.isoTime })
}
