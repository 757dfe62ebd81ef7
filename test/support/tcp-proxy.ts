/** A TCP proxy to one port of loopback, to break the network between a server and its database. */
import { connect, createServer, type Socket } from 'node:net'

export interface TcpProxy {
  port: number
  /** Closes every connection, like a network that fails visibly. New ones are let through. */
  cut(): void
  /** Forwards nothing until it is released, like a network that fails silently. */
  hang(): void
  release(): void
  close(): Promise<void>
}

export async function startProxy(target: number, port = 0): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  let hanging = false
  const follow = (from: Socket, to: Socket) => {
    sockets.add(from)
    if (hanging) from.pause()
    from.on('data', (chunk: Buffer) => to.write(chunk))
    from.on('error', () => from.destroy())
    from.on('close', () => {
      sockets.delete(from)
      to.destroy()
    })
  }
  const server = createServer(client => {
    const upstream = connect(target, '127.0.0.1')
    follow(client, upstream)
    follow(upstream, client)
  })
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as { port: number }).port,
    cut,
    hang() {
      hanging = true
      for (const socket of sockets) socket.pause()
    },
    release() {
      hanging = false
      for (const socket of sockets) socket.resume()
    },
    async close() {
      cut()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
