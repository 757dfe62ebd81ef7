/** One JSON-RPC peer behind a transport. Knows no MCP semantics; see peer.ts for requests and answers. */
import type { Id, Message } from './messages.ts'

export interface Connection {
  /**
   * Sends one message; answers come through {@link ConnectionEvents.onMessage}. Resolves when the message is on its way.
   *
   * @param options.headers HTTP: further headers of this request (`Mcp-Param-*`, trace context).
   * @param options.signal HTTP: ends the request and its answer stream.
   * @throws UpstreamFailure if it could not be sent.
   */
  send(message: Message, options?: { headers?: Record<string, string>; signal?: AbortSignal }): Promise<void>
  close(): Promise<void>
}

export interface ConnectionEvents {
  /**
   * @param bytes Length on the wire.
   * @param about HTTP: the id of the request whose answer stream carried the message.
   */
  onMessage(message: Message, bytes: number, about?: Id): void
  /** One request got no answer, the connection lives: HTTP only. */
  onFailure?(id: Id, failure: Failure): void
  /** The upstream has forgotten the session: calls in flight may still be answered, new ones need another connection. HTTP only. */
  onStale?(): void
  /** Nothing more comes; once, also after close(). Every call in flight fails with it. */
  onClose(failure: Failure): void
}

/** Why an upstream did not answer, for our own words. */
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

export interface Failure {
  reason: FailureReason
  /** For the operator's log; may quote the upstream, never secrets. */
  detail: string
  /** HTTP: the status, where that says something about the era. */
  status?: number
}

/** Thrown inside the gateway; becomes our own words at its edge. */
export class UpstreamFailure extends Error {
  constructor(readonly failure: Failure) {
    super(failure.detail)
    this.name = 'UpstreamFailure'
  }
}

export function fail(reason: FailureReason, detail: string): UpstreamFailure {
  return new UpstreamFailure({ reason, detail })
}
