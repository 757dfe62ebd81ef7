/** What this server needs: its configuration, database, keys, sign-in, way out and upstreams; and then itself from outside. */
import { lookup } from 'node:dns/promises'
import { databaseTime, databaseVersion } from '../../sql/index.ts'
import type { Config } from '../config.ts'
import type { Deps } from '../deps.ts'
import { checkUpstreams } from '../gateway/check.ts'
import { UsageError } from '../lib/errors.ts'
import { openLog } from '../lib/log.ts'
import { printableText } from '../lib/text.ts'
import { subjectTokens } from '../oauth/subject-tokens.ts'
import { type Check, failed, ok, warning } from './checks.ts'
import { checkPublic } from './doctor-public.ts'
import { explain, readConfig, upstreamFile, withDeps } from './environment.ts'
import { missingForProduction } from './greeting.ts'
import { secretFileWarnings } from './secret-files.ts'
import { serverState } from './status.ts'

const SKEW_MS = 5_000
const OLDEST_POSTGRESQL = 14
/** A host that nearly every MCP client's metadata document or key set could be at. */
const OUTSIDE = 'claude.ai'

export async function* checkHere(): AsyncGenerator<Check> {
  let config: Config
  try {
    config = readConfig()
    yield ok(
      'configuration',
      `${config.BASE_URL}, ${config.DATABASE_URL ? 'PostgreSQL' : `embedded database in ${config.DATA_DIR}`}`,
    )
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    yield failed('configuration', error.message, 'Set what is named; see the README for each variable.')
    return
  }
  for (const item of secretFileWarnings(config)) yield warning('secret files', item, 'Run the command that it names.')
  yield* await withDeps(deps => Array.fromAsync(checkDeps(deps))).catch(error => [
    failed(
      'database',
      explain(error).text,
      config.DATABASE_URL ? 'Check DATABASE_URL and AUTH_SECRET, and that the database runs.' : 'Check DATA_DIR.',
    ),
  ])
  if (config.CLIENT_METADATA_DOCUMENTS) yield await checkWayOut()
  const state = await serverState(config)
  if (state !== 'up') {
    yield failed('server', state, 'Start it: mcp-oauth-server serve')
    return
  }
  yield ok('server', `is up at port ${config.PORT}`)
  for await (const check of checkPublic(new URL(`${config.BASE_URL}/mcp`)))
    yield { ...check, name: `outside: ${check.name}` }
}

async function* checkDeps(deps: Deps): AsyncGenerator<Check> {
  const version = await databaseVersion(deps.sql)
  const asked = performance.now()
  const skew = Math.abs((await databaseTime(deps.sql)) - Date.now())
  const ms = Math.round((performance.now() - asked) * 10) / 10
  if (Number.parseInt(version, 10) < OLDEST_POSTGRESQL)
    yield failed('database', `PostgreSQL ${version}`, `Use version ${OLDEST_POSTGRESQL} or newer.`)
  else yield ok('database', `PostgreSQL ${version}, answers in ${ms} ms; the schema is up to date`)
  if (skew > SKEW_MS)
    yield warning(
      'clock',
      `${Math.round(skew / 1000)} s apart from the database's`,
      'Run NTP on both; this server lives by the database’s time.',
    )
  else yield ok('clock', 'agrees with the database')
  yield ok('keys', 'AUTH_SECRET opens the signing keys')
  for (const item of missingForProduction(deps)) {
    const [name = '', ...rest] = item.split(': ')
    yield warning(name, 'not set', rest.join(': '))
  }
  for (const provider of deps.providers.values()) {
    const name = `sign-in with ${provider.name}`
    const callback = `${deps.config.BASE_URL}/auth/callback/${provider.id}`
    try {
      await provider.start({ state: 'doctor', nonce: 'doctor', verifier: 'doctor'.repeat(8) })
      yield ok(name, `its redirect URI there must be ${callback}`)
    } catch (error) {
      yield failed(
        name,
        printableText((error as Error).message, 200),
        `Is its address right, and can this machine reach it? Redirect URI: ${callback}`,
      )
    }
  }
  if (deps.config.MCP_SERVERS) yield* await checkServers(deps)
}

async function checkServers(deps: Deps): Promise<Check[]> {
  try {
    const checked = await checkUpstreams({ ...deps, log: openLog('silent') }, upstreamFile(), subjectTokens(deps))
    return checked.map(({ name, problem, detail, auth, tools }) =>
      problem === undefined
        ? ok(`upstream ${name}`, auth ?? `${tools} tools`)
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

/** Whether metadata documents and key sets of clients can be fetched. */
async function checkWayOut(): Promise<Check> {
  const fix = 'Without a way out set CLIENT_METADATA_DOCUMENTS=false, or Codex and Claude Code cannot sign in.'
  try {
    await lookup(OUTSIDE)
  } catch {
    return failed('way out', `no DNS: ${OUTSIDE} has no address`, fix)
  }
  try {
    await fetch(`https://${OUTSIDE}/`, { method: 'HEAD', redirect: 'manual', signal: AbortSignal.timeout(5_000) })
    return ok('way out', `${OUTSIDE} can be reached`)
  } catch (error) {
    return failed('way out', `${OUTSIDE} cannot be reached: ${printableText((error as Error).message, 200)}`, fix)
  }
}
