/** What every feature knows: opened once by `deps.ts`, handed down by closure. What only one feature has is not here. */
import type { Queries } from '../sql/index.ts'
import type { AuditWriter } from './audit/writer.ts'
import type { Config } from './config.ts'
import type { Database } from './db/index.ts'
import type { Log } from './lib/log.ts'
import type { Outbound } from './lib/safe-fetch.ts'
import type { Limits } from './limits.ts'
import type { Metrics } from './metrics.ts'

export interface Base {
  config: Config
  log: Log
  /** The clock: the database's time, the same on every replica. Tests own it; statements get it as a parameter. */
  now: () => Date
  db: Database
  /** The pool's statements; inside a transaction use the one it hands you. */
  sql: Queries
  secrets: Secrets
  audit: AuditWriter
  /** Counters of this replica. */
  limits: Limits
  metrics: Metrics
  /** How documents of strangers are fetched. */
  outbound: Outbound
  /** Aborted when the server is told to stop: it is not ready any more, and every answer ends its connection. */
  draining: AbortController
  /** Aborted after the grace (`SHUTDOWN_GRACE`), when the server stops: what would keep a connection open for ever ends itself. */
  stopping: AbortController
}

/** Keys derived from AUTH_SECRET, one a purpose. */
export interface Secrets {
  /** Signs the cookie of a sign-in under way. */
  signInCookie: Buffer
  /** Makes the CSRF tokens of forms. */
  csrf: Buffer
  /** Seals the authorization requests that wait for a person. */
  authorizationRequests: Buffer
  /** Derives the authorization code of a decision. */
  authorizationCodes: Buffer
  /** Seals the private signing keys in the database. */
  signingKeys: Buffer
  /** Derives the successor of a refresh token. */
  refresh: Buffer
  /** Seals what the ids of MCP sessions carry. */
  sessions: Buffer
  /** Seals what clients carry for calls of upstream servers that wait for them. */
  heldCalls: Buffer
  /** Seals tokens of people's accounts at upstream servers, and what it takes to get them. */
  upstreamAccounts: Buffer
}

/**
 * What a feature registers with the sweeper: deletes at most `limit` rows that are of no use at `now`, and skips those
 * that another replica is deleting. @returns how many.
 */
export type Sweep = (now: Date, limit: number) => Promise<number>
