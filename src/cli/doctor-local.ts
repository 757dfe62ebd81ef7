/** What this server needs: its configuration, database, keys, sign-in, way out and upstreams; and then itself from outside. */
import { statfsSync } from 'node:fs'
import { databaseTime, databaseVersion } from '../../sql/index.ts'
import { migrations } from '../../sql/migrations/index.ts'
import type { Config } from '../config.ts'
import { connect } from '../db/index.ts'
import { appliedMigrations } from '../db/migrate.ts'
import type { Deps } from '../deps.ts'
import { checkUpstreams } from '../gateway/check.ts'
import { UsageError } from '../lib/errors.ts'
import { openLog } from '../lib/log.ts'
import { type Outbound, publicInternet, SafeFetchError, safeFetch } from '../lib/safe-fetch.ts'
import { printableText } from '../lib/text.ts'
import { subjectTokens } from '../oauth/subject-tokens.ts'
import { configBesideServer } from '../presence.ts'
import { checkProvider } from '../signin/check.ts'
import type { Provider } from '../signin/providers.ts'
import { type Check, failed, ok, warning } from './checks.ts'
import { checkPublic, type PublicOptions } from './doctor-public.ts'
import { explain, readConfig, requireDatabase, upstreamFile, withDeps } from './environment.ts'
import { missingForProduction } from './greeting.ts'
import { secretFileWarnings } from './secret-files.ts'
import { serverState } from './status.ts'
import { counted } from './terminal.ts'

const SKEW_MS = 5_000
const OLDEST_POSTGRESQL = 14
/** Megabytes; an empty embedded database takes 40, and its log up to 100. */
const LOW_MB = 500
const FULL_MB = 48
/** A host that nearly every MCP client's metadata document or key set could be at. */
const OUTSIDE = 'claude.ai'
const OUTSIDE_MS = 5_000

export async function* checkHere(options: PublicOptions): AsyncGenerator<Check> {
  let given: Config
  try {
    given = readConfig()
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    yield failed('configuration', error.message, 'Set what is named; see the README for each variable.')
    return
  }
  const { config, checks } = await checkDatabase(given)
  yield ok(
    'configuration',
    `${config.BASE_URL}, ${config.DATABASE_URL ? 'PostgreSQL' : `embedded database in ${config.DATA_DIR}`}`,
  )
  for (const item of secretFileWarnings(config)) yield warning('secret files', item, 'Run the command that it names.')
  yield* checks
  if (checks.every(({ state }) => state !== 'failed'))
    yield* await withDeps(deps => Array.fromAsync(checkDeps(deps))).catch(error => [startFailure(error)])
  if (config.CLIENT_METADATA_DOCUMENTS) yield await checkWayOut(publicInternet)
  const state = await serverState(config)
  if (state !== 'up') {
    yield failed('server', state, 'Start it: mcp-oauth-server serve')
    return
  }
  yield ok('server', `is up at port ${config.PORT}`)
  for await (const check of checkPublic(new URL(`${config.BASE_URL}/mcp`), options))
    yield { ...check, name: `outside: ${check.name}` }
}

/**
 * Does not change the database, as opening it to work with it would (it migrates).
 *
 * @returns also the configuration with the addresses of the server that runs.
 */
async function checkDatabase(config: Config): Promise<{ checks: Check[]; config: Config }> {
  try {
    requireDatabase(config)
    const { DATABASE_URL: databaseUrl, DATA_DIR: dataDir } = config
    const db = await connect({ databaseUrl, dataDir, serving: false, log: openLog('silent') })
    try {
      const version = await databaseVersion(db.sql)
      const asked = performance.now()
      const skew = (await databaseTime(db.sql)) - Date.now()
      const ms = Math.round((performance.now() - asked) * 10) / 10
      const checks = [
        Number.parseInt(version, 10) < OLDEST_POSTGRESQL
          ? failed('database', `PostgreSQL ${version}`, `Use version ${OLDEST_POSTGRESQL} or newer.`)
          : ok('database', `PostgreSQL ${version}, answers in ${ms} ms`),
        checkSchema(await appliedMigrations(db.sql)),
        checkDatabaseClock(skew),
        ...(databaseUrl ? [] : [checkDisk(dataDir)]),
      ]
      const beside = configBesideServer(config, { sql: db.sql, now: () => new Date(Date.now() + skew) })
      return { checks, config: await beside.catch(() => config) } // a schema may be too old to know servers
    } finally {
      await db.close()
    }
  } catch (error) {
    const fix = config.DATABASE_URL ? 'Check DATABASE_URL, and that the database runs.' : 'Check DATA_DIR.'
    return { checks: [failed('database', explain(error).text, fix)], config }
  }
}

function checkSchema(applied: readonly string[]): Check {
  const name = 'schema'
  const ours = migrations.at(-1)!.name
  if (applied.length > migrations.length)
    return failed(
      name,
      `the database has ${applied.at(-1)}, and this program knows only ${ours}`,
      'A newer mcp-oauth-server has migrated it: use that version.',
    )
  if (applied.length < migrations.length)
    return failed(
      name,
      `the database has ${applied.at(-1) ?? 'no tables'}, and this program needs ${ours}`,
      'Make a backup, then run: mcp-oauth-server migrate. Starting the server does it as well.',
    )
  return ok(name, `up to date (${ours})`)
}

function checkDatabaseClock(skew: number): Check {
  if (Math.abs(skew) <= SKEW_MS) return ok('clock', 'agrees with the database')
  return failed(
    'clock',
    `the database is ${Math.round(Math.abs(skew) / 1000)} s ${skew > 0 ? 'ahead of' : 'behind'} this machine`,
    'Run NTP on both; this server lives by the database’s time.',
  )
}

function checkDisk(dataDir: string): Check {
  const { bavail, bsize } = statfsSync(dataDir)
  const free = Math.floor((bavail * bsize) / 1024 / 1024)
  const found = `${free.toLocaleString('en')} MB free in DATA_DIR`
  const fix = 'Free some space, or move DATA_DIR to a larger disk.'
  if (free < FULL_MB) return failed('disk', found, fix)
  return free < LOW_MB ? warning('disk', found, fix) : ok('disk', found)
}

/** Why the server would not start even though the database works. */
function startFailure(error: unknown): Check {
  const { text } = explain(error)
  if (!/AUTH_SECRET|auth-secret/.test(text))
    return failed('start', text, 'The server does not start either until it is right.')
  return failed(
    'keys',
    text,
    'Give the server the secret that the database was made with: AUTH_SECRET, AUTH_SECRET_FILE.',
  )
}

async function* checkDeps(deps: Deps): AsyncGenerator<Check> {
  yield ok('keys', 'AUTH_SECRET opens the signing keys')
  for (const item of missingForProduction(deps)) {
    const [name = '', ...rest] = item.split(': ')
    yield warning(name, 'not set', rest.join(': '))
  }
  for (const provider of deps.providers.values()) yield await checkSignIn(provider)
  if (deps.config.MCP_SERVERS) yield* await checkServers(deps)
}

async function checkSignIn(provider: Provider): Promise<Check> {
  const name = `sign-in with ${provider.name}`
  const { redirectUri } = provider
  const checked = await checkProvider(provider)
  switch (checked.outcome) {
    case 'accepted':
      return ok(name, `it accepts the redirect URI ${redirectUri}`)
    case 'unclear':
      return ok(name, `it answers; its redirect URI there must be exactly ${redirectUri}`)
    case 'redirect URI refused':
      return failed(name, 'it refuses the redirect URI', `Register exactly this redirect URI there: ${redirectUri}`)
    case 'request refused':
      return failed(
        name,
        `it refuses the request with ${checked.status}`,
        `Is the client id right, and is this redirect URI registered there? ${redirectUri}`,
      )
    case 'away':
      return failed(
        name,
        printableText(checked.why, 200),
        `Is its address right, and can this machine reach it? Redirect URI: ${redirectUri}`,
      )
  }
}

async function checkServers(deps: Deps): Promise<Check[]> {
  try {
    const checked = await checkUpstreams({ ...deps, log: openLog('silent') }, upstreamFile(), subjectTokens(deps))
    return checked.map(({ name, problem, detail, auth, tools }) =>
      problem === undefined
        ? ok(`upstream ${name}`, auth ?? counted(tools ?? 0, 'tool'))
        : failed(
            `upstream ${name}`,
            printableText(`${problem} ${detail ?? ''}`.trim(), 500),
            `Try it alone: mcp-oauth-server upstream check ${name}`,
          ),
    )
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    return [failed('upstreams', error.message, 'Correct the file that MCP_SERVERS names.')]
  }
}

/** Whether metadata documents and key sets of clients can be fetched, in the way in which the server fetches them. */
export async function checkWayOut(outbound: Outbound): Promise<Check> {
  const name = 'way out'
  const fix = 'Without a way out set CLIENT_METADATA_DOCUMENTS=false, or Codex and Claude Code cannot sign in.'
  try {
    await outbound.resolve(OUTSIDE)
  } catch {
    return failed(name, `no DNS: ${OUTSIDE} has no address`, `Check the resolver of this machine. ${fix}`)
  }
  try {
    await safeFetch(`https://${OUTSIDE}/robots.txt`, {}, { outbound, timeoutMs: OUTSIDE_MS, maxBytes: 1024 * 1024 })
    return ok(name, `${OUTSIDE} can be reached`)
  } catch (error) {
    if (!(error instanceof SafeFetchError)) throw error
    if (/larger than|compressed/.test(error.detail)) return ok(name, `${OUTSIDE} can be reached`)
    return failed(name, `https://${OUTSIDE} ${error.detail}`, `Does a firewall block port 443? ${fix}`)
  }
}
