/** What the errors of a database mean. */
import postgres from 'postgres'
import { DatabaseBusy, DatabaseUnavailable } from '../lib/errors.ts'

/** Whether an error of a query means that the database is away or refuses work, rather than that the query is wrong. */
export function isOutage(error: unknown): boolean {
  if (error instanceof DatabaseUnavailable || isConnectionLost(error)) return true
  return error instanceof postgres.PostgresError && OUTAGE.test(error.code)
}

/**
 * SQLSTATE of what will pass without a change to the query: connections (08), transactions ended by the server (25P03,
 * 25P04, 40), a read-only standby (25006), refused credentials or a missing database (28, 3D000), exhausted resources
 * such as disk and connections (53), locks (55P03), operators, shutdown and timeouts (57), input and output (58).
 */
const OUTAGE = /^(08|25006|25P03|25P04|28|3D000|40|53|55P03|57|58)/

/** Whether there was no answer at all, or one that says that the connection ends. */
export function isConnectionLost(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code
  if (typeof code !== 'string') return false
  if (error instanceof postgres.PostgresError) return /^(08(?!P01)|57P0)/.test(code)
  return /^(CONNECTION_|CONNECT_TIMEOUT|ECONN|ENOENT|EPIPE|ETIMEDOUT|EHOST|ENETUNREACH|ENOTFOUND|EAI_AGAIN)/.test(code)
}

/** Whether the server cannot be reached at all, rather than being slow, busy or having ended this one statement. */
export function isAway(error: unknown): boolean {
  return isConnectionLost(error) || (error instanceof DatabaseUnavailable && !(error instanceof DatabaseBusy))
}

/** What a database said or did not say, in one line for the operator; nothing if the error is not a database's. */
export function databaseProblem(error: unknown): string | undefined {
  if (error instanceof DatabaseUnavailable) return error.detail
  if (error instanceof postgres.PostgresError) return `${error.message} (SQLSTATE ${error.code})`
  return isOutage(error) ? (error as Error).message : undefined
}
