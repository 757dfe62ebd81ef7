/** The built-in tools: what a connected app can ask this server about itself and its user. */

import { z } from 'zod'
import { findUserById } from '../../../sql/users.ts'
import { AUDIT_EVENTS } from '../../audit/events.ts'
import { searchAuditLog } from '../../audit/search.ts'
import { AppError } from '../../lib/errors.ts'
import type { OAuthDeps } from '../../oauth/deps.ts'
import { lookUpClient } from '../../oauth/memory.ts'
import type { Principal } from '../../oauth/principal.ts'
import { listConnections, revokeGrant } from '../../oauth/tokens.ts'

/** A tool as it stands in the catalogue; built once, registered with the server of every request that may use it. */
export interface Tool {
  name: string
  title: string
  description: string
  input: z.ZodObject
  output: z.ZodObject
  annotations: { readOnlyHint: boolean; destructiveHint: boolean; idempotentHint: boolean; openWorldHint: boolean }
  /** The scopes that it needs besides the one that calling any tool needs. */
  scopes: readonly string[]
  /** Whether it is about a user, so that a machine has no use for it. */
  forUsers: boolean
  /** How many calls of it one person may have in progress, if fewer than of all tools together. */
  atOnce?: number
  /** @returns the structured content, of the shape of `output`. */
  call(
    deps: OAuthDeps,
    principal: Principal,
    input: Record<string, unknown>,
    context: CallContext,
  ): Promise<Record<string, unknown>>
}

/** What a call can tell its caller while it runs, and hear from it. */
export interface CallContext {
  /** Aborted when the caller does not want the result any more. */
  signal?: AbortSignal | undefined
  /** Absent if the caller did not ask to be told. @param progress A number that only grows. */
  report?: ((progress: number, message: string) => void) | undefined
}

const READ_ONLY = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false }

const whoami: Tool = {
  name: 'whoami',
  title: 'Who am I',
  description: 'Tells as whom this app is connected, through which client, and what the access token allows.',
  input: z.object({}),
  output: z.object({
    user: z
      .object({ id: z.string(), email: z.string(), name: z.string(), admin: z.boolean() })
      .nullable()
      .describe('null for a machine'),
    client: z.object({ id: z.string(), name: z.string() }),
    scope: z.array(z.string()),
    resource: z.string().describe('URL of the MCP endpoint that the token is for'),
    expires_at: z.string().describe('When the access token expires, ISO 8601'),
  }),
  annotations: READ_ONLY,
  scopes: [],
  forUsers: false,
  async call(deps, principal) {
    const [client, user] = await Promise.all([
      lookUpClient(deps, principal.clientId),
      principal.userId ? findUserById(deps.sql, principal.userId) : undefined,
    ])
    return {
      user: user ? { id: user.id, email: user.email, name: user.name, admin: user.is_admin } : null,
      client: { id: principal.clientId, name: client?.name ?? '' },
      scope: [...principal.scope],
      resource: principal.audience,
      expires_at: new Date(principal.expiresAt * 1000).toISOString(),
    }
  },
}

const connectionSchema = z.object({
  id: z.string(),
  client: z.object({ id: z.string(), name: z.string() }),
  scope: z.array(z.string()),
  resource: z.string(),
  connected_at: z.string(),
  last_renewed_at: z.string(),
  current: z.boolean().describe('Whether it is the connection that this call came through'),
})

const listConnectionsTool: Tool = {
  name: 'list_connections',
  title: 'List connected apps',
  description: 'Lists the apps that are connected as the current user: what each may do, and when it was last renewed.',
  input: z.object({}),
  output: z.object({ connections: z.array(connectionSchema) }),
  annotations: READ_ONLY,
  scopes: [],
  forUsers: true,
  async call(deps, principal) {
    const connections = await listConnections(deps, principal.userId!)
    return {
      connections: connections.map(connection => ({
        id: connection.id,
        client: { id: connection.client_id, name: connection.client_name },
        scope: connection.scope,
        resource: connection.resource,
        connected_at: connection.created_at.toISOString(),
        last_renewed_at: connection.used_at.toISOString(),
        current: connection.id === principal.grantId,
      })),
    }
  },
}

const revokeConnection: Tool = {
  name: 'revoke_connection',
  title: 'Disconnect an app',
  description:
    'Ends one of the current user’s connected apps at once: its access and refresh tokens stop working. Take the id from list_connections.',
  input: z.object({ id: z.uuid().describe('The connection’s id, from list_connections') }),
  output: z.object({ revoked: z.boolean() }),
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: false },
  scopes: ['connections:manage'],
  forUsers: true,
  async call(deps, principal, input) {
    const revoked = await revokeGrant(deps, { grantId: String(input.id), userId: principal.userId!, by: 'user' })
    if (!revoked)
      throw new AppError('There is no such connection', 'Take the id from list_connections; it may have ended already.')
    return { revoked }
  },
}

/** Text without control characters, which the database would not take. */
const printable = (length: number) =>
  z
    .string()
    .max(length)
    .regex(/^\P{Cc}*$/u, 'must not have control characters')

/** A time that the database can hold, too. */
const instant = () =>
  z.iso.datetime({ offset: true }).refine(value => {
    const time = Date.parse(value)
    return time >= 0 && time < Date.UTC(10_000, 0)
  }, 'must be a time between the years 1970 and 9999')

const AUDIT_SEARCH = z.object({
  event: z.enum(Object.keys(AUDIT_EVENTS) as [string, ...string[]]).optional(),
  email: printable(320).optional().describe('Only events of the users with this address'),
  client_id: printable(2048).optional(),
  ip: printable(64).optional(),
  since: instant().optional().describe('Earliest time, ISO 8601, included'),
  until: instant().optional().describe('Latest time, ISO 8601, not included'),
  limit: z.int().min(1).max(200).default(50).describe('How many events at most'),
  cursor: z.string().max(100).optional().describe('The next_cursor of an earlier answer, to go on from there'),
})

const searchAuditLogTool: Tool = {
  name: 'search_audit_log',
  title: 'Search the audit log',
  description:
    'Searches this server’s audit log, newest events first: who signed in, which clients registered, got tokens or were refused, which tools were called. For administrators.',
  input: AUDIT_SEARCH,
  output: z.object({
    events: z.array(
      z.object({
        at: z.string(),
        event: z.string(),
        meaning: z.string(),
        user_id: z.string().optional(),
        email: z.string().optional().describe('The user’s address now'),
        client_id: z.string().optional(),
        grant_id: z.string().optional(),
        ip: z.string().optional(),
        detail: z.record(z.string(), z.string()),
      }),
    ),
    next_cursor: z.string().optional().describe('For older events; absent if there are none'),
  }),
  annotations: READ_ONLY,
  scopes: ['admin'],
  forUsers: false,
  atOnce: 4,
  async call(deps, _principal, input, { signal, report }) {
    const { since, until, client_id: clientId, ...rest } = input as z.infer<typeof AUDIT_SEARCH>
    const { events, nextCursor } = await searchAuditLog(
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

/** Absent rather than null, which fewer clients can express in a schema. */
function withoutNulls(row: object): object {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null))
}

export const TOOLS: readonly Tool[] = [whoami, listConnectionsTool, revokeConnection, searchAuditLogTool]

export function findTool(name: unknown): Tool | undefined {
  return TOOLS.find(tool => tool.name === name)
}
