/** Who a caller is, and what a token opens: the scopes that a message needs, and the tools that a principal may use. */
import type { Principal } from '../oauth/principal.ts'
import { allows } from '../oauth/scopes.ts'
import { findTool, TOOLS, type Tool } from './tools/index.ts'

/** Who sends a request, and from which address. */
export interface Caller extends Principal {
  ip: string | null
}

/** Who a session or stream belongs to: a user, a client and what the one allowed the other. A refreshed token keeps it. */
export function ownerOf({ userId, clientId, grantId }: Principal): string {
  return JSON.stringify([userId, clientId, grantId])
}

/** Who is behind all of somebody's connections: a user, or a machine. */
export function personOf({ userId, clientId }: Principal): string {
  return userId ?? clientId
}

/** Scopes by JSON-RPC method; a method that is not here needs only a good token. */
const NEEDED: Readonly<Record<string, string>> = {
  'tools/list': 'mcp:tools:read',
  'tools/call': 'mcp:tools:call',
  'resources/list': 'mcp:resources:read',
  'resources/templates/list': 'mcp:resources:read',
  'resources/read': 'mcp:resources:read',
  'resources/subscribe': 'mcp:resources:read',
  'prompts/list': 'mcp:prompts:read',
  'prompts/get': 'mcp:prompts:read',
}

/** The scopes that a message (or a batch of them) needs and the principal lacks; all that it needs, if it lacks any. */
export function missingScope(principal: Principal, message: unknown): string[] {
  const messages: unknown[] = Array.isArray(message) ? message : [message]
  const needed = messages.flatMap(scopesFor)
  return needed.every(scope => allows(principal.scope, scope)) ? [] : [...new Set(needed)]
}

function scopesFor(message: unknown): readonly string[] {
  const { method, params } = (message ?? {}) as { method?: unknown; params?: { name?: unknown } | null }
  if (typeof method !== 'string' || !Object.hasOwn(NEEDED, method)) return []
  const scope = NEEDED[method]!
  return method === 'tools/call' ? [scope, ...(findTool(params?.name)?.scopes ?? [])] : [scope]
}

/** Whether a principal may see and call a tool. */
export function mayUse(principal: Principal, tool: Tool): boolean {
  return tool.scopes.every(scope => allows(principal.scope, scope)) && (!tool.forUsers || principal.userId !== null)
}

/** Whether two principals see the same list of tools. */
export function seeSameTools(one: Principal, other: Principal): boolean {
  return one.tokenId === other.tokenId || TOOLS.every(tool => mayUse(one, tool) === mayUse(other, tool))
}
