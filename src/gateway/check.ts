/** `upstream check`: connects to each upstream once, and counts what it offers. */
import type { Base } from '../base.ts'
import { recordChangedTools } from './auditing.ts'
import { readServers } from './config.ts'
import type { FileSource } from './configured.ts'
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
export async function checkUpstreams(base: Base, file: FileSource, only?: string): Promise<CheckedUpstream[]> {
  const supervisor = openSupervisor(base)
  const openChild: PoolDeps['openChild'] = (spec, events) => openStdio(supervisor, spec, events)
  const onToolsChanged = (change: ChangedTools) => recordChangedTools(base, change)
  const configured = readServers(file).upstreams.filter(({ name }) => only === undefined || name === only)
  try {
    return await Promise.all(
      configured.map(async config => {
        const deps = { ...base, openChild, credentialFor: () => undefined, onToolsChanged }
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
