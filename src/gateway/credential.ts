import type { GatewayCaller } from './exchange.ts'

/** What an upstream is told about the caller: read before every request, so it may change during a connection. */
export interface Credential {
  /** The value of Authorization: at once while it is fresh. @throws UpstreamFailure if there is none. */
  header(): string | Promise<string>
  /** Another one, after the upstream has refused this (401). @returns nothing if there is no other. @throws UpstreamFailure */
  renewed(refused: string): Promise<string | undefined>
  /** The upstream wants more than it was given (403 `insufficient_scope`). @returns whether its owner can be asked for that. */
  wants(scope: readonly string[]): Promise<boolean>
}

/** Callers' own accounts at one upstream. */
export interface AccountAt {
  /** At once if it is in memory. */
  isLinkedNow(caller: GatewayCaller): boolean | undefined
  isLinked(caller: GatewayCaller): Promise<boolean>
  /** Resolves once it is linked with all that the upstream asked for. @returns false if that takes longer. */
  waitUntilLinked(caller: GatewayCaller, ms: number, signal: AbortSignal): Promise<boolean>
  /** Where a caller links theirs. */
  linkUrl(caller: GatewayCaller): string
}
