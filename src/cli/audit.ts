import { type AuditEventRow, listAuditEventsAfter, newestAuditEvent } from '../../sql/audit-events.ts'
import { AUDIT_EVENTS } from '../audit/events.ts'
import { type AuditSearch, searchAuditLog } from '../audit/search.ts'
import { UsageError } from '../lib/errors.ts'
import { withDeps } from './environment.ts'
import { print, printTable, say } from './terminal.ts'

interface Filter {
  event?: string
  user?: string
  client?: string
  ip?: string
  since?: string
  until?: string
  json?: boolean
}

const PAGE = 1_000
const TAIL_MS = 1_000
const COLUMNS = ['at', 'event', 'email', 'client_id', 'grant_id', 'ip', 'detail'] as const

export async function list({ limit: most, ...options }: Filter & { limit: string }): Promise<void> {
  const limit = Number(most)
  if (!Number.isInteger(limit) || limit < 1) throw new UsageError('--limit must be a whole number, at least 1')
  const filter = readFilter(options)
  await withDeps(async deps => {
    const events = search(deps, filter, limit)
    if (options.json) return printLines(events)
    async function* rows() {
      for await (const event of events) yield [event.at, ...cells(event).slice(1)]
    }
    await printTable({ columns: COLUMNS, rows: rows() }, deps.now())
  })
}

export async function tail(options: Filter): Promise<void> {
  const { event, email, clientId, ip } = readFilter(options)
  await withDeps(async ({ sql }) => {
    for (let last = await newestAuditEvent(sql); ; ) {
      const events = await listAuditEventsAfter(sql, last, PAGE)
      for (const { id, ...found } of events) {
        last = id
        if (event !== undefined && found.event !== event) continue
        if (email !== undefined && found.email?.toLowerCase() !== email.toLowerCase()) continue
        if (clientId !== undefined && found.client_id !== clientId) continue
        if (ip !== undefined && found.ip !== ip) continue
        print(options.json ? JSON.stringify(found) : cells(found).join('\t'))
      }
      if (events.length < PAGE) await Bun.sleep(TAIL_MS)
    }
  })
}

export async function exportAll(options: Filter): Promise<void> {
  const filter = readFilter(options)
  await withDeps(async deps => {
    const events = search(deps, filter, Number.POSITIVE_INFINITY)
    if (options.json) return printLines(events)
    print(COLUMNS.join(','))
    let count = 0
    for await (const event of events) {
      print(cells(event).map(quoted).join(','))
      if (++count % 100_000 === 0) say(`${count} events …`)
    }
  })
}

async function* search(
  deps: Parameters<typeof searchAuditLog>[0],
  filter: Omit<AuditSearch, 'limit'>,
  most: number,
): AsyncGenerator<AuditEventRow> {
  let cursor: string | null | undefined
  for (let left = most; left > 0 && cursor !== null; ) {
    const { events, nextCursor } = await searchAuditLog(deps, {
      ...filter,
      limit: Math.min(left, PAGE),
      cursor: cursor ?? undefined,
    })
    yield* events
    left -= events.length
    cursor = nextCursor
  }
}

async function printLines(events: AsyncIterable<AuditEventRow>): Promise<void> {
  for await (const event of events) print(JSON.stringify(event))
}

function cells({ at, event, email, user_id, client_id, grant_id, ip, detail }: AuditEventRow): string[] {
  const details = Object.entries(detail).map(([name, value]) => `${name}=${value}`)
  return [at.toISOString(), event, email ?? user_id ?? '', client_id ?? '', grant_id ?? '', ip ?? '', details.join(' ')]
}

/** RFC 4180. What a spreadsheet would take for a formula is text. */
function quoted(cell: string): string {
  const text = /^[=+@\t\r-]/.test(cell) ? `'${cell}` : cell
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function readFilter({ event, user, client, ip, since, until }: Filter): Omit<AuditSearch, 'limit'> {
  if (event !== undefined && !Object.hasOwn(AUDIT_EVENTS, event))
    throw new UsageError(`There is no event ${event}; use ${Object.keys(AUDIT_EVENTS).join(', ')}`)
  return {
    event,
    email: user,
    clientId: client,
    ip,
    since: readTime('--since', since),
    until: readTime('--until', until),
  }
}

function readTime(option: string, text: string | undefined): Date | undefined {
  if (text === undefined) return undefined
  const time = new Date(text)
  if (!/^\d{4}-\d\d-\d\d/.test(text) || Number.isNaN(time.getTime()))
    throw new UsageError(`${option} ${text} is not a time such as 2026-11-01 or 2026-11-01T12:00:00Z`)
  return time
}
