import { createApp } from '../app.ts'
import { type Deps, openDeps } from '../deps.ts'
import { UsageError } from '../lib/errors.ts'
import { openLog } from '../lib/log.ts'
import { startSweeper } from '../sweeper.ts'
import { environment, readArgs, readConfig } from './environment.ts'
import { greet } from './greeting.ts'
import { secretFileWarnings } from './secret-files.ts'

/** Larger than any route reads; the routes have limits of their own, with proper answers. */
const MAX_BODY = 8 * 1024 * 1024
/** How long what runs when the server stops may take to finish. With what closing takes, less than 10 s. */
const FINISH_MS = 7_000

export async function run(args: string[]): Promise<void> {
  readArgs(args, {}, { words: false })
  const config = readConfig()
  const log = openLog(config.LOG_LEVEL)
  const deps = await openDeps(config, { log, serving: true, env: environment() })
  const sweeper = startSweeper(deps)
  const close = async () => {
    sweeper.stop()
    await deps.close()
  }
  // A promise that nobody waits for must not let one request end the service for everybody; it is a bug, and logged as one.
  process.on('unhandledRejection', error => {
    log.error(
      { err: { message: (error as Error)?.message, stack: (error as Error)?.stack } },
      'a rejection that nobody handled',
    )
  })
  const app = createApp(deps)
  let greeted = Promise.resolve()
  process.on('SIGHUP', () => void deps.reloadUpstreams())
  onStop(deps, async () => {
    await Promise.allSettled([greeted]) // it needs the database; how it failed, run() says
    // What runs may finish; what does not in time is cut.
    await Promise.race([app.server?.stop(), Bun.sleep(FINISH_MS)])
    await app.server?.stop(true)
    await close()
  })
  try {
    listen(app, deps)
  } catch (error) {
    await close()
    throw error
  }
  greeted = greet(deps, secretFileWarnings(config))
  await greeted
}

/** @throws UsageError if it cannot listen there. */
function listen(app: ReturnType<typeof createApp>, { config }: Deps): void {
  try {
    app.listen({
      hostname: config.HOST,
      port: config.PORT,
      // Elysia's default lets a second server take the same port, and the kernel then deals requests out to both.
      reusePort: false,
      maxRequestBodySize: MAX_BODY,
      idleTimeout: config.IDLE_TIMEOUT,
      // Otherwise what escapes the error boundary is answered with a page that shows source code and paths.
      development: false,
    })
  } catch (error) {
    const { code } = error as { code?: string }
    throw new UsageError(
      code === 'EADDRINUSE'
        ? `Port ${config.PORT} on ${config.HOST} is in use; stop what uses it, or set PORT`
        : `Cannot listen on port ${config.PORT} of ${config.HOST} (${code}); set HOST to an address of this machine, such as 127.0.0.1 or 0.0.0.0, and PORT to one that this user may open`,
    )
  }
}

/**
 * Stops the server when it is told to, and exits with 0.
 *
 * SIGTERM comes from whatever runs the server, and a load balancer may be sending requests: until it has noticed that
 * `/readyz` answers 503, for the time of the grace, everything is served as before, except that each answer ends its
 * connection. Only then are idle connections closed and streams ended, and no new ones taken. SIGINT comes from a person
 * at a terminal: it ends the grace, or leaves it out.
 *
 * @param finish Stops listening, lets what runs finish, and closes what is open.
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
