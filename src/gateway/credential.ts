import type { StopSignal } from '../lib/stop.ts'
import type { GatewayCaller } from './exchange.ts'

/** The credential of a caller at an upstream. It is requested before every request, so it may change during a connection. */
export interface Credential {
  /** The Authorization header value; synchronous while it is fresh. @throws UpstreamFailure if there is none. */
  header(): string | Promise<string>
  /** A new value after the upstream refused this one (401). @returns undefined if there is none. @throws UpstreamFailure */
  renewed(refused: string): Promise<string | undefined>
  /** Call it when the upstream requires more scope (403 `insufficient_scope`). @returns whether the user can be asked for it. */
  wants(scope: readonly string[]): Promise<boolean>
}

/** The accounts of callers at one upstream. */
export interface AccountAt {
  /** Undefined if it is not in memory. */
  isLinkedNow(caller: GatewayCaller): boolean | undefined
  isLinked(caller: GatewayCaller): Promise<boolean>
  /** Resolves once it is linked with all scopes that the upstream requires. @returns false if that takes longer than `ms`. */
  waitUntilLinked(caller: GatewayCaller, ms: number, signal: StopSignal): Promise<boolean>
  /** The page where the caller links an account. */
  linkUrl(caller: GatewayCaller): string
}
