/** The only file that imports the OpenTelemetry SDK, which reads its own variables (OTEL_EXPORTER_OTLP_HEADERS and others). */
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { getNumberFromEnv, setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, TraceIdRatioBasedSampler, TracerProvider } from '@opentelemetry/sdk-trace'
import packageJson from '../package.json' with { type: 'json' }
import type { Log } from './lib/log.ts'
import type { Span, TraceContext, Tracing } from './tracing.ts'

const KINDS = { server: SpanKind.SERVER, client: SpanKind.CLIENT }
const WARN_MS = 60_000
const CLOSE_MS = 2_000

const getter = {
  get: (carrier: TraceContext, key: string) => carrier[key as keyof TraceContext],
  keys: (carrier: TraceContext) => Object.keys(carrier),
}
const setter = {
  set(carrier: TraceContext, key: string, value: string) {
    carrier[key as keyof TraceContext] = value
  },
}

/** @param endpoint The collector's, for OTLP/HTTP. */
export function openTracing(log: Log, endpoint: string): Tracing {
  warnOfLoss(log)
  const provider = new TracerProvider({
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': packageJson.name, 'service.version': packageJson.version }))
      .merge(detectResources({ detectors: [envDetector] })),
    // A caller's own decision does not count: strangers could hide, or fill the collector.
    sampler: new TraceIdRatioBasedSampler(getNumberFromEnv('OTEL_TRACES_SAMPLER_ARG') ?? 1),
    spanProcessors: [
      new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, '')}/v1/traces` }) }),
    ],
  })
  const tracer = provider.getTracer(packageJson.name, packageJson.version)
  const contexts = new AsyncLocalStorageContextManager().enable()
  const w3c = new W3CTraceContextPropagator()
  const inner = new WeakMap<Span, ReturnType<typeof trace.setSpan>>()

  return {
    isActive: () => trace.getSpan(contexts.active()) !== undefined,
    start(name, { kind, attributes, parent }) {
      const around = parent ? w3c.extract(ROOT_CONTEXT, parent, getter) : contexts.active()
      const started = tracer.startSpan(name, { kind: KINDS[kind], attributes }, around)
      const context = trace.setSpan(around, started)
      const carrier: TraceContext = {}
      w3c.inject(context, carrier, setter)
      const span: Span = {
        context: carrier,
        end(more = {}, error) {
          started.setAttributes(more)
          if (error !== undefined) started.setStatus({ code: SpanStatusCode.ERROR, message: error })
          started.end()
        },
      }
      inner.set(span, context)
      return span
    },
    within: (span, work) => contexts.with(inner.get(span)!, work),
    // A collector that is away must not hold up the shutdown.
    close: () => Promise.race([provider.shutdown().catch(() => {}), Bun.sleep(CLOSE_MS)]),
  }
}

/** The SDK drops what it cannot export. */
function warnOfLoss(log: Log): void {
  let warnedAt = Number.NEGATIVE_INFINITY
  setGlobalErrorHandler(error => {
    if (performance.now() - warnedAt < WARN_MS) return
    warnedAt = performance.now()
    log.warn({ detail: error instanceof Error ? error.message : String(error) }, 'traces could not be exported')
  })
}
