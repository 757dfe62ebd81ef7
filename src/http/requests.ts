/**
 * Around every request: its id and sender, the headers of its response, the access log, and duration metrics. The headers
 * are set on the finished response, for Elysia copies a response when it has any to add.
 */
import { randomBytes } from 'node:crypto'
import { Elysia } from 'elysia'
import type { Base } from '../base.ts'
import { after } from '../lib/after.ts'
import { logInfo } from '../lib/log.ts'
import { networkOf } from '../lib/networks.ts'
import { clientAddress, type Handled, isTrustedPeer } from './client-address.ts'
import { openRequestSpans } from './request-spans.ts'
import { openResponseHeaders } from './response-headers.ts'
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
  server: Handled['server']
  /** The pattern of its route. */
  route?: string
  sender?: Sender
  /** Whether web pages of its origin may read the response. */
  isReadable?: boolean
}

const seen = new WeakMap<Request, Seen>()

/** Adds the sender of a request to its log line. */
export function identify(request: Request, sender: Sender): void {
  const known = seen.get(request)
  if (known) known.sender = known.sender ? { ...known.sender, ...sender } : sender
}

/** Lets web pages of another origin read the response to a request. */
export function allowCrossOrigin(request: Request): void {
  const known = seen.get(request)
  if (known) known.isReadable = true
}

/** Whether web pages of another origin may read the response to a request. */
export function isCrossOrigin(request: Request): boolean {
  return seen.get(request)?.isReadable === true
}

/** The sender of a request, as far as it is known. */
export function senderOf(request: Request): Sender | undefined {
  return seen.get(request)?.sender
}

/** The id of a request, which identifies its log lines. */
export function requestId(request: Request): string | undefined {
  return seen.get(request)?.id
}

type MaybeLater<T> = T | Promise<T>

/** What Elysia has not made a response of. */
const rethrow = (error: unknown): never => {
  throw error
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS']

export interface Requests {
  /**
   * The outermost step: what the response gets, and what is written down about it.
   *
   * @param refuse What an error becomes.
   */
  around(
    request: Request,
    run: () => MaybeLater<Response>,
    refuse: (error: unknown) => MaybeLater<Response>,
  ): MaybeLater<Response>
  /** The first step inside. */
  begin(request: Request, server: Handled['server']): void
  /** Once the route is known. */
  enter(request: Request, route: string): void
}

export function openRequests(base: Base, routes: Routes): Requests {
  const { config } = base
  const ids = openIds()
  const setHeaders = openResponseHeaders(base)
  const note = openNotes(base, routes)
  const spans = base.tracing && openRequestSpans(base.tracing, routes)

  function finish(request: Request, response: Response): Response {
    const known = seen.get(request)
    if (!known) return response
    const { headers, status } = response
    headers.set('X-Request-Id', known.id)
    setHeaders(headers, known.isReadable === true)
    if (routes.traitsOf(known.route).crossOrigin === 'known' && !headers.has('Vary')) headers.set('Vary', 'Origin')
    note?.(request, known, status)
    spans?.end(request, known, status)
    return response
  }

  return {
    around(request, run, refuse) {
      const end = (response: Response) => finish(request, response)
      const fail = (error: unknown) => after(refuse(error), end)
      let response: MaybeLater<Response>
      try {
        response = spans ? spans.within(request, run) : run()
      } catch (error) {
        return fail(error)
      }
      return response instanceof Promise ? response.then(end, fail) : end(response)
    },
    begin(request, server) {
      const given = request.headers.get('x-request-id')
      const id = given && /^[\w.:-]{1,100}$/.test(given) && isTrustedPeer(config, request, server) ? given : ids()
      seen.set(request, { id, beganAt: performance.now(), server })
    },
    enter(request, route) {
      const known = seen.get(request)
      if (!known) return
      known.route = route
      // For the log: it is no longer available when the client is gone.
      if (config.ACCESS_LOG && !routes.traitsOf(route).unlogged) clientAddress(base, request, known.server)
    },
  }
}

export const requests = ({ around, begin, enter }: Requests) =>
  new Elysia({ name: 'requests' })
    .wrap(
      handle => (request: Request) =>
        around(request, () => handle(request) as unknown as MaybeLater<Response>, rethrow),
    )
    // In blocks: Elysia awaits a hook whose text returns a call.
    .onRequest(({ request, server }) => {
      begin(request, server)
    })
    .onTransform({ as: 'global' }, ({ request, route }) => {
      enter(request, route)
    })

/** Writes down a finished request: in the access log and the metrics, if either is wanted. */
function openNotes(base: Base, routes: Routes) {
  const { config, log, metrics } = base
  const isMeasured = config.METRICS_PORT !== undefined || config.METRICS_TOKEN !== undefined
  const durations = metrics.histogram('http_request_duration_seconds', 'Time until the response starts', [
    'method',
    'route',
    'status',
  ])
  if (!isMeasured && !config.ACCESS_LOG) return undefined
  return (request: Request, { id, beganAt, server, route, sender }: Seen, status: number) => {
    const ms = performance.now() - beganAt
    if (isMeasured) {
      const method = METHODS.includes(request.method) ? request.method : 'other'
      durations.observe({ method, route: route ?? 'none', status }, ms / 1000)
    }
    if (!config.ACCESS_LOG || routes.traitsOf(route).unlogged) return
    logInfo(
      log,
      {
        request: id,
        method: request.method,
        path: printablePath(route, request),
        status,
        ms: Math.round(ms * 10) / 10,
        client: sender?.client,
        user: sender?.user,
        grant: sender?.grant,
        network: networkOf(clientAddress(base, request, server)),
      },
      'request',
    )
  }
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
  if (route !== undefined && !(route.startsWith('/.well-known/') && route.endsWith('*'))) return route
  const [, first, ...rest] = (URL.parse(request.url)?.pathname ?? '').split('/', 8)
  if (first !== '.well-known') return 'none'
  return ['', first, ...rest.map(word => (/^[a-z][a-z.-]{1,40}$/.test(word) ? word : '*'))].join('/')
}
