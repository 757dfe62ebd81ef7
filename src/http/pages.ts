import type { Config } from '../config.ts'
import { PAGE_HEADERS } from './protect.ts'

/** An HTML answer. */
export function page(html: string | Promise<string>, status = 200): Promise<Response> | Response {
  const respond = (text: string) => new Response(text, { status, headers: PAGE_HEADERS })
  return typeof html === 'string' ? respond(html) : html.then(respond)
}

/**
 * Sends a browser that has just sent a form away from this server, with a page that it shows meanwhile. Not with a redirect:
 * Chromium holds all redirects that follow a form against the form-action of the page where the form was (CSP3 6.4.2), and
 * where a provider or an app redirects to, nobody can list.
 */
export async function onward(html: string | Promise<string>, href: string): Promise<Response> {
  const response = await page(html)
  response.headers.set('Refresh', `0; url=${href}`)
  return response
}

/** 303: the browser fetches another page. */
export function seeOther(location: string, headers: Record<string, string> = {}): Response {
  return new Response(null, { status: 303, headers: { Location: location, 'Cache-Control': 'no-store', ...headers } })
}

/** Whether htmx asks, which puts what it gets into the page that is open. */
export function isFragmentRequest(request: Request): boolean {
  return request.headers.get('hx-request') === 'true'
}

/** Opens another page of this server: htmx would follow a redirect and put that page into the one that is open. */
export function openPage(request: Request, location: string): Response {
  if (!isFragmentRequest(request)) return seeOther(location)
  return new Response(null, { status: 204, headers: { 'HX-Redirect': location, 'Cache-Control': 'no-store' } })
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
