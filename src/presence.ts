/** Each server stores its state in the database: for `status`, and for the count of replicas. */
import { hostname } from 'node:os'
import packageJson from '../package.json' with { type: 'json' }
import { deleteServer, listServers, sweepServers, upsertServer } from '../sql/servers.ts'
import type { Base, Sweep } from './base.ts'
import { lastErrors } from './lib/log.ts'

const EVERY_MS = 30_000
const FAREWELL_MS = 1_000
/** A server that has stored nothing for this long counts as gone. */
const FRESH_MS = 2.5 * EVERY_MS

/** The stable form for programs. */
export interface ServerState {
  version: string
  /** Where it listens. */
  address: string
  /** ISO 8601. */
  started_at: string
  sessions: number
  streams: number
  /** The newest first, since the start. */
  errors: { at: string; message: string }[]
}

/** Until it is stopped. */
export function announce({ sql, now, log, config, metrics }: Base): { stop(): Promise<void> } {
  const name = `${hostname()} ${process.pid}`
  const started_at = now().toISOString()
  let replicas = 1
  metrics.gauge('replicas', 'Servers that use this database', () => replicas)
  const store = async () => {
    const state: ServerState = {
      version: packageJson.version,
      address: `${config.HOST}:${config.PORT}`,
      started_at,
      sessions: metrics.valueOf('sessions') + metrics.valueOf('sse_sessions'),
      streams: metrics.valueOf('streams'),
      errors: lastErrors(),
    }
    replicas = await upsertServer(sql, { name, state, at: now() }, new Date(now().getTime() - FRESH_MS))
  }
  const failed = (error: unknown) =>
    log.debug({ detail: (error as Error).message }, 'could not say that this server runs')
  const timer = setInterval(() => void store().catch(failed), EVERY_MS)
  void store().catch(failed)
  return {
    async stop() {
      clearInterval(timer)
      // A shutdown does not wait for a database that is away; its row soon counts as that of a stopped server.
      await Promise.race([deleteServer(sql, name).catch(failed), Bun.sleep(FAREWELL_MS)])
    },
  }
}

/** The servers that run now, by name. */
export async function serversOf({ sql, now }: Pick<Base, 'sql' | 'now'>): Promise<(ServerState & { name: string })[]> {
  const rows = await listServers(sql, new Date(now().getTime() - FRESH_MS))
  return rows.map(({ name, state }) => ({ name, ...(state as ServerState) }))
}

export function presenceSweeps({ sql }: Base): Sweep[] {
  return [(now, limit) => sweepServers(sql, new Date(now.getTime() - FRESH_MS), limit)]
}
