/** The only place that reads the environment. */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Config, parseConfig } from '../config.ts'
import { databaseProblem } from '../db/index.ts'
import { type Deps, fileSource, openDeps } from '../deps.ts'
import { readServers } from '../gateway/config.ts'
import { UsageError } from '../lib/errors.ts'
import { openLog } from '../lib/log.ts'
import { upstreamScopes } from '../mcp/endpoints.ts'
import { openScopes, type Scopes } from '../oauth/scopes.ts'

export function readConfig(): Config {
  return parseConfig(process.env, path => readFileSync(path, 'utf8'))
}

/** The built-in scopes and those that MCP_SERVERS adds. */
export function readScopes(): Scopes {
  const scopes = openScopes()
  const { MCP_SERVERS } = readConfig()
  if (MCP_SERVERS) {
    const { upstreams } = readServers(fileSource(MCP_SERVERS, process.env))
    scopes.extend(upstreamScopes(upstreams.map(({ name, scopes }) => ({ name, scopes: Object.values(scopes) }))))
  }
  return scopes
}

/** The environment, for expanding variables in MCP_SERVERS. */
export function environment(): Record<string, string | undefined> {
  return process.env
}

/** Runs a command with the database open; if a server is running on the embedded database, goes through its socket. */
export async function withDeps(work: (deps: Deps) => Promise<void>): Promise<void> {
  const config = readConfig()
  const isNew = !config.DATABASE_URL && !existsSync(join(config.DATA_DIR, 'postgres'))
  // Commands print their results, so the log is only for problems.
  const deps = await openDeps(config, { log: openLog('warn'), serving: false })
  if (isNew) {
    console.error(
      `There was no database in ${resolve(config.DATA_DIR)}, so a new one was created. To manage a running server, use its directory and environment.`,
    )
  }
  try {
    await work(deps)
  } finally {
    await deps.close()
  }
}

/** What to print for an error: one sentence if we know the fix, else the error with its stack. */
export function explain(error: unknown): unknown {
  if (error instanceof UsageError) return error.message
  const problem = databaseProblem(error)
  return problem ? `The database cannot be used: ${problem}. Check DATABASE_URL.` : error
}

type Options = NonNullable<Parameters<typeof parseArgs>[0]>['options']

/** Parses a command's arguments. @throws UsageError for an unknown option, or for a positional if `words` is false. */
export function readArgs<T extends NonNullable<Options>>(args: string[], options: T, { words = true } = {}) {
  try {
    return parseArgs({ args, options, allowPositionals: words, strict: true })
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split(/[\n.] ?/)[0]}; see: mcp-oauth-server help`)
  }
}
