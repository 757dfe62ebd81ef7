/**
 * The gateway: other MCP servers (upstreams) behind our endpoints. Owns the connections to them, their stored catalogues,
 * the translation between protocol eras, names in the hub, and policy. Our HTTP endpoints, tokens and client sessions
 * live in mcp/, which passes each request in as an {@link Exchange}.
 */
import { randomUUID } from 'node:crypto'
import type { Queries } from '../../sql/index.ts'
import { UPSTREAM_CHANNEL } from '../../sql/notifications.ts'
import { notifyRestart } from '../../sql/upstreams.ts'
import type { Database } from '../db/index.ts'
import type { Log } from '../lib/log.ts'
import type { Tracing } from '../tracing.ts'
import type { Accounts } from './accounts/index.ts'
import { type CallsDeps, plainly } from './call-state.ts'
import type { Servers } from './config.ts'
import type { Connection, ConnectionEvents, FailureReason } from './connection.ts'
import { describeHub, describeUpstream } from './describing.ts'
import { openElicitations } from './elicitations.ts'
import { namedBy, requestAt } from './endpoint.ts'
import type { CallRecord, Exchange, Gateway, GatewayChange } from './exchange.ts'
import { wordsOf } from './failures.ts'
import { openHeldCalls } from './held.ts'
import { openHub } from './hub.ts'
import { openListeners, type Told } from './listening.ts'
import type { ChangedTools } from './memory.ts'
import { INVALID_REQUEST, RpcError } from './messages.ts'
import { mayUse, scopesOf } from './policy.ts'
import type { ChildSpec } from './pool.ts'
import { openRequestStates } from './request-state.ts'
import { openServed, type Served } from './served.ts'
import { policyOf } from './status.ts'
import type { Supervisor } from './supervisor.ts'
import { openTaskIds } from './task-ids.ts'
import type { Upstream } from './upstream.ts'

export type { Description, Exchange, Gateway, GatewayCaller, ListenFilter, Listening } from './exchange.ts'
export { RpcError } from './messages.ts'

export interface GatewayDeps {
  log: Log
  now(): Date
  sql: Queries
  db: Pick<Database, 'listen'>
  /** Protects what clients carry for held calls and tasks; the same on every replica. */
  sealKey: Uint8Array
  /** Reads the file. @throws UsageError */
  load(): Pick<Servers, 'upstreams' | 'disabled'>
  openChild(spec: ChildSpec, events: ConnectionEvents): Promise<Connection>
  /** For upstreams that want OAuth. */
  accounts: Accounts
  /** For {@link Gateway.status} and {@link Gateway.inspect}. */
  supervisor: Pick<Supervisor, 'children' | 'lastLines'>
  /** Every call, for the audit log. */
  onCall(record: CallRecord): void
  tracing?: Tracing | undefined
  onToolsChanged(change: ChangedTools): void
  onDown?(upstream: string, reason: FailureReason): void
}

/** Does not start any upstream yet. @throws UsageError if the configuration is invalid. */
export function openGateway(deps: GatewayDeps): Gateway {
  /** Tells our own notifications from those of other replicas. */
  const self = randomUUID()
  const observers = new Set<(change: GatewayChange) => void>()
  const listeners = openListeners()
  const elicitations = openElicitations(listeners.send)
  const callsDeps = openCalls(deps, elicitations)
  const served = openServed({ ...deps, onElicitationComplete: elicitations.completeByUpstream }, tell)
  const hub = openHub(callsDeps, served.visible)

  function tell(change: Told): void {
    hub.forget()
    listeners.tell(change)
    const { first: _, ...told } = change
    for (const observe of observers) observe(told)
  }

  served.apply(deps.load())
  const channel = listenForChanges(deps, served, self, (name, userId) => {
    const principal = `user:${userId}`
    for (const kind of ['tools', 'prompts', 'resources'] as const)
      tell({ endpoint: name, kind, principal, first: false })
    elicitations.complete(name, principal)
  })

  const status = () =>
    served.all().map(upstream => {
      const { name, ...rest } = upstream.status()
      return { name, ...rest, stderr: deps.supervisor.lastLines(name) }
    })

  return {
    accounts: deps.accounts,
    endpoints: () =>
      served.all().map(({ config }) => ({ name: config.name, scopes: [...new Set(Object.values(config.scopes))] })),
    onChange(observe) {
      observers.add(observe)
      return () => observers.delete(observe)
    },
    mayUse(name, caller) {
      const upstream = served.get(name)
      return upstream !== undefined && mayUse(upstream.config.users, caller)
    },
    scopesFor(endpoint, method, params, caller) {
      if (endpoint !== undefined) return needed(served.at(endpoint, caller), method, params)
      return hub
        .route(method, params, caller)
        .then(target => (target ? needed(target.upstream, method, target.params) : []))
    },
    async describe(endpoint, caller) {
      if (endpoint === undefined) return describeHub(served.visible(caller), caller)
      const upstream = served.at(endpoint, caller)
      try {
        return await describeUpstream(upstream, caller)
      } catch (error) {
        throw plainly(deps, upstream, error)
      }
    },
    async request(endpoint, exchange) {
      const { method, era } = exchange
      if (era === '2025' && (method === 'ping' || method === 'logging/setLevel')) return {}
      if (endpoint !== undefined) {
        const upstream = served.at(endpoint, exchange.caller)
        refuseUnscoped(exchange, upstream, exchange.params)
        try {
          return await requestAt(callsDeps, upstream, exchange)
        } catch (error) {
          throw plainly(deps, upstream, error)
        }
      }
      return hub.request(exchange, refuseUnscoped)
    },
    listen: (endpoint, caller, filter, deliver) =>
      endpoint === undefined
        ? listeners.inHub(hub, caller, filter, deliver)
        : listeners.at(served.at(endpoint, caller), caller, filter, deliver),
    status,
    async inspect() {
      await Promise.all(served.all().map(upstream => upstream.load()))
      const children = deps.supervisor.children()
      return status().map(status => ({
        ...status,
        policy: policyOf(served.get(status.name)!.config),
        processes: children.filter(({ upstream }) => upstream === status.name),
      }))
    },
    away: caller =>
      served.visible(caller).flatMap(({ config: { name }, pool }) => {
        const away = pool.away(caller)
        if (!away) return []
        const reason = away.reason === 'starting' ? 'is still starting' : wordsOf(away.reason)
        return [{ name, reason, ...(away.retryAt ? { retryAt: away.retryAt } : {}) }]
      }),
    async restart(name) {
      await served.get(name)?.pool.restart()
      await notifyRestart(deps.sql, name, self)
    },
    async reload() {
      const reloaded = served.apply(deps.load())
      const { added, changed, removed } = reloaded
      if (added.length + changed.length + removed.length > 0) tell({ kind: 'endpoints', first: false })
      return reloaded
    },
    async endPrincipal(principal) {
      await Promise.all(served.all().map(({ pool }) => pool.endPrincipal(principal)))
      if (principal.startsWith('user:')) await deps.accounts.endPerson(principal.slice('user:'.length))
    },
    async close() {
      callsDeps.held.close()
      await channel.close()
      await Promise.all(served.all().map(({ pool }) => pool.close()))
    },
  }
}

function openCalls(deps: GatewayDeps, elicitations: ReturnType<typeof openElicitations>): CallsDeps {
  const states = openRequestStates(deps)
  return {
    log: deps.log,
    tracing: deps.tracing,
    states,
    taskIds: openTaskIds(deps.sealKey),
    held: openHeldCalls(states),
    onCall: deps.onCall,
    onElicitation: (elicitation, by) =>
      by === 'us' ? elicitations.asked(elicitation) : elicitations.askedByUpstream(elicitation),
  }
}

/**
 * Follows what other replicas and commands do.
 *
 * @param onAccountChanged Called when somebody's account at an upstream has come or gone: they see other lists.
 */
function listenForChanges(
  { db, accounts }: GatewayDeps,
  served: Served,
  self: string,
  onAccountChanged: (name: string, userId: string) => void,
): ReturnType<Database['listen']> {
  async function changeAccount(name: string, userId: string): Promise<void> {
    accounts.changed(name, userId)
    const upstream = served.get(name)
    const user = { id: userId, email: '', name: '' }
    // It may be an account of an earlier configuration.
    if (upstream?.config.auth?.type === 'user')
      await upstream.accountChanged(`user:${userId}`, await accounts.isLinked(upstream.config, { user }))
    onAccountChanged(name, userId)
  }
  return db.listen(UPSTREAM_CHANNEL, {
    async onPayload(payload) {
      const [, kind, subject = ''] = /^(\w+) (.+)$/s.exec(payload) ?? []
      if (kind === 'trusted') served.get(subject)?.trusted()
      const [by = '', name = ''] = subject.split(' ')
      if (kind === 'restart' && by !== self) await served.get(name)?.pool.restart()
      if (kind === 'linked') await changeAccount(name, by)
      if (kind === 'refreshed') accounts.changed(name, by)
    },
    onReady: async () => accounts.trust(true),
    // Tools may have been accepted meanwhile, so all lists are judged again.
    onLost: () => {
      accounts.trust(false)
      for (const upstream of served.all()) upstream.trusted()
    },
  })
}

function needed({ config }: Upstream, method: string, params: Record<string, unknown>): readonly string[] {
  const named = namedBy(method, params)
  return named === undefined ? [] : scopesOf(config.scopes, named)
}

/** The final scope check, whatever mcp/ has checked before. @throws RpcError */
function refuseUnscoped({ caller, method }: Exchange, upstream: Upstream, params: Record<string, unknown>): void {
  const missing = needed(upstream, method, params).filter(scope => !caller.scope.includes(scope))
  if (missing.length > 0)
    throw new RpcError(INVALID_REQUEST, 'The token lacks a scope that this request needs', { scopes: missing }, 403)
}
