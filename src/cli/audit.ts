import { type AuditEventRow, oldestAuditEvent } from '../../sql/audit-events.ts'
import { AUDIT_EVENTS } from '../audit/catalogue.ts'
import { type AuditCriteria, allEvents, COLUMNS, cells, csvLine, exportedEvents, readTime } from '../audit/export.ts'
import { newEvents } from '../audit/tail.ts'
import { UsageError } from '../lib/errors.ts'
import { withDeps } from './environment.ts'
import { print, printInTurn, printTable, progressBar } from './terminal.ts'

interface Filter {
  event?: string
  user?: string
  client?: string
  ip?: string
  since?: string
  until?: string
  json?: boolean
}

export async function list({ limit: most, ...options }: Filter & { limit: string }): Promise<void> {
  const limit = Number(most)
  if (!Number.isInteger(limit) || limit < 1) throw new UsageError('--limit must be a whole number, at least 1')
  const filter = readFilter(options)
  await withDeps(async deps => {
    const events = allEvents(deps, filter, limit)
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
    for await (const found of newEvents(sql)) {
      if (event !== undefined && found.event !== event) continue
      if (email !== undefined && found.email?.toLowerCase() !== email.toLowerCase()) continue
      if (clientId !== undefined && found.client_id !== clientId) continue
      if (ip !== undefined && found.ip !== ip) continue
      print(options.json ? JSON.stringify(found) : cells(found).join('\t'))
    }
  })
}

export async function exportAll(options: Filter): Promise<void> {
  const filter = readFilter(options)
  await withDeps(async deps => {
    // A bar would be in the way of events on the same terminal.
    const bar = process.stdout.isTTY ? () => {} : progressBar('Exporting')
    const from = Math.max(filter.since?.getTime() ?? 0, (await oldestAuditEvent(deps.sql))?.getTime() ?? 0)
    const to = Math.min(filter.until?.getTime() ?? Number.POSITIVE_INFINITY, deps.now().getTime())
    const events = exportedEvents(deps, filter, options.json ? 'jsonl' : 'csv', reached =>
      bar((to - reached.getTime()) / (to - from), `back to ${reached.toISOString().slice(0, 10)}`),
    )
    if (options.json) await printLines(events)
    else {
      print(COLUMNS.join(','))
      for await (const event of events) await printInTurn(csvLine(cells(event)))
    }
    bar(1, '')
  })
}

async function printLines(events: AsyncIterable<AuditEventRow>): Promise<void> {
  for await (const event of events) await printInTurn(JSON.stringify(event))
}

function readFilter({ event, user, client, ip, since, until }: Filter): AuditCriteria {
  if (event !== undefined && !Object.hasOwn(AUDIT_EVENTS, event))
    throw new UsageError(`There is no event ${event}; use ${Object.keys(AUDIT_EVENTS).join(', ')}`)
  return {
    event,
    email: user,
    clientId: client,
    ip,
    since: timeOf('--since', since),
    until: timeOf('--until', until),
  }
}

function timeOf(option: string, text: string | undefined): Date | undefined {
  const time = text === undefined ? undefined : readTime(text)
  if (text !== undefined && !time)
    throw new UsageError(`${option} ${text} is not a time such as 2026-11-01 or 2026-11-01T12:00:00Z`)
  return time
}
