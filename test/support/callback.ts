/** An application's redirect endpoint: a listener on loopback, over TLS where it stands for a host on the web. */
import { TEST_CERTIFICATE, TEST_KEY } from './tls.ts'

export interface Callback {
  /** The redirect URI. */
  url: string
  /** The parameters of the next response, in their order. */
  next(): Promise<URLSearchParams>
  close(): Promise<void>
}

/**
 * @param host As in the redirect URI.
 * @param options `onward` is where the browser is redirected, as by applications that have their page elsewhere.
 */
export function startCallback(
  host: string,
  { tls = false, onward }: { tls?: boolean; onward?: string } = {},
): Callback {
  const arrived: URLSearchParams[] = []
  const waiting: ((answer: URLSearchParams) => void)[] = []
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    ...(tls ? { tls: { key: TEST_KEY, cert: TEST_CERTIFICATE } } : {}),
    fetch(request) {
      const { pathname, searchParams } = new URL(request.url)
      if (pathname === '/callback') {
        const waiter = waiting.shift()
        if (waiter) waiter(searchParams)
        else arrived.push(searchParams)
        if (onward !== undefined) return Response.redirect(onward, 302)
      }
      return new Response('<!doctype html><title>App</title><h1>Back in the app</h1>', {
        headers: { 'Content-Type': 'text/html' },
      })
    },
  })
  return {
    url: `${tls ? 'https' : 'http'}://${host}:${server.port}/callback`,
    async next() {
      return arrived.shift() ?? new Promise(resolve => waiting.push(resolve))
    },
    close: () => server.stop(true),
  }
}
