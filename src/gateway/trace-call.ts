/** The span of a call, by the OpenTelemetry conventions for MCP: the trace context travels in `_meta`. */
import { type TraceContext, type Tracing, trace } from '../tracing.ts'
import type { Exchange } from './exchange.ts'
import { isObject } from './messages.ts'
import type { Upstream } from './upstream.ts'

/**
 * @param params The client's; a `traceparent` in its `_meta` is the parent, otherwise the request is.
 * @param perform Gets them with the context of the span.
 */
export function traceCall<T>(
  tracing: Tracing,
  { config: { name } }: Upstream,
  { method }: Exchange,
  params: Record<string, unknown>,
  perform: (params: Record<string, unknown>) => Promise<T>,
): Promise<T> {
  const meta = isObject(params._meta) ? params._meta : {}
  const parent = contextOf(meta)
  const target = typeof params.name === 'string' ? params.name.slice(0, 128) : undefined
  const attributes = {
    'mcp.method.name': method,
    'mcp.server.name': name,
    ...(target === undefined ? {} : { [method === 'tools/call' ? 'gen_ai.tool.name' : 'gen_ai.prompt.name']: target }),
  }
  const options = { kind: 'client' as const, attributes, ...(parent ? { parent } : {}) }
  return trace(tracing, target === undefined ? method : `${method} ${target}`, options, span => {
    const { traceparent: _, tracestate: __, ...others } = meta
    return perform({ ...params, _meta: { ...others, ...span.context } })
  })
}

function contextOf({ traceparent, tracestate }: Record<string, unknown>): TraceContext | undefined {
  if (typeof traceparent !== 'string') return undefined
  return { traceparent, ...(typeof tracestate === 'string' ? { tracestate } : {}) }
}
