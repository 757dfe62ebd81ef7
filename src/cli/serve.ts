import { existsSync, statfsSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Config, misspeltVariables } from '../config.ts'
import { databaseProblem, isAway } from '../db/index.ts'
import { startCheckpoints } from '../db/upkeep.ts'
import { type Deps, openDeps } from '../deps.ts'
import { metricsApp } from '../http/metrics.ts'
import { UsageError } from '../lib/errors.ts'
import { type Log, openLog } from '../lib/log.ts'
import { announce } from '../presence.ts'
import { watchProviders } from '../signin/watch.ts'
import { startSweeper } from '../sweeper.ts'
import { environment, override, readConfig, variableOrigins } from './environment.ts'
import { greet } from './greeting.ts'
import { secretFileWarnings } from './secret-files.ts'

/** Larger than any route accepts; the routes have their own limits, with proper error responses. */
const MAX_BODY = 8 * 1024 * 1024
/** How long requests in progress may take to finish at shutdown. Together with closing, less than 10 s. */
const FINISH_MS = 7_000

interface ServeOptions {
  port?: string
  host?: string
  dataDir?: string
}

export async function serve({ port, host, dataDir }: ServeOptions): Promise<void> {
  override('PORT', '--port', port)
  override('HOST', '--host', host)
  override('DATA_DIR', '--data-dir', dataDir)
  const config = readConfig()
  const log = openLog(config.LOG_LEVEL)
  requireFreePort(config.HOST, config.PORT, 'PORT')
  if (config.METRICS_PORT !== undefined) requireFreePort(config.HOST, config.METRICS_PORT, 'METRICS_PORT')
  const opening = waitForDatabase(config, log, () =>
    openDeps(config, { log, serving: true, env: environment(), origins: variableOrigins() }),
  ).catch(error => {
    throw explainFullDisk(config, error)
  })
  // The rest of the program is loaded while the database answers.
  const [deps, { createApp }] = await Promise.all([opening, import('../app.ts')])
  const sweeper = startSweeper(deps)
  const checkpoints = startCheckpoints(deps)
  const stopWatching = watchProviders(deps)
  const presence = announce(deps)
  const close = async () => {
    sweeper.stop()
    await checkpoints.stop()
    stopWatching()
    await presence.stop()
    await deps.close()
  }
  // An unhandled rejection is a bug and logged as one, but must not let one request end the process for all users.
  process.on('unhandledRejection', error => {
    log.error({ err: { message: (error as Error)?.message, stack: (error as Error)?.stack } }, 'unhandled rejection')
  })
  // The greeting may go to a full disk or to a reader that is gone; like lines of the log, it may be lost.
  process.stdout.on('error', () => {})
  const app = createApp(deps)
  let greeted = Promise.resolve()
  process.on('SIGHUP', () => void deps.reloadUpstreams())
  onStop(deps, async () => {
    await Promise.allSettled([greeted]) // it needs the database; run() reports its failure
    // Requests in progress may finish; those that take too long are aborted.
    await Promise.race([app.server?.stop(), Bun.sleep(FINISH_MS)])
    await app.server?.stop(true)
    await close()
  })
  try {
    listen(app, config.HOST, config.PORT, config.IDLE_TIMEOUT)
    if (config.METRICS_PORT !== undefined)
      listen(metricsApp(deps), config.HOST, config.METRICS_PORT, config.IDLE_TIMEOUT)
  } catch (error) {
    await close()
    throw error
  }
  // The binary is built to compile little of what runs at its start; from now on, what runs often is worth it.
  Bun.unsafe.setJITPolicy(1)
  const warnings = [...misspeltVariables(environment()), ...secretFileWarnings(config)]
  greeted = presence.ready.then(() => greet(deps, warnings)) // then commands know its addresses
  await greeted
}

const RETRY_MS = 2_000

/** A database that starts later than this server is waited for, DATABASE_WAIT seconds at most. */
async function waitForDatabase<T>({ DATABASE_WAIT }: Config, log: Log, open: () => Promise<T>): Promise<T> {
  for (const until = performance.now() + DATABASE_WAIT * 1000; ; ) {
    try {
      return await open()
    } catch (error) {
      if (!isAway(error) || performance.now() + RETRY_MS > until) throw error
      log.warn({ detail: databaseProblem(error) }, 'waiting for the database')
      await Bun.sleep(RETRY_MS)
    }
  }
}

/** Free space, in MB, below which a start on the embedded database is expected to fail; an empty one takes 40 MB. */
const ENOUGH_MB = 48

/** The embedded database fails in many ways on a full disk, and few of them name it. */
function explainFullDisk({ DATABASE_URL, DATA_DIR }: Config, error: Error): Error {
  if (DATABASE_URL || error instanceof UsageError || !existsSync(DATA_DIR)) return error
  const { bavail, bsize } = statfsSync(DATA_DIR)
  const free = Math.floor((bavail * bsize) / 1024 / 1024)
  if (free >= ENOUGH_MB) return error
  return new UsageError(
    `The database in DATA_DIR (${resolve(DATA_DIR)}) could not be opened, and its disk has only ${free} MB free. A new database takes 40 MB: free some space, or set DATA_DIR to another disk, then start again. (${error.message})`,
  )
}

/**
 * Before a database is created or migrated.
 *
 * @param variable What sets the port.
 * @throws UsageError if the server cannot listen there.
 */
function requireFreePort(hostname: string, port: number, variable: string): void {
  try {
    Bun.listen({ hostname, port, socket: { data() {} } }).stop()
  } catch (error) {
    const { code } = error as { code?: string }
    throw new UsageError(
      code === 'EADDRINUSE'
        ? `Port ${port} on ${hostname} is in use; stop the process that uses it, or set ${variable}`
        : `Cannot listen on port ${port} of ${hostname} (${code}); set HOST to an address of this machine, such as 127.0.0.1 or 0.0.0.0, and ${variable} to one that this user may bind`,
    )
  }
}

function listen(app: { listen(options: object): unknown }, hostname: string, port: number, idleTimeout: number): void {
  app.listen({
    hostname,
    port,
    // Elysia's default lets a second server bind the same port, and the kernel then distributes requests to both.
    reusePort: false,
    maxRequestBodySize: MAX_BODY,
    idleTimeout,
    // Otherwise an error that escapes the error boundary is answered with a page that shows source code and paths.
    development: false,
  })
}

/**
 * Stops the server on SIGTERM or SIGINT, and exits with 0.
 *
 * SIGTERM comes from a supervisor, and a load balancer may still be sending requests. Until it notices that `/readyz`
 * answers 503, for the grace period, everything is served as before, except that each response closes its connection.
 * After that, idle connections are closed, streams end, and no new connections are accepted. SIGINT comes from a
 * terminal: it ends or skips the grace period.
 *
 * @param finish Stops listening, lets requests in progress finish, and closes everything.
 */
function onStop({ config, log, draining, stopping }: Deps, finish: () => Promise<void>): void {
  const interrupted = Promise.withResolvers<void>()
  const stop = async (signal: string, graceSeconds: number) => {
    if (signal === 'SIGINT') interrupted.resolve()
    if (draining.signal.aborted) return
    draining.abort()
    log.info({ signal, graceSeconds }, 'stopping')
    await Promise.race([Bun.sleep(graceSeconds * 1000), interrupted.promise])
    stopping.abort()
    await finish()
    process.exit(0)
  }
  process.on('SIGTERM', () => void stop('SIGTERM', config.SHUTDOWN_GRACE))
  process.on('SIGINT', () => void stop('SIGINT', 0))
}
