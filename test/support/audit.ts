import { searchAuditLog } from '../../src/audit/search.ts'
import type { TestServer } from './server.ts'

/** The newest events of the audit log, newest first. */
export async function newestEvents(server: Pick<TestServer, 'deps'>, limit: number) {
  return (await searchAuditLog(server.deps, { limit })).events
}
