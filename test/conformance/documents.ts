/** A host of client id metadata documents: plain HTTP on loopback, which a proxy or tunnel shows to the server as https. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { DEVICE_CODE_GRANT } from './model.ts'

export interface Reply {
  status?: number
  headers?: Record<string, string>
  body?: string
}

export interface Documents {
  /** Puts something at a new address. @param reply what is answered there, given the address. @returns the address. */
  put(reply: (url: string, asked: number) => Reply): string
  /** The same with a document, which names the address unless it says otherwise. */
  putDocument(more?: Record<string, unknown>, reply?: Reply): string
  close(): void
}

/** @param base the public https URL under which the port is reached. */
export async function openDocuments(base: string, port: number): Promise<Documents> {
  const replies = new Map<string, () => Reply>()
  const prefix = new URL(base).pathname.replace(/\/$/, '')
  const server = createServer((request, response) => {
    const reply = replies.get((request.url ?? '').slice(prefix.length))
    const { status = 200, headers, body = '' }: Reply = reply?.() ?? { status: 404 }
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(body)
  })
  await new Promise<void>((done, failed) => server.on('error', failed).listen(port, '127.0.0.1', done))

  const put: Documents['put'] = reply => {
    const path = `/${crypto.randomUUID()}/client.json`
    const url = base.replace(/\/$/, '') + path
    let asked = 0
    replies.set(path, () => {
      asked += 1
      return reply(url, asked)
    })
    return url
  }
  return {
    put,
    putDocument: (more, reply) => put(url => ({ body: document(url, more), ...reply })),
    close: () => server.close(),
  }
}

export function document(url: string, more: Record<string, unknown> = {}): string {
  return JSON.stringify({
    client_id: url,
    client_name: 'Conformance',
    redirect_uris: ['http://127.0.0.1/callback'],
    grant_types: ['authorization_code', DEVICE_CODE_GRANT, 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    ...more,
  })
}

/** Counts who connects to a port of loopback, where nobody should be sent by a stranger's URL. */
export async function openTrap(): Promise<{ port: number; connections(): number; close(): void }> {
  let connections = 0
  const server = createServer()
  server.on('connection', socket => {
    connections += 1
    socket.destroy()
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    close: () => server.close(),
  }
}
