/** A whole server for a test: real HTTP on loopback, its own empty database, and a clock that the test controls. */
import { databaseTime } from '../../sql/index.ts'
import { createApp } from '../../src/app.ts'
import { parseConfig } from '../../src/config.ts'
import type { TimeSources } from '../../src/db/clock.ts'
import { type Deps, openDeps } from '../../src/deps.ts'
import { openLog } from '../../src/lib/log.ts'
import type { Outbound } from '../../src/lib/safe-fetch.ts'
import { migratedDatabase, onPostgres } from './database.ts'
import { freePort } from './ports.ts'

export { emptyDatabase, migratedDatabase, onPostgres, RACES } from './database.ts'

export interface TestServer {
  base: string
  /** Where this replica listens. */
  port: number
  deps: Deps
  /** The environment it was started with: another replica or a command can use it, too. */
  env: Record<string, string>
  clock: {
    /** Lets time pass, on every replica and in the database. */
    advance(seconds: number): void
    /** Sets the clock of this replica's machine alone. */
    set(seconds: number): void
  }
  /** How far the test's time is ahead of real time, in milliseconds; the same for all replicas. */
  time: { passed: number }
  get(path: string, headers?: Record<string, string>): Promise<Response>
  /** Form-encoded. Redirects are not followed. */
  post(path: string, form: Record<string, string>, headers?: Record<string, string>): Promise<Response>
  postJson(path: string, body: unknown, headers?: Record<string, string>): Promise<Response>
  /** Requests in progress. */
  pendingRequests(): number
  /** Stops the server as if its process ended; its database stays for a replica that is started later. */
  stop(): Promise<void>
  /** Ends it, and drops its database. */
  close(): Promise<void>
}

/** Changes a server's dependencies before it serves. @returns how to undo that. */
export type Prepare = (deps: Deps) => Promise<() => Promise<void>>

/** @param idleSeconds After how many seconds an idle connection is closed. */
export async function startServer(
  env: Record<string, string> = {},
  outbound?: Outbound,
  idleSeconds = 30,
  prepare?: Prepare,
): Promise<TestServer> {
  const port = env.PORT ? Number(env.PORT) : await freePort()
  const database = env.DATA_DIR ? { env: {}, drop: async () => {} } : await migratedDatabase()
  const fullEnv = {
    BASE_URL: `http://localhost:${port}`,
    HOST: '127.0.0.1',
    PORT: String(port),
    LOG_LEVEL: 'silent',
    ...database.env,
    ...env,
  }
  return listen(fullEnv, port, { afterwards: database.drop, outbound, idleSeconds, prepare })
}

/**
 * Another replica of a server: the same base URL and database, its own port and machine.
 *
 * @param aheadSeconds How far that machine's clock is ahead of the database's.
 */
export async function startReplica(
  of: TestServer,
  env: Record<string, string> = {},
  aheadSeconds = 0,
  prepare?: Prepare,
): Promise<TestServer> {
  return listen({ ...of.env, ...env }, await freePort(), {
    time: of.time,
    aheadSeconds,
    prepare,
    serving: onPostgres, // the embedded database's directory has one server; a second process shares it as a command does
  })
}

/** The clocks of a machine in test time. @param ahead How far its clock is ahead of the database's, in milliseconds. */
export function timeSources(time: { passed: number }, ahead: () => number = () => 0): TimeSources {
  return {
    wall: () => Date.now() + time.passed + ahead(),
    steady: () => performance.now() + time.passed,
    database: async sql => (await databaseTime(sql)) + time.passed,
  }
}

interface ListenOptions {
  afterwards?: () => Promise<void>
  outbound?: Outbound | undefined
  idleSeconds?: number
  time?: { passed: number }
  aheadSeconds?: number
  serving?: boolean
  prepare?: Prepare | undefined
}

async function listen(
  env: Record<string, string>,
  port: number,
  {
    afterwards = async () => {},
    outbound,
    idleSeconds = 30,
    time = { passed: 0 },
    aheadSeconds = 0,
    serving = true,
    prepare,
  }: ListenOptions,
): Promise<TestServer> {
  const config = parseConfig(env, () => '')
  let ahead = aheadSeconds * 1000
  const deps = await openDeps(config, {
    log: openLog(config.LOG_LEVEL),
    env: { ...process.env, ...env },
    time: timeSources(time, () => ahead),
    serving,
    ...(outbound ? { outbound } : {}),
  })
  const undo = await prepare?.(deps)
  const app = createApp(deps).listen({
    hostname: '127.0.0.1',
    port,
    maxRequestBodySize: 8 * 1024 * 1024,
    idleTimeout: idleSeconds,
    development: false,
  })
  const base = `http://127.0.0.1:${port}`
  const stop = async () => {
    await app.server?.stop(true)
    await undo?.()
    await deps.close()
  }
  return {
    base: config.BASE_URL,
    port,
    deps,
    env,
    clock: {
      advance(seconds) {
        time.passed += seconds * 1000
      },
      set(seconds) {
        ahead += seconds * 1000
      },
    },
    time,
    ...requestsTo(base),
    pendingRequests: () => app.server?.pendingRequests ?? 0,
    stop,
    async close() {
      await stop()
      await afterwards()
    },
  }
}

/**
 * Delays every statement outside of transactions, and forgets clients, so that a call of `whoami` needs one.
 *
 * @param ms By how much.
 * @returns how to end that.
 */
export function slowDown(server: TestServer, ms: () => number): () => void {
  return delay(server, () => Bun.sleep(ms()))
}

/**
 * Likewise keeps them waiting until `release`.
 *
 * @param most How many; later ones are not kept.
 * @returns how many waited so far, and how to end that.
 */
export function hold(server: TestServer, most = Number.POSITIVE_INFINITY): { held(): number; release(): void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  let held = 0
  const restore = delay(server, async () => {
    if (held === most) return
    held += 1
    await promise
  })
  return {
    held: () => held,
    release() {
      restore()
      resolve()
    },
  }
}

function delay(server: TestServer, wait: () => Promise<void>): () => void {
  const { sql, memory } = server.deps
  const { clients } = memory
  memory.clients = Object.assign(new Map(), { get: () => undefined })
  server.deps.sql = new Proxy(sql, {
    apply: async (target, self, args) => {
      await wait()
      return Reflect.apply(target as never, self, args)
    },
  })
  return () => {
    server.deps.sql = sql
    memory.clients = clients
  }
}

/** The requests of a TestServer, to any server. */
export function requestsTo(base: string): Pick<TestServer, 'get' | 'post' | 'postJson'> {
  return {
    get: (path, headers = {}) => fetch(base + path, { headers, redirect: 'manual' }),
    post: (path, form, headers = {}) =>
      fetch(base + path, { method: 'POST', headers, body: new URLSearchParams(form), redirect: 'manual' }),
    postJson: (path, body, headers = {}) =>
      fetch(base + path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', ...headers },
        body: JSON.stringify(body),
        redirect: 'manual',
      }),
  }
}
