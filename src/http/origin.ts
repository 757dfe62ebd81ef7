import { Elysia } from 'elysia'
import type { Config } from '../config.ts'
import { AppError, OAuthError } from '../lib/errors.ts'
import { isLoopbackHost } from '../lib/networks.ts'
import { printableText } from '../lib/text.ts'
import { allowCrossOrigin } from './requests.ts'
import type { Routes } from './routes.ts'

/** @returns the check of a request to a route: which origins may call it. It throws AppError 403. */
export function openOriginCheck({ config }: { config: Config }, routes: Routes) {
  const requireKnownOrigin = originCheck(config)
  return (request: Request, route: string): void => {
    const { crossOrigin } = routes.traitsOf(route)
    if (crossOrigin === 'known') requireKnownOrigin(request)
    if (crossOrigin) allowCrossOrigin(request)
  }
}

/** Refuses requests that a browser was made to send, or that two servers would understand differently. */
export const origin = (checkOrigin: ReturnType<typeof openOriginCheck>) =>
  new Elysia({ name: 'origin' })
    // In blocks: Elysia awaits a hook whose text returns a call.
    .onRequest(({ request }) => {
      requireOneHost(request)
    })
    .onTransform({ as: 'global' }, ({ request, route }) => {
      checkOrigin(request, route)
    })

/**
 * Refuses requests that foreign web pages make a browser send (MCP, Streamable HTTP, "Security"): an Origin that is neither
 * ours, nor in ALLOWED_ORIGINS, nor on loopback, where browser-based clients run; and, when bound to loopback, a foreign
 * Host, which indicates DNS rebinding.
 *
 * @returns the check of a request, which throws AppError 403.
 */
function originCheck(config: Config): (request: Request) => void {
  const own = new URL(config.BASE_URL)
  const boundToLoopback = isLoopbackHost(config.HOST) || config.HOST === '::1'
  return ({ headers }) => {
    const origin = headers.get('origin')
    if (origin !== null && origin !== own.origin && !isAllowedOrigin(config, origin)) {
      throw new AppError(
        'Requests from this origin are not allowed',
        'Use a page of this server or a client outside a browser; the operator can allow more origins with ALLOWED_ORIGINS.',
        { status: 403 },
      )
    }
    const host = headers.get('host') ?? own.host
    if (!boundToLoopback || host === own.host) return
    const name = URL.parse(`http://${host}`)?.hostname ?? ''
    if (name !== own.hostname && !isLoopbackHost(name)) {
      throw new AppError(
        'This host name is not served here',
        `Use ${config.BASE_URL}. If that is not the address of this server, its operator must set BASE_URL to the right one.`,
        { status: 403, detail: `the host ${printableText(host, 200)} is not that of BASE_URL, ${config.BASE_URL}` },
      )
    }
  }
}

function isAllowedOrigin({ ALLOWED_ORIGINS }: Config, origin: string): boolean {
  return ALLOWED_ORIGINS.includes(origin) || isLoopbackHost(URL.parse(origin)?.hostname ?? '')
}

/**
 * Refuses more than one Host header (RFC 9112 3.2), which Bun joins with commas: a proxy in front may have used a different
 * one.
 *
 * @throws OAuthError `invalid_request`, 400.
 */
export function requireOneHost(request: Request): void {
  if (request.headers.get('host')?.includes(','))
    throw new OAuthError('invalid_request', 'There must be exactly one Host header')
}
