/**
 * Traces of requests, statements and calls of upstream servers, if OTEL_EXPORTER_OTLP_ENDPOINT is set. `tracing-sdk` has the
 * OpenTelemetry SDK, which is loaded only then.
 */

/** W3C Trace Context, as headers and MCP's `_meta` carry it. */
export interface TraceContext {
  traceparent?: string
  tracestate?: string
}

export type Attributes = Record<string, string | number>

export interface Span {
  readonly context: TraceContext
  /** @param error Why it failed, if it did. */
  end(attributes?: Attributes, error?: string): void
}

export interface SpanOptions {
  kind: 'server' | 'client'
  attributes: Attributes
  /** Default: the span around. */
  parent?: TraceContext
}

export interface Tracing {
  /** Whether there is a span around. */
  isActive(): boolean
  start(name: string, options: SpanOptions): Span
  /** Spans that `work` starts are children of `span`. */
  within<T>(span: Span, work: () => T): T
  /** Sends what is not sent yet. */
  close(): Promise<void>
}

/** Runs work in a span of its own. */
export async function trace<T>(
  tracing: Tracing,
  name: string,
  options: SpanOptions,
  work: (span: Span) => Promise<T>,
): Promise<T> {
  const span = tracing.start(name, options)
  try {
    const result = await tracing.within(span, () => work(span))
    span.end()
    return result
  } catch (error) {
    // Messages may have what a client sent.
    span.end({}, error instanceof Error ? error.name : 'error')
    throw error
  }
}
