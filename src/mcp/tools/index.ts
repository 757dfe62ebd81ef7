/** The built-in tools: what a connected app can ask this server about itself and its user. A file a tool. */
import { listConnections } from './list-connections.ts'
import { revokeConnection } from './revoke-connection.ts'
import { searchAuditLog } from './search-audit-log.ts'
import type { Tool } from './tool.ts'
import { whoami } from './whoami.ts'

export const TOOLS: readonly Tool[] = [whoami, listConnections, revokeConnection, searchAuditLog]
