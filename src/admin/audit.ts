/** The audit log: searched by filters in the address, and exported. */
import { createHash } from 'node:crypto'
import { Elysia } from 'elysia'
import type { AuditEventRow } from '../../sql/audit-events.ts'
import { auditPage, eventList } from '../../views/admin/audit.tsx'
import { AUDIT_EVENTS, type AuditEventName } from '../audit/catalogue.ts'
import { type AuditCriteria, COLUMNS, cells, csvLine, exportedEvents, readTime } from '../audit/export.ts'
import { searchAuditLog } from '../audit/search.ts'
import { isFragmentRequest } from '../http/pages.ts'
import { queryParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { page } from '../http/shell.ts'
import { AppError } from '../lib/errors.ts'
import { type AdminDeps, type Asked, administrators, adminPage, asAdministrator } from './guard.ts'
import { address } from './paging.ts'

const LIMIT = 50

export const audit = (deps: AdminDeps) =>
  new Elysia({ name: 'admin-audit' })
    .use(administrators(deps))
    .get('/admin/audit', asked => showAudit(deps, asked), { administrator: true, ...PAGE })
    .get('/admin/audit/export', asked => exportAudit(deps, asked), { administrator: true, ...PAGE })

type Filter = Record<'event' | 'user' | 'client' | 'ip' | 'since' | 'until', string>

function readFilter(params: Readonly<Record<string, string>>): Filter {
  const { event = '', user = '', client = '', ip = '', since = '', until = '' } = params
  return { event, user, client, ip, since, until }
}

/** What to search for, or what is wrong with the filter. */
function criteriaOf({
  event,
  user,
  client,
  ip,
  since,
  until,
}: Filter): { criteria: AuditCriteria } | { problem: string } {
  if (event !== '' && !Object.hasOwn(AUDIT_EVENTS, event)) return { problem: `There is no event ${event}.` }
  for (const time of [since, until])
    if (time !== '' && !readTime(time)) return { problem: `${time} is not a time such as 2026-11-01.` }
  return {
    criteria: {
      event: event || undefined,
      email: user || undefined,
      clientId: client || undefined,
      ip: ip || undefined,
      since: readTime(since),
      until: readTime(until),
    },
  }
}

async function showAudit(deps: AdminDeps, asked: Asked): Promise<Response> {
  const params = queryParams(asked.request)
  const filter = readFilter(params)
  const read = criteriaOf(filter)
  const { events, nextCursor, reached } =
    'problem' in read
      ? { events: [], nextCursor: null, reached: undefined }
      : await searchAuditLog(deps, { ...read.criteria, cursor: params.cursor, limit: LIMIT })
  const canFollow = !('problem' in read) && params.cursor === undefined && filter.until === ''
  const list = {
    events: events.map(shown),
    reached: reached?.toISOString(),
    live: canFollow && params.live === 'yes' ? followed(filter, events) : undefined,
  }
  if (list.live && isFragmentRequest(asked.request))
    return list.live.seen === params.seen
      ? new Response(null, { status: 204 })
      : page(deps, asked.request, () => eventList(list))
  const exported = (format: string) => address('/admin/audit/export', { ...filter, format })
  return adminPage(
    deps,
    asked,
    'audit',
    frame =>
      auditPage({
        ...list,
        frame,
        filter,
        problem: 'problem' in read ? read.problem : undefined,
        names: Object.keys(AUDIT_EVENTS),
        next: nextCursor === null ? undefined : address('/admin/audit', { ...filter, cursor: nextCursor }),
        follow: canFollow ? address('/admin/audit', { ...filter, live: 'yes' }) : undefined,
        csv: exported('csv'),
        lines: exported('jsonl'),
      }),
    'problem' in read ? 400 : 200,
  )
}

/** What a live view asks for again and again. What it has seen is not sent once more, so that nothing moves under a pointer. */
function followed(filter: Filter, events: AuditEventRow[]) {
  const seen = createHash('sha256').update(JSON.stringify(events)).digest('base64url').slice(0, 22)
  return {
    seen,
    poll: address('/admin/audit', { ...filter, live: 'yes', seen }),
    here: address('/admin/audit', { ...filter, live: 'yes' }),
    stop: address('/admin/audit', filter),
  }
}

function shown(event: AuditEventRow) {
  return {
    at: event.at.toISOString(),
    event: event.event,
    meaning: AUDIT_EVENTS[event.event as AuditEventName] ?? '',
    who: event.email ?? event.user_id ?? '',
    clientId: event.client_id ?? '',
    ip: event.ip ?? '',
    details: cells(event).at(-1)!.slice(0, 500),
  }
}

/** Everything that matches, sent as it is read. */
function exportAudit(deps: AdminDeps, asked: Asked): Response {
  const params = queryParams(asked.request)
  const read = criteriaOf(readFilter(params))
  if ('problem' in read) throw new AppError('This cannot be exported', read.problem)
  const isCsv = params.format === 'csv'
  const events = exportedEvents(asAdministrator(deps, asked), read.criteria, isCsv ? 'csv' : 'jsonl')
  const encoder = new TextEncoder()
  let begun = !isCsv
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (!begun) {
        begun = true
        return controller.enqueue(encoder.encode(`${COLUMNS.join(',')}\r\n`))
      }
      const lines: string[] = []
      while (lines.length < LIMIT) {
        const { value, done } = await events.next()
        if (done) break
        lines.push(isCsv ? `${csvLine(cells(value))}\r\n` : `${JSON.stringify(value)}\n`)
      }
      if (lines.length > 0) controller.enqueue(encoder.encode(lines.join('')))
      if (lines.length < LIMIT) controller.close()
    },
    async cancel() {
      await events.return(undefined)
    },
  })
  const name = `audit.${isCsv ? 'csv' : 'jsonl'}`
  return new Response(body, {
    headers: {
      'Content-Type': isCsv ? 'text/csv; charset=utf-8' : 'application/jsonl; charset=utf-8',
      'Content-Disposition': `attachment; filename="${name}"`,
      'Cache-Control': 'no-store',
    },
  })
}
