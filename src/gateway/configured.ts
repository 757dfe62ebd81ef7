/** The gateway that the MCP_SERVERS file configures: reload on change, audit records, and stored status. */
import { join } from 'node:path'
import { deleteUpstreamStatus, sweepUpstreamStatus, upsertUpstreamStatus } from '../../sql/upstream-status.ts'
import { sweepUpstreamTrips } from '../../sql/upstream-trips.ts'
import { sweepCatalogues } from '../../sql/upstreams.ts'
import { record } from '../audit/events.ts'
import type { Base, Sweep } from '../base.ts'
import { UsageError } from '../lib/errors.ts'
import { printableText } from '../lib/text.ts'
import type { IssueSubjectToken } from './accounts/client-credential.ts'
import { openAccounts } from './accounts/index.ts'
import { recordCall, recordChangedTools, recordDown, recordReload } from './auditing.ts'
import { type CheckedUpstream, checkUpstreams } from './check.ts'
import { readServers, type Servers } from './config.ts'
import type { Gateway, UpstreamStatus } from './exchange.ts'
import { openGateway } from './index.ts'
import { openStdio } from './stdio.ts'
import { openSupervisor } from './supervisor.ts'
import { watchFile } from './watch.ts'

/** How often a server checks whether to store the status of its upstreams. */
export const STATUS_MS = 5_000
const DAY_MS = 86_400_000

export interface FileSource {
  path: string
  env: Record<string, string | undefined>
  readFile(path: string): string
}

export interface ConfiguredGateway extends Gateway {
  /** Like `reload`, for a signal or a changed file: a mistake is logged and audited, and the old configuration stays. */
  reloadFile(): Promise<void>
  /** Connects to an upstream once more, and counts what it offers. @returns undefined if it is not in the file. */
  check(name: string): Promise<CheckedUpstream | undefined>
}

/**
 * @param watch Whether to watch the file and store the status of the upstreams, as a server does.
 * @throws UsageError if the file is invalid.
 */
export async function openConfiguredGateway(
  base: Base,
  file: FileSource,
  { watch, issueSubjectToken }: { watch: boolean; issueSubjectToken: IssueSubjectToken },
): Promise<ConfiguredGateway> {
  const { log, now, sql, db, config } = base
  const durations = base.metrics.histogram('upstream_call_duration_seconds', 'Calls of upstream servers', [
    'upstream',
    'outcome',
  ])
  const supervisor = openSupervisor({ log, now, stateDir: join(config.DATA_DIR, 'children') })
  const accounts = openAccounts(base, issueSubjectToken)
  const gateway = openGateway({
    accounts,
    log,
    tracing: base.tracing,
    now,
    sql,
    db,
    sealKey: base.secrets.heldCalls,
    load: () => load(base, file),
    openChild: (spec, events) => openStdio(supervisor, spec, events),
    supervisor,
    onCall(call) {
      durations.observe({ upstream: call.upstream, outcome: call.outcome }, call.milliseconds / 1000)
      recordCall(base, call)
    },
    onToolsChanged: change => recordChangedTools(base, change),
    onDown: (upstream, reason) => recordDown(base, upstream, reason),
  })
  measure(base, gateway)
  async function reloadFile(): Promise<void> {
    try {
      const reloaded = await gateway.reload()
      log.info({ path: file.path, ...reloaded }, 'reloaded the file of upstream servers')
      recordReload(base, reloaded)
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
      log.error({ detail: error.message }, 'the file of upstream servers is invalid; keeping the old configuration')
      record(base, 'upstream.reload_failed', { detail: { problem: printableText(error.message, 1_000) } })
    }
  }
  const checking = new Map<string, Promise<CheckedUpstream | undefined>>()
  const watching = watch ? await watchFile(file.path, () => void reloadFile()) : undefined
  const storing = watch ? storeStatus(base, gateway) : undefined
  return {
    ...gateway,
    reloadFile,
    check(name) {
      // One at a time: each may start a process. Whoever asks meanwhile gets the answer of the check that runs.
      const running = checking.get(name)
      if (running) return running
      const check = checkUpstreams(base, file, issueSubjectToken, name)
        .then(([checked]) => checked)
        .finally(() => checking.delete(name))
      checking.set(name, check)
      return check
    },
    async close() {
      watching?.close()
      await storing?.stop()
      await gateway.close()
      await accounts.close()
      await supervisor.closeAll()
    },
  }
}

export function gatewaySweeps({ sql }: Base): Sweep[] {
  const ago = (now: Date, ms: number) => new Date(now.getTime() - ms)
  return [
    (now, limit) => sweepCatalogues(sql, ago(now, 30 * DAY_MS), limit),
    (now, limit) => sweepUpstreamTrips(sql, now, limit),
    (now, limit) => sweepUpstreamStatus(sql, ago(now, DAY_MS), limit),
  ]
}

function load({ log }: Base, file: FileSource): Servers {
  const servers = readServers(file)
  for (const warning of servers.warnings) log.warn(warning)
  return servers
}

/** How the upstreams are, by name. */
function measure({ metrics }: Base, gateway: Gateway): void {
  const gauge = (name: string, help: string, read: (status: UpstreamStatus) => number) =>
    metrics.gauge(name, help, () => gateway.status().map(status => [status.name, read(status)] as const), 'upstream')
  gauge('upstream_connections', 'Processes or connections of an upstream server', status => status.connections)
  gauge('upstream_restarts', 'Restarts of an upstream server since the start', status => status.restarts)
  gauge('upstream_calls_in_flight', 'Calls that an upstream server works on', status => status.inFlight)
  gauge('upstream_calls_waiting', 'Calls that wait for an upstream server', status => status.waiting)
  gauge('upstream_circuit_open', '1 while calls of an upstream server fail at once', status =>
    status.state === 'open_circuit' ? 1 : 0,
  )
}

/** Stores the status of the upstreams regularly, for `upstream list`. */
function storeStatus({ serverName: server, sql, now, log }: Base, gateway: Gateway): { stop(): Promise<void> } {
  let last = ''
  let storedAt = 0
  const store = async () => {
    const status = gateway.status()
    const text = JSON.stringify(status)
    // An unchanged status is stored again before its row looks like that of a dead server.
    if (status.length === 0 || (text === last && now().getTime() - storedAt < 6 * STATUS_MS)) return
    await upsertUpstreamStatus(sql, { server, status: JSON.parse(text), at: now() })
    last = text
    storedAt = now().getTime()
  }
  const failed = (error: unknown) =>
    log.debug({ detail: (error as Error).message }, 'could not store the status of upstreams')
  const timer = setInterval(() => void store().catch(failed), STATUS_MS)
  void store().catch(failed)
  return {
    async stop() {
      clearInterval(timer)
      await deleteUpstreamStatus(sql, server).catch(failed)
    },
  }
}
