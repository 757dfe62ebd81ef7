import type { Socket } from 'node:net'

/** Maximum message size; our largest message is a batch of audit events. */
const MAX_MESSAGE = 16 * 1024 * 1024
/** Maximum size of messages without text or data, and of the first one: beyond this limit of its own, the backend exits. */
const MAX_SMALL_MESSAGE = 10_000
/** The backend truncates longer names. */
const MAX_NAME = 63

const SSL_REQUEST = 80877103
const GSS_REQUEST = 80877104
const CANCEL_REQUEST = 80877102
const PROTOCOL_3 = 3

/** Parse, Bind, Describe, Execute, Close, Query, Sync, Flush, Terminate. COPY, function calls and passwords are not supported. */
const SERVED = new Set('PBDECQSHX')
const LARGE = new Set('PBQ')

export type TransactionStatus = 'I' | 'T' | 'E'

/** One client of the socket: splits its bytes into messages, and groups them into batches that each produce an answer. */
export class Connection {
  /** The status of the last ReadyForQuery (idle, in a transaction, in a failed one), or busy during an exchange. */
  state: TransactionStatus | 'busy' = 'I'
  /** Whether the startup message was received and answered. */
  started = false
  /** Terminate was received: no more messages, but earlier ones are still processed. */
  terminated = false
  /** The socket is closed. */
  closed = false
  /** Names of its prepared statements in the backend. */
  readonly statements = new Set<string>()
  /** Bytes waiting for the backend. */
  waitingBytes = 0
  private readonly batches: Buffer[] = []
  private chunks: Buffer[] = []
  private received = 0
  private messages: Buffer[] = []

  constructor(
    readonly socket: Socket,
    private readonly greeting: Buffer,
  ) {}

  /** Whether it has a batch for the backend. */
  get waits(): boolean {
    return this.batches.length > 0
  }

  /** The next batch for the backend. */
  take(): Buffer | undefined {
    const batch = this.batches.shift()
    this.waitingBytes -= batch?.length ?? 0
    return batch
  }

  /** Receives bytes. @returns false if they violate the protocol; the connection must then be closed. */
  receive(chunk: Buffer): boolean {
    this.chunks.push(chunk)
    this.received += chunk.length
    while (!this.terminated) {
      const head = this.peek(this.started ? 5 : 8)
      if (!head) return true
      const length = this.started ? 1 + head.readInt32BE(1) : head.readInt32BE(0)
      const type = this.started ? String.fromCharCode(head[0]!) : ''
      const [shortest, longest] = this.started
        ? [5, LARGE.has(type) ? MAX_MESSAGE : MAX_SMALL_MESSAGE]
        : [8, MAX_SMALL_MESSAGE]
      if (length < shortest || length > longest) return false
      const message = this.peek(length)?.subarray(0, length)
      if (!message) return true
      this.chunks = [this.chunks[0]!.subarray(length)]
      this.received -= length
      if (!(this.started ? this.accept(type, message) : this.greet(message))) return false
    }
    return true
  }

  /** A buffer with at least the first `length` received bytes; chunks are joined only when all have arrived. */
  private peek(length: number): Buffer | undefined {
    if (this.received < length) return undefined
    if (this.chunks[0]!.length < length) this.chunks = [Buffer.concat(this.chunks)]
    return this.chunks[0]
  }

  /** The first messages of a connection have no type byte. */
  private greet(message: Buffer): boolean {
    const code = message.readInt32BE(4)
    if (code === SSL_REQUEST || code === GSS_REQUEST) this.socket.write('N')
    else if (code === CANCEL_REQUEST)
      this.terminated = true // one backend, one query at a time: nothing to interrupt
    else if (code >>> 16 === PROTOCOL_3) {
      this.started = true
      this.socket.write(this.greeting)
    } else return false
    return true
  }

  private accept(type: string, message: Buffer): boolean {
    if (!SERVED.has(type)) return false
    if (type === 'X') {
      this.terminated = true // ends this connection, not the shared backend
      return true
    }
    if (type === 'P') {
      const name = message.toString('latin1', 5, message.indexOf(0, 5))
      if (name.length > MAX_NAME) return false
      if (name !== '') this.statements.add(name)
    }
    this.messages.push(message)
    this.waitingBytes += message.length
    if (this.waitingBytes > 2 * MAX_MESSAGE) return false
    // Query, Sync and Flush are the messages that make the backend answer.
    if (type !== 'Q' && type !== 'S' && type !== 'H') return true
    this.waitingBytes += COPY_FAIL.length
    this.batches.push(Buffer.concat([...this.messages, COPY_FAIL]))
    this.messages = []
    return true
  }
}

/** Builds a frontend message from its type (empty for a connection's first message) and its body. */
export function frame(type: string, body: string | Buffer = ''): Buffer {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body
  const length = Buffer.alloc(4)
  length.writeInt32BE(4 + bytes.length)
  return Buffer.concat([Buffer.from(type, 'latin1'), length, bytes])
}

/** The start of a session as the embedded database's only user. */
export function startup(): Buffer {
  const version = Buffer.from([0, PROTOCOL_3, 0, 0])
  return frame(
    '',
    Buffer.concat([version, Buffer.from('user\0postgres\0database\0postgres\0client_encoding\0UTF8\0\0')]),
  )
}

export const SYNC = frame('S')
/** Aborts `copy from stdin`, which would wait for data forever; the backend ignores it otherwise. */
const COPY_FAIL = frame('f', 'not served\0')
export const ROLLBACK = frame('Q', 'rollback\0')

export function closeStatements(names: Iterable<string>): Buffer {
  return Buffer.concat([...[...names].map(name => frame('C', `S${name}\0`)), SYNC])
}

/** Separates notifications (`A`), which go to every connection, from the answer, and finds its last status. */
export function splitAnswer(bytes: Buffer): {
  forOwner: Buffer
  forAll: Buffer
  status: TransactionStatus | undefined
} {
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
  return { forOwner: shared.length === 0 ? bytes : Buffer.concat(own), forAll: Buffer.concat(shared), status }
}
