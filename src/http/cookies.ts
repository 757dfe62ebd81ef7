import type { Config } from '../config.ts'
import { isSecure } from './pages.ts'

/** With https the `__Host-` prefix keeps other hosts and plain http from setting the cookie; on http it cannot be used. */
function cookieName(config: Config, name: string): string {
  return isSecure(config) ? `__Host-${name}` : `mcp-oauth-${name}`
}

export function readCookie(config: Config, request: Request, name: string): string | undefined {
  const wanted = cookieName(config, name)
  for (const pair of (request.headers.get('cookie') ?? '').split(';')) {
    const equals = pair.indexOf('=')
    if (equals > 0 && pair.slice(0, equals).trim() === wanted) return pair.slice(equals + 1).trim()
  }
  return undefined
}

/** The value of a Set-Cookie header. @param maxAge seconds; 0 deletes the cookie. */
export function setCookie(config: Config, name: string, value: string, maxAge: number): string {
  return `${cookieName(config, name)}=${value}; Path=/; Max-Age=${maxAge}; HttpOnly; SameSite=Lax${isSecure(config) ? '; Secure' : ''}`
}
