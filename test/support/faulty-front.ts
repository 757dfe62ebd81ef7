/** A reverse proxy that forwards everything, except for one planted fault. */
import { freePort } from './ports.ts'

export interface Exchange {
  method: string
  /** Including the query. */
  path: string
  headers: Headers
  body: string
}

export interface Reply {
  status: number
  headers: Headers
  body: string
}

export type Forward = (exchange: Exchange) => Promise<Reply>
export type Fault = (exchange: Exchange, forward: Forward) => Promise<Reply>

let fronts = 0

/**
 * Serves `behind` at an address of its own, with its clients in a network of their own (`X-Forwarded-For`).
 *
 * @returns the address, and every secret that its responses contained.
 */
export async function startFront(behind: string, fault: Fault = (exchange, forward) => forward(exchange)) {
  const port = await freePort()
  const base = `http://localhost:${port}`
  const secrets = new Set<string>()
  const network = `10.0.0.${++fronts}`
  const forward: Forward = async ({ method, path, headers, body }) => {
    const answer = await fetch(`http://127.0.0.1:${new URL(behind).port}${path}`, {
      method,
      headers,
      redirect: 'manual',
      ...(body ? { body } : {}),
    })
    const text = (await answer.text()).replaceAll(behind, base)
    for (const [, secret] of text.matchAll(/"(?:\w+_token|\w+_secret|device_code)":"([^"]+)"/g)) secrets.add(secret!)
    const own = new Headers(answer.headers)
    for (const name of ['content-length', 'content-encoding', 'transfer-encoding']) own.delete(name)
    const location = own.get('location')
    if (location) own.set('location', location.replace(behind, base))
    return { status: answer.status, headers: own, body: text }
  }
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port,
    idleTimeout: 60,
    async fetch(request) {
      const { pathname, search } = new URL(request.url)
      const headers = new Headers(request.headers)
      headers.delete('host')
      headers.delete('content-length')
      headers.set('accept-encoding', 'identity') // fetch would decode it
      headers.set('x-forwarded-for', network)
      const exchange = { method: request.method, path: pathname + search, headers, body: await request.text() }
      const { body, ...init } = await fault(exchange, forward)
      return new Response(body || null, init)
    },
  })
  return { base, secrets, close: () => server.stop(true) }
}

/** The parameters of a form. */
export function formOf({ body }: Exchange): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(body))
}

export function jsonOf({ body }: { body: string }): Record<string, unknown> {
  return body.startsWith('{') ? (JSON.parse(body) as Record<string, unknown>) : {}
}

/** The reply with another body. */
export function withJson(reply: Reply, json: Record<string, unknown>, status = reply.status): Reply {
  return { ...reply, status, body: JSON.stringify(json) }
}
