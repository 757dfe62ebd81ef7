/** The span of a request, around everything that happens in it; health checks have none. */
import type { Span, TraceContext, Tracing } from '../tracing.ts'
import type { Routes } from './routes.ts'

export function openRequestSpans(tracing: Tracing, routes: Routes) {
  const spans = new WeakMap<Request, Span>()
  return {
    within<T>(request: Request, work: () => T): T {
      if (routes.traitsOf(URL.parse(request.url)?.pathname).unlogged) return work()
      const parent = traceContextOf(request.headers)
      const span = tracing.start(request.method, {
        kind: 'server',
        attributes: { 'http.request.method': request.method },
        ...(parent ? { parent } : {}),
      })
      spans.set(request, span)
      return tracing.within(span, work)
    },
    end(request: Request, { id, route }: { id: string; route?: string }, status: number): void {
      const attributes = { 'http.route': route ?? 'none', 'http.response.status_code': status, 'request.id': id }
      spans.get(request)?.end(attributes, status >= 500 ? String(status) : undefined)
    },
  }
}

function traceContextOf(headers: Headers): TraceContext | undefined {
  const [traceparent, tracestate] = [headers.get('traceparent'), headers.get('tracestate')]
  if (traceparent === null) return undefined
  return { traceparent, ...(tracestate === null ? {} : { tracestate }) }
}
