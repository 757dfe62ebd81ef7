import { z } from 'zod'
import { AUDIT_EVENTS } from '../../audit/catalogue.ts'
import { searchAuditLog as search } from '../../audit/search.ts'
import { READ_ONLY, type Tool } from './tool.ts'

/** Text without control characters, which the database rejects. */
const printable = (length: number) =>
  z
    .string()
    .max(length)
    .regex(/^\P{Cc}*$/u, 'must not contain control characters')

/** A time within the database's range. */
const instant = () =>
  z.iso.datetime({ offset: true }).refine(value => {
    const time = Date.parse(value)
    return time >= 0 && time < Date.UTC(10_000, 0)
  }, 'must be a time between the years 1970 and 9999')

const AUDIT_SEARCH = z.object({
  event: z.enum(Object.keys(AUDIT_EVENTS) as [string, ...string[]]).optional(),
  email: printable(320).optional().describe('Only events of users with this address'),
  client_id: printable(2048).optional(),
  ip: printable(64).optional(),
  since: instant().optional().describe('Earliest time, ISO 8601, included'),
  until: instant().optional().describe('Latest time, ISO 8601, not included'),
  limit: z.int().min(1).max(200).default(50).describe('Maximum number of events'),
  cursor: z.string().max(100).optional().describe('The next_cursor of an earlier result, to continue from there'),
})

export const searchAuditLog: Tool = {
  name: 'search_audit_log',
  title: 'Search the audit log',
  description:
    "Returns events from this server's audit log, newest first: sign-ins, client registrations, issued and refused tokens, tool calls. Filter by event, user, client, IP address or time. Use it to find out who did what and when. For administrators.",
  input: AUDIT_SEARCH,
  output: z.object({
    events: z.array(
      z.object({
        at: z.string(),
        event: z.string(),
        meaning: z.string(),
        user_id: z.string().optional(),
        email: z.string().optional().describe("The user's current address"),
        client_id: z.string().optional(),
        grant_id: z.string().optional(),
        ip: z.string().optional(),
        detail: z.record(z.string(), z.string()),
      }),
    ),
    next_cursor: z.string().optional().describe('Cursor for older events; absent if there are none'),
  }),
  annotations: READ_ONLY,
  scopes: ['admin'],
  forUsers: false,
  atOnce: 4,
  async call(deps, _caller, input, { signal, report }) {
    const { since, until, client_id: clientId, ...rest } = input as z.infer<typeof AUDIT_SEARCH>
    const { events, nextCursor } = await search(
      deps,
      { ...rest, clientId, since: since ? new Date(since) : undefined, until: until ? new Date(until) : undefined },
      { signal, onSearched: count => report?.(count, `Searched ${count} events`) },
    )
    return {
      events: events.map(({ at, event, detail, ...more }) => ({
        at: at.toISOString(),
        event,
        meaning: AUDIT_EVENTS[event as keyof typeof AUDIT_EVENTS] ?? '',
        ...withoutNulls(more),
        detail: Object.fromEntries(Object.entries(detail).map(([name, value]) => [name, String(value)])),
      })),
      ...(nextCursor === null ? {} : { next_cursor: nextCursor }),
    }
  },
}

/** Omits null members, so that the schema does not need nullable types. */
function withoutNulls(row: object): object {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null))
}
