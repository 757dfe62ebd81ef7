/**
 * Keeps the last events of each session, for clients that reconnect with Last-Event-ID (MCP 2025-11-25, "Resumability and
 * Redelivery"). Bounded per session and overall.
 */
import { randomBytes } from 'node:crypto'

const MAX_EVENTS = 256
const MAX_BYTES = 1024 * 1024
const MAX_BYTES_OVERALL = 128 * 1024 * 1024
/** Overhead of an event beyond its data. */
const BYTES_EACH = 150

/**
 * One event. Its id, `<stream>-<number>-<log>`, is unique within the session, even across processes.
 */
export interface LoggedEvent {
  id: string
  stream: number
  number: number
  /** JSON; empty for an event that only serves as a point to resume from. */
  data: string
}

export interface EventLog {
  /** A unique name. */
  readonly name: string
  append(stream: number, data: string): LoggedEvent
  /** The events after the given one on its stream; undefined if no event of that stream is left. */
  after(event: { stream: number; number: number }): LoggedEvent[] | undefined
  /** The number of the last event. */
  readonly last: number
  clear(): void
}

/** Parses an event id. @returns undefined if it is invalid. */
export function parseEventId(id: string): { stream: number; number: number; log: string } | undefined {
  const match = /^(\d{1,12})-(\d{1,12})-([0-9a-f]{12})$/.exec(id)
  return match ? { stream: Number(match[1]), number: Number(match[2]), log: match[3]! } : undefined
}

/** @returns a function that opens the log of a session for its owner. */
export function openEventLogs(): (person: string) => EventLog {
  /** Owner and size of each log that is not empty, the least recently written first. */
  const logs = new Map<EventLog, { person: string; size: number }>()
  const held = new Map<string, number>()
  let bytesOverall = 0

  function resize(log: EventLog, person: string, size: number): void {
    const change = size - (logs.get(log)?.size ?? 0)
    const total = (held.get(person) ?? 0) + change
    bytesOverall += change
    logs.delete(log)
    if (size > 0) logs.set(log, { person, size })
    if (total > 0) held.set(person, total)
    else held.delete(person)
  }

  /** Clears the least recently written log of the person with the most data. */
  function makeRoom(): void {
    const [greediest] = [...held].reduce((most, one) => (one[1] > most[1] ? one : most))
    for (const [log, { person }] of logs) {
      if (person !== greediest) continue
      log.clear()
      return
    }
  }

  return person => {
    const name = randomBytes(6).toString('hex')
    let events: LoggedEvent[] = []
    let bytes = 0
    let last = 0
    const log: EventLog = {
      name,
      append(stream, data) {
        const event = { id: `${stream}-${++last}-${name}`, stream, number: last, data }
        events.push(event)
        bytes += sizeOf(event)
        while (events.length > MAX_EVENTS || bytes > MAX_BYTES) bytes -= sizeOf(events.shift()!)
        resize(log, person, bytes)
        while (bytesOverall > MAX_BYTES_OVERALL) makeRoom()
        return event
      },
      get last() {
        return last
      },
      after({ stream, number }) {
        const known = events.filter(event => event.stream === stream)
        return known.length > 0 ? known.filter(event => event.number > number) : undefined
      },
      clear() {
        events = []
        bytes = 0
        resize(log, person, 0)
      },
    }
    return log
  }
}

function sizeOf({ data }: LoggedEvent): number {
  return data.length + BYTES_EACH
}
