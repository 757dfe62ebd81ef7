/** What every response has and every request must pass: security headers, and CORS for browser clients. */
import { Elysia } from 'elysia'
import type { Deps } from '../deps.ts'

/** The paths that web pages elsewhere may call, without cookies: what an MCP client in a browser needs. */
const CROSS_ORIGIN =
  /^\/(\.well-known\/.+|api\/oauth\/(register|token|device|device\/token|revoke)|mcp(\/.*)?|api\/sse|sse|messages|token|register)$/

const CORS: Record<string, string> = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Methods': 'GET, POST, DELETE, OPTIONS',
  'Access-Control-Allow-Headers':
    'Authorization, Content-Type, Accept, Last-Event-ID, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name',
  'Access-Control-Expose-Headers': 'WWW-Authenticate, Mcp-Session-Id, Retry-After',
  'Access-Control-Max-Age': '7200',
}

export const protect = (deps: Deps) => {
  const https = deps.config.BASE_URL.startsWith('https:')
  return new Elysia({ name: 'protect' }).onRequest(({ request, set }) => {
    set.headers['X-Content-Type-Options'] = 'nosniff'
    set.headers['Referrer-Policy'] = 'no-referrer'
    if (https) set.headers['Strict-Transport-Security'] = 'max-age=31536000'
    const path = URL.parse(request.url)?.pathname ?? ''
    if (!CROSS_ORIGIN.test(path)) return
    Object.assign(set.headers, CORS)
    if (request.method === 'OPTIONS') return new Response(null, { status: 204 })
  })
}
