/** A connection to one JSON-RPC peer, whatever the transport. No MCP semantics; peer.ts matches requests and answers. */
import type { Id, Message } from './messages.ts'

export interface Connection {
  /**
   * Sends one message; answers arrive through {@link ConnectionEvents.onMessage}. Resolves when the message is sent.
   *
   * @param headers HTTP: additional headers of this request (`Mcp-Param-*`, trace context).
   * @throws UpstreamFailure if it could not be sent.
   */
  send(message: Message, headers?: Record<string, string>): Promise<void>
  /** HTTP only: aborts a request and its answer stream. */
  abort?(id: Id): void
  close(): Promise<void>
}

export interface ConnectionEvents {
  /**
   * @param bytes Length on the wire.
   * @param about HTTP: the id of the request whose answer stream carried the message.
   */
  onMessage(message: Message, bytes: number, about?: Id): void
  /** HTTP only: one request failed, but the connection remains usable. */
  onFailure?(id: Id, failure: Failure): void
  /** HTTP only: the upstream has lost the session. Calls in flight may still be answered; new ones need a new connection. */
  onStale?(): void
  /** The connection has ended; called once, also after close(). All calls in flight fail with it. */
  onClose(failure: Failure): void
}

/** Why an upstream did not answer; failures.ts has the wording for clients. */
export type FailureReason =
  | 'unreachable'
  | 'refused'
  | 'exited'
  | 'start_failed'
  | 'timeout'
  | 'too_large'
  | 'malformed'
  | 'busy'
  | 'cancelled'
  | 'session_lost'
  | 'protocol'
  | 'unlinked'
  | 'more_scope'
  | 'for_people'

export interface Failure {
  reason: FailureReason
  /** For the operator's log; may quote the upstream, but contains no secrets. */
  detail: string
  /** HTTP: the status, if it helps to detect the era. */
  status?: number
}

/** Thrown inside the gateway; failures.ts turns it into an RpcError in our own words. */
export class UpstreamFailure extends Error {
  constructor(readonly failure: Failure) {
    super(failure.detail)
    this.name = 'UpstreamFailure'
  }
}

export function fail(reason: FailureReason, detail: string): UpstreamFailure {
  return new UpstreamFailure({ reason, detail })
}
