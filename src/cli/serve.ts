import packageJson from '../../package.json' with { type: 'json' }
import { createApp } from '../app.ts'
import { type Deps, openDeps } from '../deps.ts'
import { UsageError } from '../lib/errors.ts'
import { openLog } from '../lib/log.ts'
import { createSignInLink, inviteUser, LINK_MINUTES } from '../signin/service.ts'
import { startSweeper } from '../sweeper.ts'
import { environment, readArgs, readConfig } from './environment.ts'

/** Larger than any route reads; the routes have limits of their own, with proper answers. */
const MAX_BODY = 8 * 1024 * 1024
const IDLE_SECONDS = 30
const SHUTDOWN_MS = 8_000

export async function run(args: string[]): Promise<void> {
  readArgs(args, {}, { words: false })
  const config = readConfig()
  const log = openLog(config.LOG_LEVEL)
  const deps = await openDeps(config, { log, serving: true, env: environment() })
  const sweeper = startSweeper(deps)
  const app = createApp(deps)
  let stopping = false
  let greeted = Promise.resolve()
  const stop = async (signal: string) => {
    if (stopping) return
    stopping = true
    log.info({ signal }, 'stopping')
    await Promise.allSettled([greeted]) // it needs the database; how it failed, run() says
    deps.stopping.abort()
    // What runs may finish; what does not in time is cut.
    await Promise.race([app.server?.stop(), Bun.sleep(SHUTDOWN_MS)])
    await app.server?.stop(true)
    sweeper.stop()
    await deps.close()
    process.exit(0)
  }
  process.on('SIGTERM', () => void stop('SIGTERM'))
  process.on('SIGINT', () => void stop('SIGINT'))
  process.on('SIGHUP', () => void deps.reloadUpstreams())
  // A promise that nobody waits for must not let one request end the service for everybody; it is a bug, and logged as one.
  process.on('unhandledRejection', error => {
    log.error(
      { err: { message: (error as Error)?.message, stack: (error as Error)?.stack } },
      'a rejection that nobody handled',
    )
  })

  try {
    app.listen({
      hostname: config.HOST,
      port: config.PORT,
      // Elysia's default lets a second server take the same port, and the kernel then deals requests out to both.
      reusePort: false,
      maxRequestBodySize: MAX_BODY,
      idleTimeout: IDLE_SECONDS,
      // Otherwise what escapes the error boundary is answered with a page that shows source code and paths.
      development: false,
    })
  } catch (error) {
    sweeper.stop()
    await deps.close()
    const { code } = error as { code?: string }
    throw new UsageError(
      code === 'EADDRINUSE'
        ? `Port ${config.PORT} on ${config.HOST} is in use; stop what uses it, or set PORT`
        : `Cannot listen on port ${config.PORT} of ${config.HOST} (${code}); set HOST to an address of this machine, such as 127.0.0.1 or 0.0.0.0, and PORT to one that this user may open`,
    )
  }
  greeted = greet(deps)
  await greeted
}

/** How the person at the terminal can run another command: as this one was run. */
const PROGRAM = import.meta.path.startsWith('/$bunfs/')
  ? process.execPath
  : `npx -y ${packageJson.packageManager} run src/main.ts`

/** What the person at the terminal wants to know. */
async function greet(deps: Deps): Promise<void> {
  const { config } = deps
  const lines = [
    '',
    `  mcp-oauth-server is listening on ${config.HOST.includes(':') ? `[${config.HOST}]` : config.HOST}:${config.PORT}`,
    '',
    `  MCP endpoint   ${config.BASE_URL}/mcp`,
    `  Web page       ${config.BASE_URL}/`,
  ]
  const missing = missingForProduction(deps)
  if (missing.length > 0) lines.push('', '  Before others use it:', ...missing.map(item => `    - ${item}`))
  if (deps.providers.size === 0) {
    const email = config.ADMIN_EMAILS[0] ?? 'admin@localhost'
    const user = await inviteUser(deps, email, true)
    if (user.disabled_at) lines.push('', `  ${email} is disabled; to let them in: ${PROGRAM} user enable ${email}`)
    else {
      const link = await createSignInLink(deps, email, { isAdmin: true })
      lines.push(
        '',
        `  Sign in as the administrator, ${email} (works once, for ${LINK_MINUTES} minutes):`,
        `    ${link}`,
      )
      lines.push(`  Another such link, later, in this directory: ${PROGRAM} user link ${email}`)
    }
  }
  lines.push('', '  Try it from another terminal:', `    ${PROGRAM} login ${config.BASE_URL}/mcp`, '')
  console.log(lines.join('\n'))
}

function missingForProduction(deps: Deps): string[] {
  const { config } = deps
  const missing: string[] = []
  if (!config.BASE_URL.startsWith('https://'))
    missing.push('BASE_URL: the https address under which people reach it, behind a TLS proxy')
  if (deps.providers.size === 0) {
    missing.push('a sign-in provider: GOOGLE_CLIENT_ID, GITHUB_CLIENT_ID or OIDC_ISSUER with their secrets')
  }
  if (
    deps.providers.size > 0 &&
    [config.ADMIN_EMAILS, config.ALLOWED_EMAILS, config.ALLOWED_DOMAINS].every(list => list.length === 0)
  )
    missing.push('ADMIN_EMAILS, ALLOWED_EMAILS or ALLOWED_DOMAINS: as it is, only invited people can sign in')
  else if (config.ADMIN_EMAILS.length === 0) missing.push('ADMIN_EMAILS: who administers it')
  if (!config.DATABASE_URL)
    missing.push(`DATABASE_URL: a PostgreSQL, for more than one replica (now: embedded, in ${config.DATA_DIR})`)
  return missing
}
