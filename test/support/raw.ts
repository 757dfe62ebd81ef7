import { connect } from 'node:net'

export interface RawAnswer {
  /** 0 if the server closed without a response. */
  status: number
  head: string
  body: string
}

/** Sends raw bytes, which `fetch` cannot, and reads until the server closes. The request needs `Connection: close`. */
export function sendRaw(base: string, bytes: string): Promise<RawAnswer> {
  const { promise, resolve } = Promise.withResolvers<RawAnswer>()
  let received = ''
  const socket = connect(Number(new URL(base).port), '127.0.0.1')
  socket.on('data', chunk => {
    received += chunk.toString('latin1')
  })
  socket.on('error', () => socket.destroy())
  socket.on('close', () => {
    const [head = '', ...rest] = received.split('\r\n\r\n')
    resolve({ status: Number(head.split(' ')[1] ?? 0), head, body: rest.join('\r\n\r\n') })
  })
  socket.write(Buffer.from(bytes, 'latin1'))
  return promise
}
