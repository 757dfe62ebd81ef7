/** The dependencies of every feature: opened once by `deps.ts` and passed to the plugins. Those of only one feature are not here. */
import type { Queries } from '../sql/index.ts'
import type { StepWriter } from './audit/steps.ts'
import type { AuditWriter } from './audit/writer.ts'
import type { Config } from './config.ts'
import type { Database } from './db/index.ts'
import type { Log } from './lib/log.ts'
import type { Outbound } from './lib/safe-fetch.ts'
import type { Limits } from './limits.ts'
import type { Metrics } from './metrics.ts'
import type { OwnSite } from './site.ts'
import type { Tracing } from './tracing.ts'

export interface Base {
  /** Of this process: its host, its process id, and a random part, since containers may share the first two. */
  serverName: string
  config: Config
  log: Log
  /** The clock: the database's time, the same on every replica. Statements get it as a parameter; tests replace it. */
  now: () => Date
  db: Database
  /** Runs statements on the pool. Inside a transaction, use the transaction's instead. */
  sql: Queries
  secrets: Secrets
  audit: AuditWriter
  /** What clients do on their way to a connection. */
  steps: StepWriter
  /** Rate limits of this replica. */
  limits: Limits
  metrics: Metrics
  /** Absent without OTEL_EXPORTER_OTLP_ENDPOINT. */
  tracing: Tracing | undefined
  site: OwnSite
  /** Name resolution and address checks for fetching clients' URLs. */
  outbound: Outbound
  /** Aborted when the shutdown begins: the server is no longer ready, and every response closes its connection. */
  draining: AbortController
  /** Aborted after the grace period (`SHUTDOWN_GRACE`): anything that would keep a connection open forever must end. */
  stopping: AbortController
}

/** Keys derived from AUTH_SECRET, one per purpose. */
export interface Secrets {
  /** Signs the cookie of a sign-in in progress. */
  signInCookie: Buffer
  /** Derives the CSRF tokens of forms. */
  csrf: Buffer
  /** Seals pending authorization requests. */
  authorizationRequests: Buffer
  /** Derives the authorization code of a decision. */
  authorizationCodes: Buffer
  /** Seals the private signing keys in the database. */
  signingKeys: Buffer
  /** Derives the successor of a refresh token. */
  refresh: Buffer
  /** Seals the state in MCP session ids. */
  sessions: Buffer
  /** Seals what a client says to another replica than the one that asked. */
  sessionMessages: Buffer
  /** Seals the state that clients carry for held calls to upstream servers. */
  heldCalls: Buffer
  /** Seals the tokens of users' accounts at upstream servers, and the client registrations used to get them. */
  upstreamAccounts: Buffer
}

/**
 * Registered with the sweeper by a feature. Looks at no more than `limit` rows that may be obsolete at `now` and deletes
 * those that are, skipping those that another replica is deleting.
 *
 * @returns how many it looked at. If that is `limit`, there may be more.
 */
export type Sweep = (now: Date, limit: number) => Promise<number>
