/** Headers of every response: security headers and CSP, CORS if the route allows it, and `Connection: close` at shutdown. */
import { Elysia } from 'elysia'
import type { Base } from '../base.ts'
import { originCheck, requireOneHost } from './origin.ts'
import type { Routes } from './routes.ts'

/** Without credentials the origin can be `*`, and the header `*` allows everything but Authorization, such as `Mcp-Param-*`. */
const CORS: Record<string, string> = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Methods': 'GET, POST, DELETE, OPTIONS',
  'Access-Control-Allow-Headers':
    'Authorization, Content-Type, Accept, Last-Event-ID, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name, *',
  'Access-Control-Expose-Headers': 'WWW-Authenticate, Mcp-Session-Id, Retry-After',
  'Access-Control-Max-Age': '7200',
}

/** The headers of every page. Scripts, styles and form targets only from this server; nothing inline. */
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
  // Other sites get no referrer. With no-referrer our own forms would send `Origin: null`, as forged ones can.
  'Referrer-Policy': 'same-origin',
}

export const responseHeaders = ({ config, draining }: Base, routes: Routes) => {
  const https = config.BASE_URL.startsWith('https:')
  const requireKnownOrigin = originCheck(config)
  return (
    new Elysia({ name: 'response-headers' })
      .onRequest(({ request, set }) => {
        requireOneHost(request)
        set.headers['X-Content-Type-Options'] = 'nosniff'
        set.headers['Referrer-Policy'] = 'no-referrer'
        // For browsers and scanners that do not support frame-ancestors.
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
      // The client then opens a new connection, which the load balancer sends elsewhere. Set when the response is sent, so
      // that it also applies to requests received before the signal.
      .mapResponse({ as: 'global' }, ({ set }) => {
        if (draining.signal.aborted) set.headers.connection = 'close'
      })
  )
}
