/** A round-robin load balancer. */
export interface Dealer {
  url: string
  /** Ports on loopback; may be replaced. */
  ports: number[]
  /** The requests so far, as `METHOD status`. */
  answers: string[]
  close(): Promise<void>
}

export function startDealer(...ports: number[]): Dealer {
  const answers: string[] = []
  let turn = 0
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const { pathname, search } = new URL(request.url)
      const port = dealer.ports[turn++ % dealer.ports.length]
      const headers = new Headers(request.headers)
      headers.delete('host')
      const { method, body, signal } = request
      const answer = await fetch(`http://127.0.0.1:${port}${pathname}${search}`, { method, headers, body, signal })
      answers.push(`${method} ${answer.status}`)
      return answer
    },
    error: () => new Response(null, { status: 502 }),
  })
  const dealer: Dealer = {
    url: `http://127.0.0.1:${server.port}`,
    ports,
    answers,
    close: () => server.stop(true),
  }
  return dealer
}
