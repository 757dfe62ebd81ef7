import type { Config } from '../config.ts'
import { contentSecurityPolicy } from './protect.ts'

/**
 * An HTML answer.
 *
 * @param formTargets origins that a form on this page may lead to through a redirect, besides this server itself.
 */
export function page(
  html: string | Promise<string>,
  status = 200,
  formTargets: readonly string[] = [],
): Promise<Response> | Response {
  const respond = (text: string) =>
    new Response(text, {
      status,
      headers: {
        'Content-Type': 'text/html; charset=utf-8',
        'Cache-Control': 'no-store',
        'Content-Security-Policy': contentSecurityPolicy(formTargets),
      },
    })
  return typeof html === 'string' ? respond(html) : html.then(respond)
}

/** The origin (or, for a private scheme, the scheme) to which a form may lead, as Content-Security-Policy writes it. */
export function formTarget(uri: string): string {
  const { protocol, origin, hostname } = new URL(uri)
  if (protocol !== 'https:' && protocol !== 'http:') return protocol
  return hostname.startsWith('[') ? protocol : origin // the policy's grammar has no IPv6 addresses
}

/** 303: the browser fetches another page of this server, or goes where a sign-in provider is. */
export function seeOther(location: string, headers: Record<string, string> = {}): Response {
  return new Response(null, { status: 303, headers: { Location: location, 'Cache-Control': 'no-store', ...headers } })
}

/** Whether it is a browser that asks for a page. */
export function wantsPage(request: Request): boolean {
  return (request.headers.get('accept') ?? '').includes('text/html')
}

/** Whether a caller of a web route wants JSON rather than a page. */
export function wantsJson(request: Request): boolean {
  const accept = request.headers.get('accept') ?? ''
  if (wantsPage(request)) return false
  return (
    accept.includes('application/json') || (request.headers.get('content-type') ?? '').startsWith('application/json')
  )
}

/** Whether pages are reached over https, which decides the names and flags of cookies. */
export function isSecure(config: Config): boolean {
  return config.BASE_URL.startsWith('https:')
}
