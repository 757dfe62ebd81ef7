/** A bare client of PostgreSQL's protocol on a Unix socket, to send what no well-behaved client does. */
import { createConnection, type Socket } from 'node:net'
import { frame, startup } from '../../src/db/wire-connection.ts'

export interface WireClient {
  socket: Socket
  /** Sends bytes as they are. */
  send(...messages: Buffer[]): void
  /** Sends a simple query. Resolves with the types of the response's messages when the server is ready again. */
  query(text: string): Promise<string>
  /** The types of all messages so far, one letter each. */
  types(): string
  bytes(): Buffer
  /** Resolves when that many messages of the type have arrived; rejects if the connection ends first. */
  got(type: string, count?: number): Promise<void>
  closed: Promise<void>
}

export { frame, startup }

/** Connects and, unless `greet` is false, starts a session. */
export async function wireClient(path: string, greet = true): Promise<WireClient> {
  const socket = createConnection(path)
  let bytes = Buffer.alloc(0)
  let over = false
  let changed = Promise.withResolvers<void>()
  const change = () => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk])
    change()
  })
  const closed = new Promise<void>(resolve =>
    socket.on('close', () => {
      over = true
      change()
      resolve()
    }),
  )
  socket.on('error', () => socket.destroy())
  const types = () => {
    let found = ''
    for (let at = 0; at + 5 <= bytes.length; at += 1 + bytes.readInt32BE(at + 1))
      found += String.fromCharCode(bytes[at]!)
    return found
  }
  const countOf = (type: string) => types().split(type).length - 1
  const got = async (type: string, count = 1) => {
    while (countOf(type) < count) {
      if (over) throw new Error(`the connection ended after ${types() || 'nothing'}`)
      await changed.promise
    }
  }
  const send = (...messages: Buffer[]) => {
    socket.write(Buffer.concat(messages))
  }
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  if (greet) {
    send(startup())
    await got('Z')
  }
  return {
    socket,
    send,
    async query(text) {
      const before = types().length
      const ready = countOf('Z')
      send(frame('Q', `${text}\0`))
      await got('Z', ready + 1)
      return types().slice(before)
    },
    types,
    bytes: () => bytes,
    got,
    closed,
  }
}
