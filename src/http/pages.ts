import type { Config } from '../config.ts'

/** A 303 redirect. @param cookies Values of Set-Cookie headers, such as that of a notice. */
export function seeOther(location: string, cookies: readonly string[] = []): Response {
  const response = new Response(null, { status: 303, headers: { Location: location, 'Cache-Control': 'no-store' } })
  for (const cookie of cookies) response.headers.append('Set-Cookie', cookie)
  return response
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
