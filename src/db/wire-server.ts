import { chmod } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { PGlite } from '@electric-sql/pglite'
import { Connection, closeStatements, ROLLBACK, SYNC, splitAnswer, startup } from './wire-connection.ts'

/** Bytes of answers that a connection may leave unread before it is cut. */
const MAX_UNREAD = 64 * 1024 * 1024
/** Bytes of requests that may wait for one connection before no more are read from it. */
const MAX_WAITING = 1024 * 1024

/** Has the backend take a run of messages, and gives back what it answers. */
type Exchange = (messages: Buffer) => Promise<ReturnType<typeof splitAnswer>>

/**
 * PostgreSQL's wire protocol on a Unix socket, in front of PGlite's single backend. Several connections share the one
 * backend: a connection owns it from its first message until the backend reports "idle" (ReadyForQuery `I`), so neither
 * transactions nor the unnamed statement and portal of two connections can mix; the next owner is who waited longest.
 * A connection that dies is rolled back and its prepared statements are closed. Settings (`set`) and subscriptions
 * (`listen`) are the backend's and so everybody's; notifications go to every connection. Whoever breaks the protocol is
 * cut, before the backend sees any of it: what kills a real server's backend would kill the only one here.
 *
 * Ours, because `@electric-sql/pglite-socket` (0.2) passes on single messages of its connections in turn, so that unnamed
 * statements mix, tells of a notification only the connection that asks next, and bounds neither a message nor what is
 * left unread.
 * Protocol: PostgreSQL documentation, chapter "Frontend/Backend Protocol".
 *
 * @param holdMs how long a connection may own the backend without sending anything.
 */
export async function serveWireProtocol(db: PGlite, path: string, holdMs = 5_000): Promise<{ close(): Promise<void> }> {
  const connections = new Set<Connection>()
  const exchange = exchangeWith(db)
  // What every connection is told first is the same, whatever it asks for: there is one backend and one user.
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
    // Not execProtocolRaw: it keeps every parsed answer for ever.
    await db.runExclusive(() =>
      db.execProtocolRawStream(messages, { syncToFs: false, onRawData: bytes => chunks.push(bytes.slice()) }),
    )
    return splitAnswer(Buffer.concat(chunks))
  }
}

interface SharedBackend {
  /** The connection has something for the backend, or something to clean up there. */
  wake(connection: Connection): void
  isOwnedBy(connection: Connection): boolean
  /** Takes no more turns; resolves when the one that runs is over. */
  stop(): Promise<void>
}

/** Gives the backend to one connection after the other. */
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
          // In a transaction, or between two parts of one exchange.
          const silent = owner
          holding = setTimeout(() => silent.socket.destroy(), holdMs)
          return
        }
        await serve(owner, batch)
        await new Promise(setImmediate) // between two batches the rest of the process has its turn
      }
    } finally {
      running = false
    }
  }

  /** Has the backend take a batch of its owner's, who loses it when it is idle again. */
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
      // A failure here is the backend's, not the query's (those come back as messages): end all connections.
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

/** Leaves the backend as the next owner expects it. */
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

/** Reads no more from a connection that neither reads its answers nor waits for them. */
function flow({ socket, waits, waitingBytes }: Connection): void {
  if (socket.writableNeedDrain || (waits && waitingBytes > MAX_WAITING)) socket.pause()
  else socket.resume()
}
