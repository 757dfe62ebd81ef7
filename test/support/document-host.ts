/** A web host for clients' documents, over TLS on loopback, that counts connections, and a resolver that a test controls. */
import { createServer } from 'node:tls'
import type { Outbound } from '../../src/lib/safe-fetch.ts'
import { TEST_CERTIFICATE, TEST_KEY } from './tls.ts'

export interface DocumentHost {
  outbound: Outbound
  port: number
  /** TLS connections that arrived so far. */
  connections: number
  requests: string[]
  /** Raw HTTP answers by path; a function may be slow or never end. */
  answers: Map<string, Answer>
  /** What names resolve to, one list per lookup; the last one is repeated. */
  resolutions: string[][]
  lookups: number
  serveJson(path: string, json: unknown, headers?: string): void
  close(): void
}

type Answer = (write: (text: string) => void, end: () => void) => void

export async function startDocumentHost(): Promise<DocumentHost> {
  const answers = new Map<string, Answer>()
  const server = createServer({ key: TEST_KEY, cert: TEST_CERTIFICATE }, socket => {
    socket.on('error', () => socket.destroy())
    socket.once('data', chunk => {
      const path = chunk.toString().split(' ')[1] ?? ''
      host.requests.push(path)
      const answer = answers.get(path)
      if (answer)
        answer(
          text => socket.write(text),
          () => socket.end(),
        )
      else socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
    })
  })
  server.on('connection', () => {
    host.connections += 1
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const host: DocumentHost = {
    port,
    connections: 0,
    requests: [],
    answers,
    resolutions: [['127.0.0.1']],
    lookups: 0,
    outbound: {
      ca: TEST_CERTIFICATE,
      // For the tests 127.0.0.1 is the public internet, and everything else is not.
      isAllowed: address => address === '127.0.0.1',
      async resolve() {
        host.lookups += 1
        const addresses = host.resolutions.length > 1 ? host.resolutions.shift() : host.resolutions[0]
        if (!addresses) throw new Error('NXDOMAIN')
        return addresses
      },
    },
    serveJson(path, json, headers = '') {
      const body = JSON.stringify(json)
      answers.set(path, (write, end) => {
        write(
          `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
        )
        end()
      })
    },
    close: () => server.close(),
  }
  return host
}
