/** The gateway that the file MCP_SERVERS configures: opened, watched, recorded in the audit log, and told about. */
import { hostname } from 'node:os'
import { join } from 'node:path'
import { deleteUpstreamStatus, sweepUpstreamStatus, upsertUpstreamStatus } from '../../sql/upstream-status.ts'
import { sweepCatalogues } from '../../sql/upstreams.ts'
import { record } from '../audit/events.ts'
import type { Base, Sweep } from '../base.ts'
import { UsageError } from '../lib/errors.ts'
import { readServers, type UpstreamConfig } from './config.ts'
import type { CallRecord, Gateway } from './exchange.ts'
import { openGateway } from './index.ts'
import { openSupervisor } from './process.ts'
import { openStdio } from './stdio.ts'
import { watchFile } from './watch.ts'

/** How often a server says how its upstreams are. */
export const STATUS_MS = 5_000
const DAY_MS = 86_400_000

export interface FileSource {
  path: string
  env: Record<string, string | undefined>
  readFile(path: string): string
}

export interface ConfiguredGateway extends Gateway {
  /** As `reload`, for a signal or a changed file: a mistake is logged and audited, and the old configuration stays. */
  reloadFile(): Promise<void>
}

/**
 * @param watch Whether to follow the file and to say how the upstreams are, as a server does.
 * @throws UsageError if the file is wrong.
 */
export async function openConfiguredGateway(
  base: Base,
  file: FileSource,
  { watch }: { watch: boolean },
): Promise<ConfiguredGateway> {
  const { log, now, sql, db, config } = base
  const supervisor = openSupervisor({ log, now, stateDir: join(config.DATA_DIR, 'children') })
  const gateway = openGateway({
    log,
    now,
    sql,
    db,
    sealKey: base.secrets.heldCalls,
    load: () => load(base, file),
    openChild: (spec, events) => openStdio(supervisor, spec, events),
    children: () => supervisor.children(),
    onCall: call => recordCall(base, call),
  })
  async function reloadFile(): Promise<void> {
    try {
      await gateway.reload()
      log.info({ path: file.path }, 'read the file of upstream servers again')
      record(base, 'upstream.reloaded')
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
      log.error({ detail: error.message }, 'the file of upstream servers has a mistake; the old configuration stays')
      record(base, 'upstream.reload_failed')
    }
  }
  const watching = watch ? await watchFile(file.path, () => void reloadFile()) : undefined
  const telling = watch ? tellStatus(base, gateway) : undefined
  return {
    ...gateway,
    reloadFile,
    async close() {
      watching?.close()
      await telling?.stop()
      await gateway.close()
      await supervisor.closeAll()
    },
  }
}

export function gatewaySweeps({ sql }: Base): Sweep[] {
  const ago = (now: Date, ms: number) => new Date(now.getTime() - ms)
  return [
    (now, limit) => sweepCatalogues(sql, ago(now, 30 * DAY_MS), limit),
    (now, limit) => sweepUpstreamStatus(sql, ago(now, DAY_MS), limit),
  ]
}

function load({ log }: Base, file: FileSource): UpstreamConfig[] {
  const { upstreams, warnings } = readServers(file)
  for (const warning of warnings) log.warn(warning)
  return upstreams
}

/** Says now and then how the upstreams are, so that `upstream list` can tell. */
function tellStatus({ sql, now, log }: Base, gateway: Gateway): { stop(): Promise<void> } {
  const server = `${hostname()} ${process.pid}`
  let last = ''
  let told = 0
  const tell = async () => {
    const status = gateway.status()
    const text = JSON.stringify(status)
    // Unchanged it is said again before it would be taken for the last word of a server that has died.
    if (status.length === 0 || (text === last && now().getTime() - told < 6 * STATUS_MS)) return
    await upsertUpstreamStatus(sql, { server, status: JSON.parse(text), at: now() })
    last = text
    told = now().getTime()
  }
  const failed = (error: unknown) => log.debug({ detail: (error as Error).message }, 'could not say how upstreams are')
  const timer = setInterval(() => void tell().catch(failed), STATUS_MS)
  void tell().catch(failed)
  return {
    async stop() {
      clearInterval(timer)
      await deleteUpstreamStatus(sql, server).catch(failed)
    },
  }
}

function recordCall(base: Base, call: CallRecord): void {
  const { caller, upstream, method, target, milliseconds, bytes, outcome, reference } = call
  record(base, 'upstream.called', {
    userId: caller.user?.id ?? null,
    clientId: caller.clientId,
    ip: caller.ip,
    detail: {
      upstream,
      method,
      target: target.slice(0, 200),
      milliseconds: Math.round(milliseconds),
      bytes,
      outcome,
      ...(reference ? { reference } : {}),
      ...(call.arguments ? { arguments: JSON.stringify(call.arguments).slice(0, 10_000) } : {}),
    },
  })
}
