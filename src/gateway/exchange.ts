/** What the front hands in and gets back: one request in the client's era, and the gateway's interface. */
import type { RpcNotification } from './messages.ts'

export interface GatewayCaller {
  /** `user:<id>` or `client:<id>`: processes and lists belong to it. */
  principal: string
  /** Absent for a machine. */
  user?: { id: string; email: string; name: string }
  clientId: string
  scope: readonly string[]
  /** The front's session, for isolation `session`. */
  session?: string
  ip: string | null
}

export interface Exchange {
  caller: GatewayCaller
  era: '2026' | '2025'
  /** The revision that the client speaks. */
  revision: string
  method: string
  /** As the client sent them; 2026 with its `_meta` envelope. Not changed by the gateway. */
  params: Record<string, unknown>
  clientInfo: Record<string, unknown>
  /** Of `initialize` (2025), or of this request's `_meta` (2026). */
  capabilities: Record<string, unknown>
  /** 2025: what the session set by `logging/setLevel`. 2026 clients say it in `_meta`. */
  logLevel?: string
  /** Aborted when the client cancels or leaves. */
  signal: AbortSignal
  /** Progress and log messages, on the stream of this request, in the client's era. */
  notify(notification: RpcNotification): void
  /** 2026 over HTTP: the client's `Mcp-Param-*` headers by name in lower case, to be compared with its arguments. */
  paramHeaders?: ReadonlyMap<string, string>
  /**
   * 2025 clients with a stream: a real request to the client on this call's stream. Absent where that is impossible.
   * Rejects with RpcError if the client answers one. `signal`: the question was withdrawn.
   */
  ask?(method: string, params: Record<string, unknown>, signal: AbortSignal): Promise<Record<string, unknown>>
}

export interface ListenFilter {
  toolsListChanged?: boolean
  promptsListChanged?: boolean
  resourcesListChanged?: boolean
  /** URIs as the client knows them: in the hub with the upstream's name. */
  resourceSubscriptions?: string[]
}

export interface Listening {
  /** What of the filter is delivered: only what an upstream offers. */
  granted: ListenFilter
  close(): void
}

export interface GatewayChange {
  /** Absent with kind `endpoints`. */
  endpoint?: string
  kind: 'endpoints' | 'tools' | 'prompts' | 'resources'
  /** Whose lists; absent: everybody's. */
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
  /** Of the answer. */
  bytes: number
  outcome: Outcome
  /** Only if the configuration asks for it, redacted. */
  arguments?: Record<string, unknown>
  /** Finds the log line of a failure. */
  reference?: string
}

export interface UpstreamStatus {
  name: string
  transport: 'stdio' | 'http'
  /** `idle`: not connected, nothing wrong. `away`: the last start or call failed. */
  state: 'idle' | 'ready' | 'starting' | 'away' | 'open_circuit'
  era: '2026' | '2025' | undefined
  tools: number | undefined
  connections: number
  restarts: number
  inFlight: number
  waiting: number
  /** Our words and the upstream's: for the operator only. */
  lastError: string | undefined
  retryAt: Date | undefined
  /** The last lines of standard error: for the operator only. */
  stderr: readonly string[]
  /** Names of tools that wait for `upstream trust`. */
  blocked: readonly string[]
}

/** Counted since the start, by upstream and outcome; no label per tool or user. */
export interface GatewayCounts {
  calls: ReadonlyMap<string, number>
  /** Seconds, summed by upstream. */
  seconds: ReadonlyMap<string, number>
}

export interface Gateway {
  /** The endpoints that there are now: for routes, discovery and scopes. */
  endpoints(): readonly { name: string; scopes: readonly string[] }[]
  /** Called when endpoints or lists change. @returns how to end that. */
  onChange(listener: (change: GatewayChange) => void): () => void
  /** Whether this caller may use the endpoint at all (`users`). False for one that is not configured. */
  mayUse(name: string, caller: GatewayCaller): boolean
  /** The scopes that a request needs beyond those of its method. @param endpoint absent: the hub, with its names. @throws RpcError as `request` does for names that are not there. */
  scopesFor(
    endpoint: string | undefined,
    method: string,
    params: Record<string, unknown>,
    caller: GatewayCaller,
  ): Promise<readonly string[]>
  /** What an endpoint offers this caller. Starts nothing where a catalogue is known. @throws RpcError if nothing is known and the upstream is away. */
  describe(endpoint: string | undefined, caller: GatewayCaller): Promise<Description>
  /**
   * One request. The result is raw, in the client's era; in the hub names and URIs carry the upstream.
   *
   * @throws RpcError in our own words, or an upstream's protocol error.
   */
  request(endpoint: string | undefined, exchange: Exchange): Promise<Record<string, unknown>>
  /** A stream of changes: a 2026 `subscriptions/listen`, or a 2025 session's GET stream with its `resources/subscribe`. The notifications are not tagged with a subscription id. */
  listen(
    endpoint: string | undefined,
    caller: GatewayCaller,
    filter: ListenFilter,
    deliver: (notification: RpcNotification) => void,
  ): Promise<Listening>
  /** For `upstream list`, `whoami` and metrics. */
  status(): readonly UpstreamStatus[]
  counts(): GatewayCounts
  /** Accepts a tool's changed description (`onChange: block`). @returns how many were accepted. */
  trust(name: string): Promise<number>
  /** Reads the file again; only what differs stops or starts. @throws UsageError if the file is wrong: the old configuration stays. */
  reload(): Promise<void>
  /** A user was disabled or removed: their processes and sessions end. */
  endPrincipal(principal: string): Promise<void>
  close(): Promise<void>
}
