import type { Config } from '../config.ts'
import { isSecure } from './pages.ts'

/** With https, the `__Host-` prefix keeps other hosts and plain http from setting the cookie; http does not support it. */
function cookieName(config: Config, name: string): string {
  return isSecure(config) ? `__Host-${name}` : `mcp-oauth-${name}`
}

/** The first cookie of this name. */
export function readCookie(config: Config, request: Request, name: string): string | undefined {
  return listCookies(config, request, name).find(cookie => cookie.name === name)?.value
}

/** The cookies whose names start with a prefix, in the order sent by the browser. */
export function listCookies(config: Config, request: Request, prefix: string): { name: string; value: string }[] {
  const wanted = cookieName(config, prefix)
  return (request.headers.get('cookie') ?? '').split(';').flatMap(pair => {
    const equals = pair.indexOf('=')
    const name = pair.slice(0, Math.max(equals, 0)).trim()
    return name.startsWith(wanted)
      ? [{ name: prefix + name.slice(wanted.length), value: pair.slice(equals + 1).trim() }]
      : []
  })
}

/** The value of a Set-Cookie header. @param maxAge seconds; 0 deletes the cookie. */
export function setCookie(config: Config, name: string, value: string, maxAge: number): string {
  return `${cookieName(config, name)}=${value}; Path=/; Max-Age=${maxAge}; HttpOnly; SameSite=Lax${isSecure(config) ? '; Secure' : ''}`
}
