/** The upstreams of the configuration in effect. A reload replaces only those whose entries differ. */
import type { Accounts } from './accounts/index.ts'
import type { Servers, UpstreamConfig } from './config.ts'
import type { GatewayCaller, Reloaded } from './exchange.ts'
import { openLinkable } from './linkable.ts'
import type { Told } from './listening.ts'
import { METHOD_NOT_FOUND, RpcError } from './messages.ts'
import { mayUse } from './policy.ts'
import { openUpstream, type Upstream } from './upstream.ts'

export interface Served {
  all(): Upstream[]
  /** Those that a caller may use. */
  visible(caller: GatewayCaller): Upstream[]
  get(name: string): Upstream | undefined
  /** @throws RpcError if there is none of this name, or this caller may not use it. */
  at(name: string, caller: GatewayCaller): Upstream
  /** Applies a configuration; only changed entries stop or start. */
  apply(servers: Pick<Servers, 'upstreams' | 'disabled'>): Reloaded
}

type ServedDeps = Omit<Parameters<typeof openUpstream>[0], 'credentialFor'> & { accounts: Accounts }

export function openServed(deps: ServedDeps, tell: (change: Told) => void): Served {
  const { accounts } = deps
  /** By name, in the order of the names. */
  let upstreams = new Map<string, Upstream>()

  function open(config: UpstreamConfig): Upstream {
    const upstream = openUpstream({ ...deps, credentialFor: accounts.credentialFor }, config, change => {
      const { kind, principal, first } = change
      tell({ endpoint: config.name, kind, first, ...(principal === undefined ? {} : { principal }) })
    })
    if (config.auth?.type !== 'user') return upstream
    return openLinkable(upstream, {
      isLinkedNow: caller => accounts.isLinkedNow(config, caller),
      isLinked: caller => accounts.isLinked(config, caller),
      waitUntilLinked: (caller, ms, signal) => accounts.waitUntilLinked(config, caller, ms, signal),
      linkUrl: caller => accounts.linkUrl(config, caller),
    })
  }

  return {
    all: () => [...upstreams.values()],
    visible: caller => [...upstreams.values()].filter(({ config }) => mayUse(config.users, caller)),
    get: name => upstreams.get(name),
    at(name, caller) {
      const upstream = upstreams.get(name)
      if (!upstream || !mayUse(upstream.config.users, caller))
        throw new RpcError(METHOD_NOT_FOUND, 'There is no such server', undefined, 404)
      return upstream
    },
    apply({ upstreams: configs, disabled }) {
      const before = upstreams
      accounts.serve(configs, disabled)
      upstreams = new Map(
        configs
          .toSorted((a, b) => (a.name < b.name ? -1 : 1))
          .map(config => {
            const same = before.get(config.name)
            return [config.name, same?.config.fingerprint === config.fingerprint ? same : open(config)]
          }),
      )
      const gone = [...before].filter(([name, upstream]) => upstreams.get(name) !== upstream)
      for (const [, upstream] of gone) upstream.pool.retire()
      const [changed = [], removed = []] = [true, false].map(stays =>
        gone.flatMap(([name]) => (upstreams.has(name) === stays ? [name] : [])),
      )
      return { added: [...upstreams.keys()].filter(name => !before.has(name)), changed, removed }
    },
  }
}
