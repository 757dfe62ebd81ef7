/** Each server stores its state in the database: for `status`, and for the count of replicas. */
import { hostname } from 'node:os'
import packageJson from '../package.json' with { type: 'json' }
import { deleteServer, listServers, sweepServers, upsertServer } from '../sql/servers.ts'
import type { Base, Sweep } from './base.ts'
import type { Config } from './config.ts'
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
  base_url: string
  /** ISO 8601. */
  started_at: string
  sessions: number
  streams: number
  /** The newest first, since the start. */
  errors: { at: string; message: string }[]
}

const addressOf = ({ HOST, PORT }: Config) => `${HOST}:${PORT}`

/** Until it is stopped. `ready` resolves when it has been said for the first time, or could not be. */
export function announce({ serverName: name, sql, now, log, config, metrics }: Base): {
  ready: Promise<void>
  stop(): Promise<void>
} {
  const started_at = now().toISOString()
  let replicas = 1
  metrics.gauge('replicas', 'Servers that use this database', () => replicas)
  const store = async () => {
    const state: ServerState = {
      version: packageJson.version,
      address: addressOf(config),
      base_url: config.BASE_URL,
      started_at,
      sessions: metrics.valueOf('sessions') + metrics.valueOf('sse_sessions'),
      streams: metrics.valueOf('streams'),
      errors: lastErrors(),
    }
    replicas = await upsertServer(sql, { name, state, at: now() }, new Date(now().getTime() - FRESH_MS))
  }
  const failed = (error: unknown) =>
    log.debug({ detail: (error as Error).message }, 'could not say that this server runs')
  let stored = store().catch(failed)
  const ready = stored
  const timer = setInterval(() => {
    stored = store().catch(failed)
  }, EVERY_MS)
  return {
    ready,
    async stop() {
      clearInterval(timer)
      // A shutdown does not wait for a database that is away; its row soon counts as that of a stopped server.
      const left = stored.then(() => deleteServer(sql, name)).catch(failed)
      await Promise.race([left, Bun.sleep(FAREWELL_MS)])
    },
  }
}

/** The servers that run now, by name. */
export async function serversOf({ sql, now }: Pick<Base, 'sql' | 'now'>): Promise<(ServerState & { name: string })[]> {
  const rows = await listServers(sql, new Date(now().getTime() - FRESH_MS))
  return rows.map(({ name, state }) => ({ name, ...(state as ServerState) }))
}

/**
 * The configuration of a command, with the addresses of the server that runs: these may come from an environment that the
 * command does not have. Of several servers, one of this machine, the newest.
 */
export async function configBesideServer(config: Config, base: Pick<Base, 'sql' | 'now'>): Promise<Config> {
  const servers = (await serversOf(base)).toSorted((a, b) => b.started_at.localeCompare(a.started_at))
  const local = servers.filter(({ name }) => name.startsWith(`${hostname()} `))
  const here = local.find(({ address }) => address === addressOf(config)) ?? local[0]
  const { base_url: BASE_URL } = here ?? servers[0] ?? {}
  if (BASE_URL === undefined) return config // none runs, or an older version
  if (!here) return { ...config, BASE_URL }
  const [, HOST = '', port] = /^(.*):(\d+)$/.exec(here.address) ?? []
  return { ...config, BASE_URL, HOST, PORT: Number(port) }
}

export function presenceSweeps({ sql }: Base): Sweep[] {
  return [(now, limit) => sweepServers(sql, new Date(now.getTime() - FRESH_MS), limit)]
}
