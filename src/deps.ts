/** Opens all shared dependencies in order and closes them in reverse order. Composition only. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { ping, type Queries } from '../sql/index.ts'
import { migrations } from '../sql/migrations/index.ts'
import { hasSigningKeys } from '../sql/signing-keys.ts'
import { removalSweeps } from './account/removal.ts'
import { AUDIT_EVENTS } from './audit/catalogue.ts'
import { openNotices } from './audit/notices.ts'
import { auditSweeps, stepSweeps } from './audit/retention.ts'
import { openSteps } from './audit/steps.ts'
import { openAuditWriter } from './audit/writer.ts'
import { readAuthSecret } from './auth-secret.ts'
import type { Base, Secrets, Sweep } from './base.ts'
import type { Config } from './config.ts'
import { openClock, type TimeSources } from './db/clock.ts'
import { connect } from './db/index.ts'
import { migrate } from './db/migrate.ts'
import { tracedDatabase } from './db/traced.ts'
import { upkeepSweeps } from './db/upkeep.ts'
import type { CheckedUpstream } from './gateway/check.ts'
import { type FileSource, gatewaySweeps, openConfiguredGateway } from './gateway/configured.ts'
import type { Gateway } from './gateway/exchange.ts'
import { openedTools } from './gateway/opened.ts'
import type { HomeDeps } from './http/home.ts'
import { deriveKey } from './lib/crypto.ts'
import { droppedLogLines, type Log } from './lib/log.ts'
import { type Outbound, publicInternet } from './lib/safe-fetch.ts'
import { openLimits } from './limits.ts'
import { sessionSweeps } from './mcp/handover.ts'
import { openMetrics } from './metrics.ts'
import type { DecisionDeps } from './oauth/asking.ts'
import { findWaitingApp } from './oauth/kept-requests.ts'
import { openMemory } from './oauth/memory.ts'
import { openResources } from './oauth/resources.ts'
import { openScopes } from './oauth/scopes.ts'
import { subjectTokens } from './oauth/subject-tokens.ts'
import { oauthSweeps } from './oauth/sweeps.ts'
import { storeUses } from './oauth/uses.ts'
import { configBesideServer, presenceSweeps } from './presence.ts'
import { type Setting, settingsInEffect } from './settings.ts'
import type { SignInDeps } from './signin/index.ts'
import { openProviders } from './signin/providers.ts'
import { openViewers, signInSweeps } from './signin/sessions.ts'
import { openSite } from './site.ts'

export interface Deps extends DecisionDeps, SignInDeps, HomeDeps {
  /** Absent without MCP_SERVERS. */
  gateway: Gateway | undefined
  /** Reloads the file of upstream servers. If it is invalid, that is logged, and the old configuration stays. */
  reloadUpstreams(): Promise<void>
  /** Tries an upstream server, as `upstream check` does. @returns undefined if there is no upstream of that name. */
  checkUpstream(name: string): Promise<CheckedUpstream | undefined>
  /** What is configured, for an administrator. */
  settings: readonly Setting[]
  /** For the sweeper. */
  sweeps: readonly Sweep[]
  /** Closes everything, writing queued audit events first. */
  close(): Promise<void>
}

export interface OpenOptions {
  log: Log
  /** Whether this is a server, which refuses an embedded database in use; a command shares it, and takes the server's addresses. */
  serving: boolean
  /** Default: the public internet; tests pass their own. */
  outbound?: Outbound
  /** For expanding variables in the file of upstream servers. */
  env?: Record<string, string | undefined>
  /** Where variables came from that were not in the environment itself, for the page of settings. */
  origins?: Record<string, string>
  /** Default: the clocks of the machine and the database; tests pass their own. */
  time?: TimeSources
}

/** Connects, migrates and loads. */
export async function openDeps(
  given: Config,
  { log, serving, outbound = publicInternet, env = {}, origins = {}, time }: OpenOptions,
): Promise<Deps> {
  await using opened = new AsyncDisposableStack()
  const tracing =
    serving && given.OTEL_EXPORTER_OTLP_ENDPOINT
      ? (await import('./tracing-sdk.ts')).openTracing(log, given.OTEL_EXPORTER_OTLP_ENDPOINT)
      : undefined
  if (tracing) opened.defer(() => tracing.close())
  const untraced = await connect({
    databaseUrl: given.DATABASE_URL,
    listenUrl: given.DATABASE_LISTEN_URL,
    pollSeconds: given.REVOCATION_POLL,
    dataDir: given.DATA_DIR,
    serving,
    log,
  })
  opened.defer(() => untraced.close())
  const db = tracing ? tracedDatabase(untraced, tracing) : untraced
  const applied = await migrate(db)
  // Setting up a new database is not worth a line.
  const isUpgrade = applied.length > 0 && applied.length < migrations.length
  log[isUpgrade ? 'info' : 'debug']({ migrations: applied }, 'applied database migrations')
  const clock = await openClock(db.sql, log, time)
  opened.defer(() => clock.close())
  const config = serving ? given : await configBesideServer(given, { sql: db.sql, now: clock.now })
  const metrics = openMetrics()
  metrics.gauge('log_lines_dropped', 'Log lines that could not be written', droppedLogLines)
  metrics.gauge('database_waiting', 'Statements and transactions that wait or run', () => db.pending())
  metrics.gauge('database_answer_seconds', 'How long a statement takes now, with its wait for a connection', () =>
    timePing(db.sql),
  )
  const known = Object.keys(AUDIT_EVENTS)
  const notices = openNotices(config, { log, now: clock.now, metrics })
  if (notices) opened.defer(() => notices.close())
  const audit = openAuditWriter(db.sql, log, metrics, { known, notices })
  const limits = openLimits()
  const base: Base = {
    serverName: `${hostname()} ${process.pid} ${randomBytes(3).toString('hex')}`,
    config,
    log,
    now: clock.now,
    db,
    sql: db.sql,
    secrets: openSecrets(config.AUTH_SECRET ?? readAuthSecret(config.DATA_DIR, !(await hasSigningKeys(db.sql)))),
    audit,
    steps: openSteps({ sql: db.sql, log, limits, now: clock.now }),
    limits,
    metrics,
    tracing,
    site: openSite(config, path => readFileSync(path)),
    outbound,
    draining: new AbortController(),
    stopping: new AbortController(),
  }
  const memory = await openMemory(base)
  opened.defer(() => memory.close())
  opened.defer(() => audit.close())
  opened.defer(() => base.steps.close())
  opened.defer(() => base.stopping.abort())
  const oauth = { ...base, memory, scopes: openScopes(), resources: openResources(config) }
  opened.defer(async () => {
    await storeUses(oauth, Number.POSITIVE_INFINITY).catch(error =>
      log.warn({ detail: (error as Error).message }, 'the last uses of connections were not stored'),
    )
  })
  const gateway =
    serving && config.MCP_SERVERS
      ? await openConfiguredGateway(base, fileSource(config.MCP_SERVERS, env), {
          watch: true,
          issueSubjectToken: subjectTokens(oauth),
        })
      : undefined
  if (gateway) opened.defer(() => gateway.close())
  const deps: Deps = {
    ...oauth,
    providers: openProviders(config),
    viewers: openViewers(base),
    settings: settingsInEffect(config, env, origins),
    gateway,
    reloadUpstreams: async () => gateway?.reloadFile(),
    checkUpstream: async name => gateway?.check(name),
    sweeps: [
      ...oauthSweeps(oauth),
      ...signInSweeps(base),
      ...gatewaySweeps(base),
      ...auditSweeps(base),
      ...stepSweeps(base),
      ...upkeepSweeps(base),
      ...sessionSweeps(base),
      ...presenceSweeps(base),
      ...removalSweeps(oauth),
    ],
    openedBy: async (endpoint, { user, clientId, scope }) =>
      deps.gateway
        ? openedTools(deps.gateway, endpoint, { principal: `user:${user.id}`, user, clientId, scope, ip: null })
        : [],
    waitingApp: id => findWaitingApp(oauth, id),
    upstreamsFor: ({ userId: id, email, name }) => {
      const caller = { principal: `user:${id}`, user: { id, email, name }, clientId: '', scope: [], ip: null }
      const names = deps.gateway?.endpoints().map(endpoint => endpoint.name) ?? []
      return names.filter(endpoint => deps.gateway?.mayUse(endpoint, caller))
    },
    close: () => stack.disposeAsync(),
  }
  const stack = opened.move()
  return deps
}

/** NaN while the database does not answer. */
async function timePing(sql: Queries): Promise<number> {
  const asked = performance.now()
  return ping(sql).then(
    () => (performance.now() - asked) / 1000,
    () => Number.NaN,
  )
}

export function fileSource(path: string, env: Record<string, string | undefined>): FileSource {
  return { path, env, readFile: name => readFileSync(name, 'utf8') }
}

function openSecrets(secret: string): Secrets {
  return {
    signInCookie: deriveKey(secret, 'sign-in cookie'),
    csrf: deriveKey(secret, 'csrf'),
    authorizationRequests: deriveKey(secret, 'authorization requests'),
    authorizationCodes: deriveKey(secret, 'authorization codes'),
    signingKeys: deriveKey(secret, 'signing keys'),
    refresh: deriveKey(secret, 'refresh tokens'),
    sessions: deriveKey(secret, 'mcp sessions'),
    sessionMessages: deriveKey(secret, 'session messages'),
    heldCalls: deriveKey(secret, 'held calls'),
    upstreamAccounts: deriveKey(secret, 'upstream accounts'),
  }
}
