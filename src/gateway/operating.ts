/** What operators do to upstreams, by commands and on the administrator's pages. */
import { countUpstreamAccounts } from '../../sql/upstream-accounts.ts'
import { listUpstreamStatus, type UpstreamStatusRow } from '../../sql/upstream-status.ts'
import { notifyRestart, trustTools } from '../../sql/upstreams.ts'
import { record } from '../audit/events.ts'
import type { Base } from '../base.ts'
import type { Gateway, UpstreamStatus } from './exchange.ts'

/** Every server stores the state of its upstreams at least every 30 s; older rows are of servers that have stopped. */
const FRESH_MS = 60_000

/** An upstream as one server process sees it; times are text. */
export interface StoredStatus extends Omit<UpstreamStatus, 'retryAt'> {
  /** See {@link Base.serverName}. */
  server: string
  retryAt?: string
  /** People who have linked an account there. */
  linkedAccounts: number
}

/** What each running server has stored about its upstreams. */
export function listStatesByServer({ sql, now }: Base): Promise<UpstreamStatusRow[]> {
  return listUpstreamStatus(sql, new Date(now().getTime() - FRESH_MS))
}

/** The state of every upstream in every running server. */
export async function listStates(base: Base): Promise<StoredStatus[]> {
  const servers = await listStatesByServer(base)
  const linked = new Map((await countUpstreamAccounts(base.sql)).map(row => [row.upstream, row.linked]))
  return servers.flatMap(({ server, status }) =>
    (status as Omit<StoredStatus, 'server' | 'linkedAccounts'>[]).map(upstream => ({
      server,
      ...upstream,
      linkedAccounts: linked.get(upstream.name) ?? 0,
    })),
  )
}

/**
 * Accepts changed tools of an upstream.
 *
 * @param seen Fingerprints of what was looked at; absent: whatever is offered now. @returns the names of the tools, and
 *   the fingerprints that were accepted.
 */
export async function acceptTools(
  base: Base,
  upstream: string,
  seen?: string[],
): Promise<{ tools: string[]; fingerprints: Set<string> }> {
  const accepted = await trustTools(base.sql, upstream, seen ?? null)
  const tools = [...new Set(accepted.map(({ name }) => name))]
  if (tools.length > 0) record(base, 'upstream.trusted', { detail: { upstream, tools: tools.length } })
  return { tools, fingerprints: new Set(accepted.map(({ fingerprint }) => fingerprint)) }
}

/** Restarts an upstream in every running server. @param gateway That of this process, if it serves. */
export async function restartUpstream(base: Base, name: string, gateway?: Gateway): Promise<void> {
  if (gateway) await gateway.restart(name)
  else await notifyRestart(base.sql, name, 'command')
  record(base, 'upstream.restarted', { detail: { upstream: name } })
}
