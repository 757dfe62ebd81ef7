/** The metrics of this process, in Prometheus format. Features define their own metrics here. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

const PREFIX = 'mcp_oauth_'
/** Seconds, from answers from memory to the longest calls. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60]

export interface Metrics {
  /** Labels must have few values: no users, clients or tools. */
  counter<L extends string>(name: string, help: string, labels: readonly L[]): Counter<L>
  /** A histogram of durations, in seconds. */
  histogram<L extends string>(name: string, help: string, labels: readonly L[]): Histogram<L>
  /** Calls `read` for each scrape: it returns a number, or one for each value of a label. */
  gauge(
    name: string,
    help: string,
    read: () => number | Promise<number> | Iterable<readonly [string, number]>,
    label?: string,
  ): void
  /** The number of a gauge now; 0 if there is none. */
  valueOf(gauge: string): number
  /** All metrics, in Prometheus format. */
  text(): Promise<string>
  readonly contentType: string
}

export function openMetrics(): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const reads = new Map<string, () => unknown>()
  /** Those of the process. Watching it takes time, so this begins when somebody asks. */
  let isWatching = false
  /** Reuses a metric that already exists, when an app is created a second time. */
  const once = <M>(name: string, make: () => M) => (registry.getSingleMetric(PREFIX + name) as M | undefined) ?? make()
  return {
    counter: (name, help, labelNames) =>
      once(name, () => new Counter({ name: PREFIX + name, help, labelNames, registers })),
    histogram: (name, help, labelNames) =>
      once(name, () => new Histogram({ name: PREFIX + name, help, labelNames, buckets: BUCKETS, registers })),
    gauge(name, help, read, label) {
      registry.removeSingleMetric(PREFIX + name)
      reads.set(name, read)
      new Gauge({
        name: PREFIX + name,
        help,
        labelNames: label === undefined ? [] : [label],
        registers,
        async collect() {
          const found = await read()
          if (typeof found === 'number') return this.set(found)
          this.reset()
          for (const [value, number] of found) this.set({ [label!]: value }, number)
        },
      })
    },
    valueOf: gauge => Number(reads.get(gauge)?.() ?? 0),
    text() {
      if (!isWatching) collectDefaultMetrics({ register: registry })
      isWatching = true
      return registry.metrics()
    },
    contentType: registry.contentType,
  }
}
