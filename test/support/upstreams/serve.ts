/** How a fixture server is run: `--stdio`, or `--http PORT` on loopback at /mcp, where port 0 is a free one. */
import { parseArgs } from 'node:util'

export interface Fixture {
  serveStdio(): void | Promise<void>
  fetch(request: Request): Response | Promise<Response>
}

/** @param open Creates the fixture; `only2026` is whether `--only-2026` was given. */
export async function run(open: (only2026: boolean) => Fixture): Promise<void> {
  const { values } = parseArgs({
    options: { stdio: { type: 'boolean' }, http: { type: 'string' }, 'only-2026': { type: 'boolean' } },
  })
  const fixture = open(values['only-2026'] ?? false)
  if (values.stdio) return fixture.serveStdio()
  if (values.http === undefined) throw new Error('--stdio or --http PORT')
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: Number(values.http),
    idleTimeout: 0,
    fetch: request => answer(fixture, request),
  })
  console.log(`listening on http://127.0.0.1:${server.port}/mcp`)
}

async function answer(fixture: Fixture, request: Request): Promise<Response> {
  if (!isLocal(request)) return new Response('Only for this machine', { status: 403 })
  if (new URL(request.url).pathname !== '/mcp') return new Response('Not found', { status: 404 })
  return atOnce(await fixture.fetch(request))
}

/** Against DNS rebinding: a page from elsewhere has another Host or Origin. */
function isLocal({ headers }: Request): boolean {
  const origin = headers.get('origin')
  return [headers.get('host') ?? '', ...(origin === null ? [] : [origin.replace(/^https?:\/\//, '')])].every(host =>
    /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(host),
  )
}

/** Bun withholds the headers of a stream until its first bytes; Node, on which such servers usually run, does not. */
function atOnce(response: Response): Response {
  if (!response.body || !response.headers.get('content-type')?.startsWith('text/event-stream')) return response
  const primer = new TransformStream<Uint8Array, Uint8Array>({
    start: controller => controller.enqueue(new TextEncoder().encode(':\n\n')),
  })
  return new Response(response.body.pipeThrough(primer), response)
}
