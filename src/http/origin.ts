import type { Config } from '../config.ts'
import { AppError, OAuthError } from '../lib/errors.ts'
import { isLoopbackHost } from '../lib/networks.ts'

/**
 * Refuses what a web page elsewhere makes a browser send (MCP, Streamable HTTP, "Security"): an Origin that is not ours, not
 * allowed by the operator and not on this machine, where browser-based clients run; and, on a loopback bind, a Host that is
 * not ours, which is how DNS rebinding looks.
 *
 * @returns the check of a request, which throws AppError 403.
 */
export function originCheck(config: Config): (request: Request) => void {
  const own = new URL(config.BASE_URL)
  const boundToLoopback = isLoopbackHost(config.HOST) || config.HOST === '::1'
  return ({ headers }) => {
    const origin = headers.get('origin')
    if (origin !== null && origin !== own.origin && !isAllowedOrigin(config, origin)) {
      throw new AppError(
        'Requests from this origin are not allowed',
        'Call from a page of this server, or from outside a browser; the operator can allow more with ALLOWED_ORIGINS.',
        { status: 403 },
      )
    }
    const host = headers.get('host') ?? own.host
    if (!boundToLoopback || host === own.host) return
    const name = URL.parse(`http://${host}`)?.hostname ?? ''
    if (name !== own.hostname && !isLoopbackHost(name)) {
      throw new AppError(
        'This host name is not served here',
        'Use the address that the server prints when it starts.',
        { status: 403 },
      )
    }
  }
}

function isAllowedOrigin({ ALLOWED_ORIGINS }: Config, origin: string): boolean {
  return ALLOWED_ORIGINS.includes(origin) || isLoopbackHost(URL.parse(origin)?.hostname ?? '')
}

/**
 * Refuses more than one Host header (RFC 9112 3.2), which Bun joins with commas: whoever stands in front may have looked at
 * another one.
 *
 * @throws OAuthError `invalid_request`, 400.
 */
export function requireOneHost(request: Request): void {
  if (request.headers.get('host')?.includes(','))
    throw new OAuthError('invalid_request', 'There must be one Host header')
}
