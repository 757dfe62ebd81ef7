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

/** The scopes that the configuration makes. */
export function readScopes(): Scopes {
  const scopes = openScopes()
  const { MCP_SERVERS } = readConfig()
  if (MCP_SERVERS) {
    const { upstreams } = readServers(fileSource(MCP_SERVERS, process.env))
    scopes.extend(upstreamScopes(upstreams.map(({ name, scopes }) => ({ name, scopes: Object.values(scopes) }))))
  }
  return scopes
}

/** What the file of upstream servers may refer to. */
export function environment(): Record<string, string | undefined> {
  return process.env
}

/** Runs a command with the database open; beside a running server it shares the server's. */
export async function withDeps(work: (deps: Deps) => Promise<void>): Promise<void> {
  const config = readConfig()
  const isNew = !config.DATABASE_URL && !existsSync(join(config.DATA_DIR, 'postgres'))
  // A command talks to a person: what it has to say it prints, so the log is for trouble only.
  const deps = await openDeps(config, { log: openLog('warn'), serving: false })
  if (isNew) {
    console.error(
      `There was no database in ${resolve(config.DATA_DIR)}; here is a new one. If this was meant for a server that runs, use the directory and the environment of that server.`,
    )
  }
  try {
    await work(deps)
  } finally {
    await deps.close()
  }
}

/** What a person at a terminal is told about an error: a sentence where we know what to do, else the error with its stack. */
export function explain(error: unknown): unknown {
  if (error instanceof UsageError) return error.message
  const problem = databaseProblem(error)
  return problem ? `The database cannot be used: ${problem}. Check DATABASE_URL.` : error
}

type Options = NonNullable<Parameters<typeof parseArgs>[0]>['options']

/** Splits a command's arguments. @throws UsageError for an unknown option, or a word where `words` is false. */
export function readArgs<T extends NonNullable<Options>>(args: string[], options: T, { words = true } = {}) {
  try {
    return parseArgs({ args, options, allowPositionals: words, strict: true })
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split(/[\n.] ?/)[0]}; see: mcp-oauth-server help`)
  }
}
