/** The static files that pages load, embedded in the binary. */
import { createHash } from 'node:crypto'
import { Elysia } from 'elysia'
import htmx from '../../node_modules/htmx.org/dist/htmx.min.js' with { type: 'text' }
import icon from '../../views/icon.svg' with { type: 'text' }
import style from '../../views/style.css' with { type: 'text' }

export const assets = () =>
  new Elysia({ name: 'assets' })
    .get('/assets/htmx.js', serve(htmx, 'text/javascript; charset=utf-8'))
    .get('/assets/style.css', serve(style, 'text/css; charset=utf-8'))
    .get('/assets/icon.svg', serve(icon, 'image/svg+xml'))
    .get('/favicon.ico', serve(icon, 'image/svg+xml'))

/** Revalidated on every page; answered with 304 until the binary changes. */
function serve(text: string, type: string) {
  const etag = `"${createHash('sha256').update(text).digest('base64url').slice(0, 16)}"`
  const headers = { 'Content-Type': type, 'Cache-Control': 'no-cache', ETag: etag }
  return ({ request }: { request: Request }) =>
    request.headers.get('if-none-match') === etag
      ? new Response(null, { status: 304, headers })
      : new Response(text, { headers })
}
