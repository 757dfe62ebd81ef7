/** Headers of every response: security headers and CSP, CORS if the route allows it, and `Connection: close` at shutdown. */
import type { Base } from '../base.ts'
import type { Config } from '../config.ts'
import { NO_STORE } from './json.ts'

/** Only for preflights. The header `*` allows everything but Authorization, such as `Mcp-Param-*`. */
export const PREFLIGHT: Readonly<Record<string, string>> = {
  'Access-Control-Allow-Methods': 'GET, POST, DELETE, OPTIONS',
  'Access-Control-Allow-Headers':
    'Authorization, Content-Type, Accept, Last-Event-ID, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name, *',
  'Access-Control-Max-Age': '7200',
}

/** Without credentials the origin can be `*`. */
const CORS: Record<string, string> = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Expose-Headers': 'WWW-Authenticate, Mcp-Session-Id, Retry-After',
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

const securityHeaders = ({ BASE_URL }: Config): Record<string, string> => ({
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  // For browsers and scanners that do not support frame-ancestors.
  'X-Frame-Options': 'DENY',
  ...(BASE_URL.startsWith('https:') ? { 'Strict-Transport-Security': 'max-age=31536000' } : {}),
})

/** The origins whose web pages may read a response. */
type Origins = 'any' | 'known' | 'own'

/**
 * The headers of a response, all at once: setting them one by one takes several microseconds. Responses take an instance
 * over faster than an object.
 */
export const completeHeaders = (config: Config, origins: Origins, more: Record<string, string>): Headers =>
  new Headers({
    ...securityHeaders(config),
    ...(origins === 'own' ? {} : CORS),
    ...(origins === 'known' ? { Vary: 'Origin' } : {}),
    ...more,
  })

/** Makes JSON responses as `noStoreJson` does, with complete headers. */
export function openJson(config: Config, origins: Origins): (body: unknown) => Response {
  const headers = completeHeaders(config, origins, NO_STORE)
  return body => new Response(JSON.stringify(body), { headers })
}

/** @returns how to set the headers of a response; those that it has already stay. `isReadable`: by other origins. */
export function openResponseHeaders({ config, draining }: Base) {
  const always = Object.entries(securityHeaders(config))
  const crossOrigin = Object.entries(CORS)
  return (headers: Headers, isReadable: boolean) => {
    if (!headers.has('X-Frame-Options')) {
      for (const [name, value] of always) if (!headers.has(name)) headers.set(name, value)
      if (isReadable) for (const [name, value] of crossOrigin) headers.set(name, value)
    }
    // The client then opens a new connection, which the load balancer sends elsewhere. Set when the response is sent, so
    // that it also applies to requests received before the signal.
    if (draining.signal.aborted) headers.set('Connection', 'close')
  }
}
