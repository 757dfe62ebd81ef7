/** The built-in tools, one file each: information about the connected app and its user. */
import { listConnections } from './list-connections.ts'
import { revokeConnection } from './revoke-connection.ts'
import { searchAuditLog } from './search-audit-log.ts'
import type { Tool } from './tool.ts'
import { whoami } from './whoami.ts'

export const TOOLS: readonly Tool[] = [whoami, listConnections, revokeConnection, searchAuditLog]
