/** `upstream check`: connects to each upstream once, and counts what it offers. */
import type { Base } from '../base.ts'
import { AppError } from '../lib/errors.ts'
import type { IssueSubjectToken } from './accounts/client-credential.ts'
import { askNamedEndpoints, discover } from './accounts/discovery.ts'
import { openAccounts } from './accounts/index.ts'
import { openReach } from './accounts/reach.ts'
import { recordChangedTools } from './auditing.ts'
import { readServers, type ServersSource, type UpstreamConfig } from './config.ts'
import { UpstreamFailure } from './connection.ts'
import type { GatewayCaller } from './exchange.ts'
import { wordsOf } from './failures.ts'
import type { ChangedTools } from './memory.ts'
import type { PoolDeps } from './pool.ts'
import { openStdio } from './stdio.ts'
import { openSupervisor } from './supervisor.ts'
import { openUpstream, type Upstream } from './upstream.ts'

export interface CheckedUpstream {
  name: string
  /** What is wrong, in our words; absent if it works. */
  problem?: string
  /** For the operator: what the upstream or the system said. */
  detail?: string
  stderr: readonly string[]
  era?: string
  tools?: number
  prompts?: number
  resources?: number
  /** Where each caller's own token would come from, in words; nothing more is tried then. */
  auth?: string
}

/** A stand-in for a user, so that entries with `${user.…}` can be tried. */
const CHECKER: GatewayCaller = {
  principal: 'user:upstream-check',
  user: { id: 'upstream-check', email: 'upstream-check@localhost', name: 'upstream check' },
  clientId: 'upstream-check',
  scope: ['mcp'],
  ip: null,
}

/** @param only Check only the upstream with this name. @throws UsageError if the file is invalid. */
export async function checkUpstreams(
  base: Base,
  file: ServersSource,
  issueSubjectToken: IssueSubjectToken,
  only?: string,
): Promise<CheckedUpstream[]> {
  const supervisor = openSupervisor(base)
  const openChild: PoolDeps['openChild'] = (spec, events) => openStdio(supervisor, spec, events)
  const { credentialFor } = openAccounts(base, issueSubjectToken)
  const onToolsChanged = (change: ChangedTools) => recordChangedTools(base, change)
  const configured = readServers(file).upstreams.filter(({ name }) => only === undefined || name === only)
  try {
    return await Promise.all(
      configured.map(async config => {
        // With a user's own account, or their own token: the checker has neither.
        if (config.auth && config.auth.type !== 'client') return checkDiscovery(base, config)
        const deps = { ...base, openChild, credentialFor, onToolsChanged }
        const upstream = openUpstream(deps, config, () => {})
        const checked = await check(upstream)
        const stderr = supervisor.children().flatMap(child => (child.upstream === config.name ? child.stderr : []))
        await upstream.pool.close()
        return { ...checked, stderr }
      }),
    )
  } finally {
    await supervisor.closeAll()
  }
}

/** Runs the discovery chain of an upstream; the detail names the step that fails. */
async function checkDiscovery({ outbound }: Base, config: UpstreamConfig): Promise<CheckedUpstream> {
  const { name } = config
  try {
    const reach = openReach(outbound, config)
    const { server } = await discover(config, reach)
    await askNamedEndpoints(config, reach)
    const auth =
      config.auth?.type === 'exchange'
        ? `tokens are exchanged at ${new URL(server.token_endpoint!).host}`
        : `people sign in at ${new URL(server.authorization_endpoint!).host}`
    return { name, auth, stderr: [] }
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    return { name, problem: 'its sign-in cannot be used', detail: error.detail ?? error.title, stderr: [] }
  }
}

/** Connects, even if the upstream's lists are stored, and reads its lists. */
async function check(upstream: Upstream): Promise<Omit<CheckedUpstream, 'stderr'>> {
  const { name } = upstream.config
  try {
    await upstream.pool.acquire(CHECKER)
    const server = await upstream.describe(CHECKER)
    const count = async (kind: 'tools' | 'prompts' | 'resources') =>
      server?.capabilities[kind] ? ((await upstream.list(kind, CHECKER))?.size ?? 0) : 0
    const { era } = upstream.status()
    const counts = { tools: await count('tools'), prompts: await count('prompts'), resources: await count('resources') }
    return { name, ...(era ? { era } : {}), ...counts }
  } catch (error) {
    if (!(error instanceof UpstreamFailure)) throw error
    return { name, problem: wordsOf(error.failure.reason), detail: error.failure.detail }
  }
}
