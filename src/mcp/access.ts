/** What a token opens: the scopes that a message needs, and the tools that a principal may use. */
import { allows } from '../oauth/model.ts'
import type { Principal } from '../oauth/tokens.ts'

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
  const needed = messages.flatMap(item => {
    const method = (item as { method?: unknown } | null)?.method
    return typeof method === 'string' && Object.hasOwn(NEEDED, method) ? [NEEDED[method]!] : []
  })
  return needed.every(scope => allows(principal.scope, scope)) ? [] : [...new Set(needed)]
}
