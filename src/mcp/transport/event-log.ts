/**
 * Keeps the last events of each session, for clients that reconnect with Last-Event-ID (MCP 2025-11-25, "Resumability and
 * Redelivery"). Bounded per session and overall.
 */
import { randomBytes } from 'node:crypto'
import { openRecency, type Placed } from './recency.ts'

const MAX_EVENTS = 256
const MAX_BYTES = 1024 * 1024
const MAX_BYTES_OVERALL = 128 * 1024 * 1024
/** Overhead of an event beyond its data. */
const BYTES_EACH = 150

/** One event of a stream. */
export interface LoggedEvent {
  stream: number
  number: number
  /** JSON; empty for an event that only serves as a point to resume from. */
  data: string
}

/** The events of one session. */
export interface EventLog extends Placed<EventLog> {
  /** A unique name. */
  readonly name: string
  readonly person: string
  events: LoggedEvent[]
  bytes: number
  /** The number of the last event. */
  last: number
}

/** The id of an event, which is unique within the session, even across processes. */
export const idOf = ({ name }: EventLog, { stream, number }: LoggedEvent) => `${stream}-${number}-${name}`

/** Parses an event id. @returns undefined if it is invalid. */
export function parseEventId(id: string): { stream: number; number: number; log: string } | undefined {
  const match = /^(\d{1,12})-(\d{1,12})-([0-9a-f]{12})$/.exec(id)
  return match ? { stream: Number(match[1]), number: Number(match[2]), log: match[3]! } : undefined
}

/** @returns the events after the given one on its stream; undefined if no event of that stream is left. */
export function eventsAfter(
  { events }: EventLog,
  { stream, number }: { stream: number; number: number },
): LoggedEvent[] | undefined {
  const known = events.filter(event => event.stream === stream)
  return known.length > 0 ? known.filter(event => event.number > number) : undefined
}

export interface EventLogs {
  /** Opens the log of a session for its owner. */
  open(person: string): EventLog
  append(log: EventLog, stream: number, data: string): LoggedEvent
  clear(log: EventLog): void
}

export function openEventLogs(): EventLogs {
  /** Of those that are not empty. */
  const order = openRecency<EventLog>()
  const held = new Map<string, number>()
  let bytesOverall = 0

  function resize(log: EventLog, bytes: number): void {
    const change = bytes - log.bytes
    const total = (held.get(log.person) ?? 0) + change
    log.bytes = bytes
    bytesOverall += change
    if (bytes > 0) order.touch(log)
    else order.remove(log)
    if (total > 0) held.set(log.person, total)
    else held.delete(log.person)
  }

  function clear(log: EventLog): void {
    log.events = []
    resize(log, 0)
  }

  /** Clears the least recently written log of the person with the most data. */
  function makeRoom(): void {
    const [greediest] = [...held].reduce((most, one) => (one[1] > most[1] ? one : most))
    let log = order.oldest()
    while (log && log.person !== greediest) log = log.newer
    clear(log!)
  }

  return {
    open: person => ({ name: randomBytes(6).toString('hex'), person, events: [], bytes: 0, last: 0 }),
    append(log, stream, data) {
      const event = { stream, number: ++log.last, data }
      const { events } = log
      events.push(event)
      let bytes = log.bytes + sizeOf(event)
      while (events.length > MAX_EVENTS || bytes > MAX_BYTES) bytes -= sizeOf(events.shift()!)
      resize(log, bytes)
      while (bytesOverall > MAX_BYTES_OVERALL) makeRoom()
      return event
    },
    clear,
  }
}

function sizeOf({ data }: LoggedEvent): number {
  return data.length + BYTES_EACH
}
