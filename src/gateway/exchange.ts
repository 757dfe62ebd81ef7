/** The gateway's interface to `mcp/`: one request in the client's era, and everything that the gateway offers. */
import type { StopSignal } from '../lib/stop.ts'
import type { PersonAccounts } from './accounts/types.ts'
import type { Auth, UpstreamConfig } from './config.ts'
import type { RpcNotification } from './messages.ts'

export interface GatewayCaller {
  /** `user:<id>` or `client:<id>`: the owner of processes and lists. */
  principal: string
  /** Absent for a machine. */
  user?: { id: string; email: string; name: string }
  clientId: string
  /** The connection or personal access token. */
  grantId?: string
  scope: readonly string[]
  /** The client's MCP session, for isolation `session`. */
  session?: string
  ip: string | null
}

export interface Exchange {
  caller: GatewayCaller
  era: '2026' | '2025'
  /** The revision that the client speaks. */
  revision: string
  method: string
  /** As the client sent them, in 2026 with the `_meta` envelope. The gateway does not modify them. */
  params: Record<string, unknown>
  clientInfo: Record<string, unknown>
  /** From `initialize` (2025), or from this request's `_meta` (2026). */
  capabilities: Record<string, unknown>
  /** 2025: the session's level from `logging/setLevel`. 2026 clients send it in `_meta`. */
  logLevel?: string
  /** Of this request alone: aborted when the client cancels or disconnects. */
  signal: StopSignal
  /** Sends progress and log messages on the stream of this request, in the client's era. */
  notify(notification: RpcNotification): void
  /** 2026 over HTTP: the client's `Mcp-Param-*` headers by lowercase name, to compare with the arguments. */
  paramHeaders?(): ReadonlyMap<string, string>
  /**
   * 2025 clients with a stream: sends the client a request on this call's stream. Absent if that is impossible.
   * Rejects with RpcError if the client answers with an error. `signal`: aborted when the question is withdrawn.
   */
  ask?(method: string, params: Record<string, unknown>, signal: AbortSignal): Promise<Record<string, unknown>>
}

export interface ListenFilter {
  toolsListChanged?: boolean
  promptsListChanged?: boolean
  resourcesListChanged?: boolean
  /** URIs as the client knows them: prefixed with the upstream's name in the hub. */
  resourceSubscriptions?: string[]
}

export interface Listening {
  /** The part of the filter that is delivered: what the upstreams support. */
  granted: ListenFilter
  close(): void
}

export interface GatewayChange {
  /** Absent with kind `endpoints`. */
  endpoint?: string
  kind: 'endpoints' | 'tools' | 'prompts' | 'resources'
  /** Whose lists; absent: everyone's. */
  principal?: string
}

export interface Description {
  /** What the endpoint offers, in the shape of `initialize` and `server/discover`. */
  capabilities: Record<string, unknown>
  instructions?: string
  /** Only at `/mcp/{name}`. */
  serverInfo?: Record<string, unknown>
}

/** How a call ended. */
export type Outcome =
  | 'ok'
  | 'tool_error'
  | 'protocol_error'
  | 'unreachable'
  | 'timeout'
  | 'denied'
  | 'cancelled'
  | 'busy'

/** One `tools/call`, `prompts/get` or `resources/read`, for the audit log. */
export interface CallRecord {
  caller: GatewayCaller
  upstream: string
  method: string
  /** The upstream's own name of the tool or prompt, or the URI. */
  target: string
  milliseconds: number
  /** Size of the answer. */
  bytes: number
  outcome: Outcome
  /** Redacted; only if the configuration enables it. */
  arguments?: Record<string, unknown>
  /** Identifies the log line of a failure. */
  reference?: string
}

/** An upstream that cannot be used now, in words for its users. */
export interface AwayUpstream {
  name: string
  reason: string
  /** When the next attempt is allowed; absent: at once. */
  retryAt?: Date
}

/** Names of the entries that a reload started, stopped, or both. */
export interface Reloaded {
  added: readonly string[]
  changed: readonly string[]
  removed: readonly string[]
}

export interface UpstreamStatus {
  name: string
  transport: 'stdio' | 'http'
  /** `idle`: not connected, no failure. `away`: the last start or call failed. */
  state: 'idle' | 'ready' | 'starting' | 'away' | 'open_circuit'
  era: '2026' | '2025' | undefined
  /** How many that policy leaves; undefined if that is not known, or differs from person to person. */
  tools: number | undefined
  prompts: number | undefined
  resources: number | undefined
  connections: number
  restarts: number
  inFlight: number
  waiting: number
  /** May quote the upstream: for the operator only. */
  lastError: string | undefined
  retryAt: Date | undefined
  /** The last lines of standard error: for the operator only. */
  stderr: readonly string[]
  /** Names of tools blocked until `upstream trust`. */
  blocked: readonly string[]
}

/** What the file says of an upstream, with the defaults. */
export interface Policy
  extends Pick<UpstreamConfig, 'tools' | 'prompts' | 'resources' | 'scopes' | 'roots' | 'onChange'> {
  /** The command, or the host of the URL. */
  reached: string
  auth: Auth['type'] | undefined
  /** HTTP: `user` if requests differ from person to person, otherwise `shared`. */
  isolation: UpstreamConfig['isolation']
  users: readonly string[] | undefined
}

/** A child process of this server. */
export interface UpstreamProcess {
  principal: string
  pid: number
  startedAt: Date
  lastUsedAt: Date
}

export interface UpstreamDetails extends UpstreamStatus {
  policy: Policy
  processes: readonly UpstreamProcess[]
}

export interface Gateway {
  /** People's accounts at upstreams, for their pages. */
  readonly accounts: PersonAccounts
  /** The current endpoints, for routes, discovery and scopes. */
  endpoints(): readonly { name: string; scopes: readonly string[] }[]
  /** Subscribes to changes of endpoints and lists. @returns a function that unsubscribes. */
  onChange(listener: (change: GatewayChange) => void): () => void
  /** Whether this caller may use the endpoint at all (`users`). False if it is not configured. */
  mayUse(name: string, caller: GatewayCaller): boolean
  /**
   * The scopes that a request needs beyond those of its method.
   *
   * @param endpoint undefined: the hub. @returns a promise only for the hub. @throws RpcError for unknown names, as `request` does.
   */
  scopesFor(
    endpoint: string | undefined,
    method: string,
    params: Record<string, unknown>,
    caller: GatewayCaller,
  ): readonly string[] | Promise<readonly string[]>
  /** What an endpoint offers this caller. Starts an upstream only if its catalogue is not stored. @throws RpcError if it is not stored and the upstream does not start. */
  describe(endpoint: string | undefined, caller: GatewayCaller): Promise<Description>
  /**
   * Performs one request. The result is raw, in the client's era; in the hub, names and URIs are prefixed with the upstream.
   *
   * @throws RpcError in our own words, or an upstream's protocol error.
   */
  request(endpoint: string | undefined, exchange: Exchange): Promise<Record<string, unknown>>
  /** Subscribes to changes: for a 2026 `subscriptions/listen`, or a 2025 session's GET stream with its `resources/subscribe`. The notifications have no subscription id. */
  listen(
    endpoint: string | undefined,
    caller: GatewayCaller,
    filter: ListenFilter,
    deliver: (notification: RpcNotification) => void,
  ): Promise<Listening>
  /** For `upstream list`, `whoami` and metrics. */
  status(): readonly UpstreamStatus[]
  /** The same with policy and processes, for the administrator's pages. */
  inspect(): Promise<readonly UpstreamDetails[]>
  /** The upstreams that this caller may use, but cannot at the moment. */
  away(caller: GatewayCaller): readonly AwayUpstream[]
  /** Restarts an upstream on every replica: its connections and their calls end, and failures are forgotten. */
  restart(name: string): Promise<void>
  /** Reloads the file; only changed entries stop or start. @throws UsageError if the file is invalid; the old configuration then stays. */
  reload(): Promise<Reloaded>
  /** Ends the processes and sessions of a disabled or removed user or client. */
  endPrincipal(principal: string): Promise<void>
  close(): Promise<void>
}
