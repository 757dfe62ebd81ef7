/** What every response has: security headers, CORS where a route allows it, and the end of its connection when we stop. */
import { Elysia } from 'elysia'
import type { Base } from '../base.ts'
import { originCheck, requireOneHost } from './origin.ts'
import type { Routes } from './routes.ts'

/** No cookies go along, so the origin need not be repeated, and `*` allows all headers but Authorization: `Mcp-Param-*`, too. */
const CORS: Record<string, string> = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Methods': 'GET, POST, DELETE, OPTIONS',
  'Access-Control-Allow-Headers':
    'Authorization, Content-Type, Accept, Last-Event-ID, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name, *',
  'Access-Control-Expose-Headers': 'WWW-Authenticate, Mcp-Session-Id, Retry-After',
  'Access-Control-Max-Age': '7200',
}

/** The headers of every page. Nothing inline runs; scripts and styles come from this server only, and forms lead to it only. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'Content-Type': 'text/html; charset=utf-8',
  'Cache-Control': 'no-store',
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "form-action 'self'",
  ].join('; '),
  // Other sites learn nothing. With no-referrer, our own forms would have `Origin: null`, like those of a forger.
  'Referrer-Policy': 'same-origin',
}

export const protect = ({ config, draining }: Base, routes: Routes) => {
  const https = config.BASE_URL.startsWith('https:')
  const requireKnownOrigin = originCheck(config)
  return (
    new Elysia({ name: 'protect' })
      .onRequest(({ request, set }) => {
        requireOneHost(request)
        set.headers['X-Content-Type-Options'] = 'nosniff'
        set.headers['Referrer-Policy'] = 'no-referrer'
        // For browsers and scanners that do not know frame-ancestors.
        set.headers['X-Frame-Options'] = 'DENY'
        if (https) set.headers['Strict-Transport-Security'] = 'max-age=31536000'
      })
      .onTransform({ as: 'global' }, ({ request, route, set }) => {
        const { crossOrigin } = routes.traitsOf(route)
        if (!crossOrigin) return
        if (crossOrigin === 'known') {
          set.headers.vary = 'Origin'
          requireKnownOrigin(request)
        }
        Object.assign(set.headers, CORS)
      })
      // Whoever sees this sends the next request over a new connection, which a load balancer opens elsewhere. Decided when
      // the answer goes out, so that it holds for a request that came in before the signal, too.
      .mapResponse({ as: 'global' }, ({ set }) => {
        if (draining.signal.aborted) set.headers.connection = 'close'
      })
  )
}
