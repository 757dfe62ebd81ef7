import { chmod } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { PGlite } from '@electric-sql/pglite'
import { Connection, closeStatements, ROLLBACK, SYNC, splitAnswer, startup } from './wire-connection.ts'

/** Maximum number of unread answer bytes before a connection is closed. */
const MAX_UNREAD = 64 * 1024 * 1024
/** Maximum number of waiting request bytes per connection; beyond that no more are read. */
const MAX_WAITING = 1024 * 1024

/** Sends messages to the backend and returns its answer. */
type Exchange = (messages: Buffer) => Promise<ReturnType<typeof splitAnswer>>

/**
 * Serves PostgreSQL's wire protocol on a Unix socket, in front of PGlite's single backend. A connection owns the backend
 * from its first message until the backend reports "idle" (ReadyForQuery `I`), so neither transactions nor the unnamed
 * statement and portal of two connections can mix; the longest waiting connection is next. If a connection dies, its
 * transaction is rolled back and its prepared statements are closed. Settings (`set`) and subscriptions (`listen`) belong
 * to the backend and are thus shared; notifications go to every connection. A connection that violates the protocol is
 * closed before the backend sees the message: a fatal error would kill the only backend.
 *
 * We do not use `@electric-sql/pglite-socket` (0.2): it interleaves single messages of its connections, so that unnamed
 * statements mix, delivers a notification only to the connection that queries next, and limits neither message size nor
 * unread data.
 * Protocol: PostgreSQL documentation, chapter "Frontend/Backend Protocol".
 *
 * @param holdMs How long a connection may own the backend without sending anything.
 */
export async function serveWireProtocol(db: PGlite, path: string, holdMs = 5_000): Promise<{ close(): Promise<void> }> {
  const connections = new Set<Connection>()
  const exchange = exchangeWith(db)
  // The startup answer is the same for every connection, since there is one backend and one user.
  const greeting = (await exchange(startup())).forOwner
  const backend = shareBackend(exchange, connections, holdMs)

  const server = createServer(socket => {
    const connection = new Connection(socket, greeting)
    connections.add(connection)
    socket.on('data', (chunk: Buffer) => {
      if (!connection.receive(chunk)) {
        socket.destroy()
        return
      }
      flow(connection)
      if (connection.waits) backend.wake(connection)
      else if (connection.terminated && !backend.isOwnedBy(connection)) socket.end()
    })
    socket.on('drain', () => flow(connection))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      connection.closed = true
      connections.delete(connection)
      if (backend.isOwnedBy(connection) || connection.statements.size > 0) backend.wake(connection)
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  await chmod(path, 0o600)
  return {
    async close() {
      const stopped = backend.stop()
      for (const connection of connections) connection.socket.destroy()
      await new Promise<void>(resolve => server.close(() => resolve()))
      await stopped
    },
  }
}

function exchangeWith(db: PGlite): Exchange {
  return async messages => {
    const chunks: Uint8Array[] = []
    // Not execProtocolRaw, which keeps every parsed answer forever.
    await db.runExclusive(() =>
      db.execProtocolRawStream(messages, { syncToFs: false, onRawData: bytes => chunks.push(bytes.slice()) }),
    )
    return splitAnswer(Buffer.concat(chunks))
  }
}

interface SharedBackend {
  /** Call it when the connection has a batch for the backend, or needs cleanup there. */
  wake(connection: Connection): void
  isOwnedBy(connection: Connection): boolean
  /** Starts no more turns; resolves when the current one has ended. */
  stop(): Promise<void>
}

/** Schedules the backend among connections. */
function shareBackend(exchange: Exchange, connections: ReadonlySet<Connection>, holdMs: number): SharedBackend {
  const waiting: Connection[] = []
  let owner: Connection | undefined
  let holding: Timer | undefined
  let running = false
  let turn: Promise<void> = Promise.resolve()
  let stopped = false

  async function run(): Promise<void> {
    running = true
    clearTimeout(holding)
    try {
      while (!stopped) {
        owner ??= waiting.shift()
        if (!owner) return
        if (owner.closed) {
          await cleanUp(exchange, owner)
          owner = undefined
          continue
        }
        const batch = owner.take()
        if (!batch) {
          // It is in a transaction, or between two parts of one exchange.
          const silent = owner
          holding = setTimeout(() => silent.socket.destroy(), holdMs)
          return
        }
        await serve(owner, batch)
        await new Promise(setImmediate) // let the rest of the process run between two batches
      }
    } finally {
      running = false
    }
  }

  /** Executes a batch of the owner, which releases the backend when it is idle again. */
  async function serve(connection: Connection, batch: Buffer): Promise<void> {
    const { forOwner, forAll, status } = await exchange(batch)
    connection.state = status ?? 'busy'
    send(connection, forOwner)
    if (forAll.length > 0) for (const other of connections) if (other.started) send(other, forAll)
    flow(connection)
    if (connection.state !== 'I') return
    if (connection.waits || connection.closed) waiting.push(connection)
    else if (connection.terminated) connection.socket.end()
    owner = undefined
  }

  return {
    wake(connection) {
      if (stopped) return
      if (connection !== owner && !waiting.includes(connection)) waiting.push(connection)
      if (running) return
      // This is a failure of the backend, not of a query (which returns a message): close all connections.
      turn = run().catch(() => {
        for (const other of connections) other.socket.destroy()
      })
    },
    isOwnedBy: connection => connection === owner,
    stop() {
      stopped = true
      clearTimeout(holding)
      return turn
    },
  }
}

/** Resets the backend after a closed connection: rolls back and closes its prepared statements. */
async function cleanUp(exchange: Exchange, { state, statements }: Connection): Promise<void> {
  const status = state === 'busy' ? (await exchange(SYNC)).status : state
  if (status !== 'I') await exchange(ROLLBACK)
  if (statements.size > 0) await exchange(closeStatements(statements))
}

function send(connection: Connection, bytes: Buffer): void {
  if (connection.closed || bytes.length === 0) return
  connection.socket.write(bytes)
  if (connection.socket.writableLength > MAX_UNREAD) connection.socket.destroy()
}

/** Pauses reading from a connection that does not read its answers or has too much waiting. */
function flow({ socket, waits, waitingBytes }: Connection): void {
  if (socket.writableNeedDrain || (waits && waitingBytes > MAX_WAITING)) socket.pause()
  else socket.resume()
}
