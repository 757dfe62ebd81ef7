/** Clients of the stateless revision 2026-07-28: every request says its own version and capabilities. */
import { createMcpHandler, type McpHttpHandler } from '@modelcontextprotocol/server'
import type { Deps } from '../deps.ts'
import { buildServer, principalOf } from './server.ts'

export function modernHandler(deps: Deps): McpHttpHandler {
  return createMcpHandler(({ authInfo }) => buildServer(deps, principalOf(authInfo)), {
    legacy: 'reject',
    onerror: error => deps.log.debug({ detail: error.message }, 'mcp request refused'),
  })
}
