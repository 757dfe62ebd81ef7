/** Protocol constants: revisions, `_meta` keys, and what the `Mcp-Name` header repeats. */
import { isObject } from './messages.ts'

export const MODERN = '2026-07-28'
/** The newest revision of the 2025 era; upstreams may answer with an older one. */
export const LEGACY = '2025-11-25'
export const LEGACY_REVISIONS: ReadonlySet<string> = new Set([
  '2025-11-25',
  '2025-06-18',
  '2025-03-26',
  '2024-11-05',
  '2024-10-07',
])

export const PROTOCOL_VERSION = 'io.modelcontextprotocol/protocolVersion'
export const CLIENT_INFO = 'io.modelcontextprotocol/clientInfo'
export const CLIENT_CAPABILITIES = 'io.modelcontextprotocol/clientCapabilities'
export const LOG_LEVEL = 'io.modelcontextprotocol/logLevel'
export const SERVER_INFO = 'io.modelcontextprotocol/serverInfo'
export const SUBSCRIPTION_ID = 'io.modelcontextprotocol/subscriptionId'

/** The extension of 2026-07-28; the experimental tasks of 2025-11-25 are something else. */
export const TASKS_EXTENSION = 'io.modelcontextprotocol/tasks'
export const TASK_METHODS: ReadonlySet<string> = new Set(['tasks/get', 'tasks/update', 'tasks/cancel'])

/** Which member of `params` the `Mcp-Name` header repeats (2026-07-28, "Standard Request Headers"). */
const NAMED_BY: ReadonlyMap<string, string> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
  ...[...TASK_METHODS].map((method): [string, string] => [method, 'taskId']),
])

/** The target of a request: the name of a tool or prompt, a URI, or a task id. */
export function targetOf(method: string, params: Record<string, unknown> | undefined): string | undefined {
  const member = NAMED_BY.get(method)
  const value = member === undefined ? undefined : params?.[member]
  return typeof value === 'string' ? value : undefined
}

export function metaOf(params: Record<string, unknown> | undefined): Record<string, unknown> | undefined {
  return isObject(params?._meta) ? params._meta : undefined
}
