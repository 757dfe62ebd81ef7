/** The only place that reads the environment. */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { actingAs } from '../audit/events.ts'
import { type Config, parseConfig } from '../config.ts'
import { databaseProblem, isOutage } from '../db/index.ts'
import { type Deps, fileSource, openDeps } from '../deps.ts'
import { readServers } from '../gateway/config.ts'
import type { FileSource } from '../gateway/configured.ts'
import { AppError, UnreachableError, UsageError } from '../lib/errors.ts'
import { openLog } from '../lib/log.ts'
import { upstreamScopes } from '../mcp/endpoints.ts'
import { openScopes, type Scopes } from '../oauth/scopes.ts'

/**
 * Chooses where the configuration and the data are (`-C`, `--env-file`). What these files say counts, and not a file `.env`
 * of the directory that the command was started in.
 *
 * @throws UsageError if there is no such directory or file.
 */
export function setEnvironment(directory: string | undefined, files: readonly string[]): void {
  const paths = files.map(file => resolve(file))
  forgetDotEnv()
  if (directory !== undefined) {
    try {
      process.chdir(directory)
    } catch {
      throw new UsageError(`There is no directory ${resolve(directory)}`)
    }
    if (existsSync('.env')) paths.unshift(resolve('.env'))
  }
  for (const path of paths) {
    try {
      const variables = parseEnv(readFileSync(path, 'utf8'))
      Object.assign(process.env, variables)
      for (const name of Object.keys(variables)) origins.set(name, path)
    } catch (error) {
      throw new UsageError(`${path} cannot be read (${(error as { code?: string }).code ?? 'not a file of variables'})`)
    }
  }
}

/** Removes what Bun has read in the directory that the program was started in. */
function forgetDotEnv(): void {
  for (const { name } of readByBun()) delete process.env[name]
}

/** What Bun has read in the directory that the program was started in. */
function readByBun(): { name: string; path: string }[] {
  const paths = ['.env', '.env.local', `.env.${process.env.NODE_ENV ?? 'development'}`].filter(existsSync)
  return paths.flatMap(path =>
    Object.entries(parseEnv(readFileSync(path, 'utf8'))).flatMap(([name, value]) =>
      process.env[name] === value ? [{ name, path: resolve(path) }] : [],
    ),
  )
}

/** Sets a variable as an option of the command line does; undefined changes nothing. */
export function override(name: keyof Config, option: string, value: string | undefined): void {
  if (value === undefined) return
  process.env[name] = value
  origins.set(name, option)
}

/** Files and options that variables came from. */
const origins = new Map<string, string>()

/** Where the variables that did not come from the environment itself came from. */
export function variableOrigins(): Record<string, string> {
  return { ...Object.fromEntries(readByBun().map(({ name, path }) => [name, path])), ...Object.fromEntries(origins) }
}

export function readConfig(): Config {
  return parseConfig(process.env, path => readFileSync(path))
}

/** The built-in scopes and those that MCP_SERVERS adds. */
export function readScopes(): Scopes {
  const scopes = openScopes()
  scopes.extend(upstreamScopes(readEndpoints()))
  return scopes
}

/** The endpoints that MCP_SERVERS adds, as the server publishes them. */
export function readEndpoints(): { name: string; scopes: string[] }[] {
  const { MCP_SERVERS } = readConfig()
  if (!MCP_SERVERS) return []
  const { upstreams } = readServers(fileSource(MCP_SERVERS, process.env))
  return upstreams.map(({ name, scopes }) => ({ name, scopes: Object.values(scopes) }))
}

/** The environment, for expanding variables in MCP_SERVERS. */
export function environment(): Record<string, string | undefined> {
  return process.env
}

/** The file of upstream servers. @throws UsageError if none is configured. */
export function upstreamFile(): FileSource {
  const { MCP_SERVERS } = readConfig()
  if (!MCP_SERVERS) throw new UsageError('MCP_SERVERS is not set, so there are no upstream servers')
  return fileSource(MCP_SERVERS, process.env)
}

/** @throws UsageError if there is no embedded database here: only `serve` creates one. */
export function requireDatabase({ DATABASE_URL, DATA_DIR }: Config): void {
  if (!DATABASE_URL && !existsSync(join(DATA_DIR, 'postgres')))
    throw new UsageError(
      `There is no database in ${resolve(DATA_DIR)}. Run this in the directory of the server or with -C DIR; "serve" creates a database.`,
    )
}

/**
 * Runs a command with the database open; beside a running server it shares the server's.
 *
 * @throws UsageError if there is no embedded database here.
 */
export async function withDeps<T>(work: (deps: Deps) => Promise<T>): Promise<T> {
  const config = readConfig()
  requireDatabase(config)
  process.stdout.on('error', endWithoutReader)
  // A command prints what it has to say, so the log is for trouble only.
  const deps = await openDeps(config, { log: openLog('warn'), serving: false })
  try {
    return await work(actingAs(deps, { actor: 'cli', system_user: systemUser() ?? `uid ${process.getuid?.()}` }))
  } finally {
    await deps.close()
  }
}

/**
 * The person at this machine: with `sudo` the one who called it. Not from `os.userInfo()`, which Bun takes from USER: that is
 * not set in containers and by cron.
 *
 * @returns undefined if the user id has no name, as in many containers.
 */
export function systemUser(): string | undefined {
  const { SUDO_USER, USER, USERNAME } = process.env
  if (SUDO_USER) return SUDO_USER
  const uid = String(process.getuid?.())
  const users = existsSync('/etc/passwd') ? readFileSync('/etc/passwd', 'utf8').split('\n') : []
  const [name] = users.map(line => line.split(':')).find(([, , id]) => id === uid) ?? []
  return name ?? USER ?? USERNAME
}

/** The reader of a pipe, such as `head`, may have seen enough; any other failure to write loses results. */
function endWithoutReader(error: Error & { code?: string }): void {
  if (error.code === 'EPIPE') process.exit(0)
  process.stderr.write(`The result cannot be written: ${error.message}\n`)
  process.exit(1)
}

/** What to print for an error, a sentence if we know what to do, and the exit code: 1, or 3 if something cannot be reached. */
export function explain(error: unknown): { text: string; code: number } {
  if (error instanceof UsageError) return { text: error.message, code: error instanceof UnreachableError ? 3 : 1 }
  if (error instanceof AppError) return { text: `${error.title}. ${error.advice}`, code: 1 }
  const problem = databaseProblem(error)
  if (problem && !isOutage(error)) return { text: `The database refused a statement: ${problem}`, code: 1 }
  const { DATABASE_URL, DATABASE_URL_FILE } = process.env
  const advice = DATABASE_URL || DATABASE_URL_FILE ? 'Check DATABASE_URL.' : 'Is its server starting or stopping?'
  if (problem) return { text: `The database cannot be used: ${problem}. ${advice}`, code: 3 }
  return { text: error instanceof Error ? (error.stack ?? error.message) : String(error), code: 1 }
}
