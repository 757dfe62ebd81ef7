/**
 * The last events of sessions, for clients that lost their connection and resume with Last-Event-ID (MCP 2025-11-25,
 * "Resumability and Redelivery"). Bounded for each session and for all of them together.
 */
import { randomBytes } from 'node:crypto'

const MAX_EVENTS = 256
const MAX_BYTES = 1024 * 1024
const MAX_BYTES_OVERALL = 128 * 1024 * 1024
/** What an event takes besides its data. */
const BYTES_EACH = 150

/**
 * One event: what it says, and its id, `<stream>-<number>-<log>`, which no other event of its session has, whichever
 * process said it.
 */
export interface LoggedEvent {
  id: string
  stream: number
  number: number
  /** JSON, or nothing in an event that is only there to be resumed from. */
  data: string
}

export interface EventLog {
  /** Differs from that of every other log. */
  readonly name: string
  append(stream: number, data: string): LoggedEvent
  /** What came after an event on its stream; nothing if no event of that stream is known any more. */
  after(event: { stream: number; number: number }): LoggedEvent[] | undefined
  /** The number of the last event. */
  readonly last: number
  clear(): void
}

/** Where an event id says that its reader stopped. */
export function parseEventId(id: string): { stream: number; number: number; log: string } | undefined {
  const match = /^(\d{1,12})-(\d{1,12})-([0-9a-f]{12})$/.exec(id)
  return match ? { stream: Number(match[1]), number: Number(match[2]), log: match[3]! } : undefined
}

/** @returns how to open the log of a session, which is whose. */
export function openEventLogs(): (person: string) => EventLog {
  /** Of each log in use, whose it is and its size; the one written to least recently first. */
  const logs = new Map<EventLog, { person: string; size: number }>()
  const held = new Map<string, number>()
  let bytesOverall = 0

  function resize(log: EventLog, person: string, size: number): void {
    const change = size - (logs.get(log)?.size ?? 0)
    const total = (held.get(person) ?? 0) + change
    bytesOverall += change
    logs.delete(log)
    held.delete(person)
    if (size > 0) logs.set(log, { person, size })
    if (total > 0) held.set(person, total)
  }

  /** Empties a log of whoever holds most, the one that was written to least recently. */
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
