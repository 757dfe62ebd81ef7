import { chmod } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import type { PGlite } from '@electric-sql/pglite'

/**
 * PostgreSQL's wire protocol on a Unix socket, in front of PGlite's single backend. Several connections share the one
 * backend: a connection owns it from its first message until the backend reports "idle" (ReadyForQuery `I`), so neither
 * transactions nor the unnamed statement and portal of two connections can mix. Notifications go to every connection.
 * Protocol: PostgreSQL documentation, chapter "Frontend/Backend Protocol".
 */
export async function serveWireProtocol(db: PGlite, path: string): Promise<{ close(): Promise<void> }> {
  const connections = new Set<Connection>()
  const waiting: Connection[] = []
  let owner: Connection | undefined
  let running = false
  let closing = false

  async function run(): Promise<void> {
    if (running) return
    running = true
    try {
      for (;;) {
        owner ??= waiting.shift()
        if (!owner) break
        if (owner.closed) {
          if (owner.state === 'T' || owner.state === 'E') await db.exec('rollback')
          owner = undefined
          continue
        }
        const batch = owner.batches.shift()
        if (!batch) break // in a transaction, or between two parts of one exchange: wait for its next message
        const answer = await db.runExclusive(() => db.execProtocolRaw(batch, { syncToFs: false }))
        const { forOwner, forAll, status } = splitAnswer(answer)
        owner.state = status ?? 'busy'
        if (forOwner.length > 0 && !owner.closed) owner.socket.write(forOwner)
        if (forAll.length > 0) for (const connection of connections) connection.socket.write(forAll)
        if (owner.state !== 'I') continue
        if (owner.batches.length > 0) waiting.push(owner)
        owner = undefined
      }
    } finally {
      running = false
    }
  }

  const server = createServer(socket => {
    const connection = new Connection(socket)
    connections.add(connection)
    const wake = () => {
      if (connection !== owner && !waiting.includes(connection)) waiting.push(connection)
      // A failure here is the backend's, not the query's (those come back as messages): end all connections.
      run().catch(() => {
        for (const other of connections) other.socket.destroy()
      })
    }
    socket.on('data', (chunk: Buffer) => {
      connection.receive(chunk)
      if (connection.batches.length > 0) wake()
      if (connection.terminated) socket.end()
    })
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      connection.closed = true
      connections.delete(connection)
      if (connection === owner && !closing) wake()
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  await chmod(path, 0o600)
  return {
    async close() {
      closing = true
      for (const connection of connections) connection.socket.destroy()
      await new Promise<void>(resolve => server.close(() => resolve()))
    },
  }
}

type TransactionStatus = 'I' | 'T' | 'E'

const SSL_REQUEST = 80877103
const GSS_REQUEST = 80877104
const CANCEL_REQUEST = 80877102

/** One client of the socket: splits its bytes into messages and groups them into batches that end in an answer. */
class Connection {
  /** The last ReadyForQuery: idle, in a transaction, in a failed one; busy while an exchange has not come to it. */
  state: TransactionStatus | 'busy' = 'I'
  closed = false
  terminated = false
  /** What the backend is to be given next, each a run of messages that makes it answer. */
  readonly batches: Buffer[] = []
  private started = false
  private bytes: Buffer = Buffer.alloc(0)
  private messages: Buffer[] = []

  constructor(readonly socket: Socket) {}

  receive(chunk: Buffer): void {
    this.bytes = this.bytes.length === 0 ? chunk : Buffer.concat([this.bytes, chunk])
    for (;;) {
      const length = this.messageLength()
      if (length === undefined || this.bytes.length < length) return
      const message = this.bytes.subarray(0, length)
      this.bytes = this.bytes.subarray(length)
      this.accept(message)
    }
  }

  /** The whole length of the next message in bytes; the first ones of a connection have no type byte. */
  private messageLength(): number | undefined {
    if (!this.started) return this.bytes.length >= 8 ? this.bytes.readInt32BE(0) : undefined
    return this.bytes.length >= 5 ? 1 + this.bytes.readInt32BE(1) : undefined
  }

  private accept(message: Buffer): void {
    if (!this.started) {
      const code = message.readInt32BE(4)
      if (code === SSL_REQUEST || code === GSS_REQUEST) {
        this.socket.write('N')
        return
      }
      if (code === CANCEL_REQUEST) {
        this.terminated = true // one backend, one query at a time: there is nothing to interrupt
        return
      }
      this.started = true
      this.batches.push(message)
      return
    }
    const type = String.fromCharCode(message[0]!)
    if (type === 'X') {
      this.terminated = true // ends this connection, not the shared backend
      return
    }
    this.messages.push(message)
    // Query, Sync and Flush are the messages that make the backend answer.
    if (type !== 'Q' && type !== 'S' && type !== 'H') return
    this.batches.push(Buffer.concat(this.messages))
    this.messages = []
  }
}

/** Separates the notifications (`A`), which belong to every connection, from the answer, and finds its last status. */
function splitAnswer(answer: Uint8Array): { forOwner: Buffer; forAll: Buffer; status: TransactionStatus | undefined } {
  const bytes = Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength)
  const own: Buffer[] = []
  const shared: Buffer[] = []
  let status: TransactionStatus | undefined
  for (let at = 0; at + 5 <= bytes.length; ) {
    const end = at + 1 + bytes.readInt32BE(at + 1)
    const message = bytes.subarray(at, end)
    if (message[0] === 0x41) shared.push(message)
    else own.push(message)
    if (message[0] === 0x5a) status = String.fromCharCode(message[5]!) as TransactionStatus
    at = end
  }
  return { forOwner: Buffer.concat(own), forAll: Buffer.concat(shared), status }
}
