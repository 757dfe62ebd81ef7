/** Classifies database errors. */
import postgres from 'postgres'
import { DatabaseBusy, DatabaseUnavailable } from '../lib/errors.ts'

/** Whether a query failed because the database is unavailable or refuses work, rather than because the query is wrong. */
export function isOutage(error: unknown): boolean {
  if (error instanceof DatabaseUnavailable || isConnectionLost(error)) return true
  return error instanceof postgres.PostgresError && OUTAGE.test(error.code)
}

/**
 * SQLSTATEs of conditions that are not caused by the query: connections (08), transactions ended by the server (25P03,
 * 25P04, 40), a read-only standby (25006), refused credentials or a missing database (28, 3D000), exhausted resources
 * such as disk and connections (53), locks (55P03), operator intervention, shutdown and timeouts (57), I/O errors (58).
 */
const OUTAGE = /^(08|25006|25P03|25P04|28|3D000|40|53|55P03|57|58)/

/** Whether there was no answer, or one that announces the end of the connection. */
export function isConnectionLost(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code
  if (typeof code !== 'string') return false
  if (error instanceof postgres.PostgresError) return /^(08(?!P01)|57P0)/.test(code)
  return /^(CONNECTION_|CONNECT_TIMEOUT|ECONN|ENOENT|EPIPE|ETIMEDOUT|EHOST|ENETUNREACH|ENOTFOUND|EAI_AGAIN)/.test(code)
}

/** Whether the database server cannot be reached, as opposed to being slow or busy or having cancelled the statement. */
export function isAway(error: unknown): boolean {
  return isConnectionLost(error) || (error instanceof DatabaseUnavailable && !(error instanceof DatabaseBusy))
}

/** Whether a row could not be stored because what it belongs to, such as a client, was removed meanwhile. */
export function isOrphaned(error: unknown): boolean {
  return error instanceof postgres.PostgresError && error.code === '23503'
}

/** Describes a database error in one line for the operator; undefined for other errors. */
export function databaseProblem(error: unknown): string | undefined {
  if (error instanceof DatabaseUnavailable) return error.detail
  if (error instanceof postgres.PostgresError) return `${error.message} (SQLSTATE ${error.code})`
  return isOutage(error) ? (error as Error).message : undefined
}
