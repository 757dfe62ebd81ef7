/** Tracks each request: its id and sender, the access log, and duration metrics. */
import { randomBytes } from 'node:crypto'
import { Elysia } from 'elysia'
import type { Base } from '../base.ts'
import { networkOf } from '../lib/networks.ts'
import { clientAddress, isTrustedPeer } from './client-address.ts'
import type { Routes } from './routes.ts'

/** The authenticated sender of a request. */
interface Sender {
  client?: string
  user?: string
  grant?: string
}

interface Seen {
  id: string
  beganAt: number
  network: string | undefined
  sender?: Sender
}

const seen = new WeakMap<Request, Seen>()

/** Adds the sender of a request to its log line. */
export function identify(request: Request, sender: Sender): void {
  const known = seen.get(request)
  if (known) known.sender = { ...known.sender, ...sender }
}

/** The id of a request, which identifies its log lines. */
export function requestId(request: Request): string | undefined {
  return seen.get(request)?.id
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS']

export const requests = (base: Base, routes: Routes) => {
  const { config, log, metrics } = base
  const ids = openIds()
  const durations = metrics.histogram('http_request_duration_seconds', 'Time until the response starts', [
    'method',
    'route',
    'status',
  ])
  const isMeasured = config.METRICS_PORT !== undefined || config.METRICS_TOKEN !== undefined
  const plugin = new Elysia({ name: 'requests' }).onRequest(({ request, server, set }) => {
    const given = request.headers.get('x-request-id')
    const id = given && /^[\w.:-]{1,100}$/.test(given) && isTrustedPeer(config, request, server) ? given : ids()
    // The address is no longer available after the response.
    const network = config.ACCESS_LOG ? networkOf(clientAddress(base, request, server)) : undefined
    seen.set(request, { id, beganAt: performance.now(), network })
    set.headers['X-Request-Id'] = id
  })
  if (!isMeasured && !config.ACCESS_LOG) return plugin
  return plugin.onAfterResponse({ as: 'global' }, ({ request, route, set, responseValue }) => {
    const known = seen.get(request)
    if (!known) return
    const ms = performance.now() - known.beganAt
    const status = responseValue instanceof Response ? responseValue.status : Number(set.status ?? 200)
    if (isMeasured) {
      const method = METHODS.includes(request.method) ? request.method : 'other'
      durations.observe({ method, route: route ?? 'none', status }, ms / 1000)
    }
    if (!config.ACCESS_LOG || routes.traitsOf(route).unlogged) return
    log.info(
      {
        request: known.id,
        method: request.method,
        path: printablePath(route, request),
        status,
        ms: Math.round(ms * 10) / 10,
        ...known.sender,
        network: known.network,
      },
      'request',
    )
  })
}

/** Generates ids that are unique across servers. */
function openIds(): () => string {
  const server = randomBytes(6).toString('base64url')
  let count = 0
  return () => `${server}.${(count++).toString(36)}`
}

/**
 * The pattern of the route, since the actual path may contain a secret. Only for `/.well-known/` are the words of the path
 * kept, because they show which metadata clients look for.
 */
function printablePath(route: string | undefined, request: Request): string {
  if (route !== undefined && !route.startsWith('/.well-known/')) return route
  const [, first, ...rest] = (URL.parse(request.url)?.pathname ?? '').split('/', 8)
  if (first !== '.well-known') return 'none'
  return ['', first, ...rest.map(word => (/^[a-z][a-z.-]{1,40}$/.test(word) ? word : '*'))].join('/')
}
