import type { Config } from '../config.ts'

/**
 * An HTML answer with the headers that every page has. Nothing inline runs: scripts and styles come from this server only.
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
        'Content-Security-Policy': [
          "default-src 'none'",
          "script-src 'self'",
          "style-src 'self'",
          "img-src 'self'",
          "connect-src 'self'",
          "base-uri 'none'",
          "frame-ancestors 'none'",
          ["form-action 'self'", ...formTargets].join(' '),
        ].join('; '),
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

/** Whether a caller of a web route wants JSON rather than a page. */
export function wantsJson(request: Request): boolean {
  const accept = request.headers.get('accept') ?? ''
  if (accept.includes('text/html')) return false
  return (
    accept.includes('application/json') || (request.headers.get('content-type') ?? '').startsWith('application/json')
  )
}

/** Whether pages are reached over https, which decides the names and flags of cookies. */
export function isSecure(config: Config): boolean {
  return config.BASE_URL.startsWith('https:')
}
