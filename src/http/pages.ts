import type { Config } from '../config.ts'
import { PAGE_HEADERS } from './response-headers.ts'

/** An HTML response. */
export function page(html: string | Promise<string>, status = 200): Promise<Response> | Response {
  const respond = (text: string) => new Response(text, { status, headers: PAGE_HEADERS })
  return typeof html === 'string' ? respond(html) : html.then(respond)
}

/**
 * Sends the browser to another server after a form submission, through a page with a Refresh header. A redirect would not
 * work: Chromium checks all redirects after a form against the page's form-action (CSP3 6.4.2), and the redirect targets of
 * providers and apps are not known in advance.
 */
export async function onward(html: string | Promise<string>, href: string): Promise<Response> {
  const response = await page(html)
  response.headers.set('Refresh', `0; url=${href}`)
  return response
}

/** A 303 redirect. */
export function seeOther(location: string, headers: Record<string, string> = {}): Response {
  return new Response(null, { status: 303, headers: { Location: location, 'Cache-Control': 'no-store', ...headers } })
}

/** Whether the request comes from htmx, which inserts the response into the current page. */
export function isFragmentRequest(request: Request): boolean {
  return request.headers.get('hx-request') === 'true'
}

/** Opens another page of this server. htmx needs a header for that: it would insert the target of a redirect into the current page. */
export function openPage(request: Request, location: string): Response {
  if (!isFragmentRequest(request)) return seeOther(location)
  return new Response(null, { status: 204, headers: { 'HX-Redirect': location, 'Cache-Control': 'no-store' } })
}

/** Whether the client accepts HTML, as a browser does. */
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

/** Whether the public address is https, which determines the names and flags of cookies. */
export function isSecure(config: Config): boolean {
  return config.BASE_URL.startsWith('https:')
}
