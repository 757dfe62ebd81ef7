/**
 * Reads the file of upstreams: the `mcpServers` object of desktop clients (`servers` in VS Code), with additional fields
 * of our own. Commands and URLs come only from this file.
 */
import { createHash } from 'node:crypto'
import { UsageError } from '../lib/errors.ts'
import type { Auth } from './auth-entry.ts'
import { type Path, problem, type Report, readSource, warn } from './config-source.ts'
import { type Entry, entrySchema, unknownFields } from './entry.ts'
import type { Transport, Variables } from './expand.ts'
import type { Filter } from './policy.ts'
import { type Reached, readTransport } from './transport.ts'

export type { Auth, Filter, Transport }

export interface UpstreamConfig {
  name: string
  transport: Transport
  /** The credential that it requires; absent: none, or one in `headers`. */
  auth?: Auth
  /** Milliseconds; see the table in the README. `idleTimeout` 0: never. */
  timeout: number
  maxTimeout: number
  startTimeout: number
  idleTimeout: number
  isolation: 'user' | 'session' | 'shared'
  /** The transport still contains `${user.…}` or `${client.id}`, which `expandFor` fills in for each principal, or each person uses an account of their own. */
  perPrincipal: boolean
  concurrency: number
  queue: number
  maxBytes: number
  maxTools: number
  tools: Filter
  prompts: Filter
  resources: Filter
  users?: string[]
  /** From a glob on the upstream's names to the scope that a matching call needs. */
  scopes: Record<string, string>
  roots: boolean
  onChange: 'log' | 'block'
  audit: { arguments: boolean; redact: string[] }
  /** SHA-256 of all of the above, to find changed entries on reload. */
  fingerprint: string
}

export interface Servers {
  /** Names of `disabled` entries. */
  disabled: string[]
  /** Sorted by name, without `disabled` entries. */
  upstreams: UpstreamConfig[]
  warnings: string[]
}

export interface ServersSource extends Variables {
  path: string
}

/** Reads the file. @throws UsageError if it cannot be read, or listing every problem in it. */
export function readServers(source: ServersSource): Servers {
  let text: string
  try {
    text = source.readFile(source.path)
  } catch (error) {
    const reason = (error as { code?: string }).code ?? (error as Error).message
    throw new UsageError(
      `${source.path} cannot be read (${reason}); MCP_SERVERS must name a file that this user can read`,
    )
  }
  return parseServers(text, source)
}

/** @throws UsageError listing every problem, one per line: file, line and column, field, and what to change. */
export function parseServers(text: string, source: ServersSource): Servers {
  const document = readSource(source.path, text)
  const report: Report = { problems: [], warnings: [], source: document }
  const upstreams: UpstreamConfig[] = []
  const disabled: string[] = []
  const found = findServers(document.value, report)
  if (found) {
    for (const path of document.duplicates([found.key])) problem(report, path, 'is defined twice; keep one')
    const names = Object.keys(found.servers)
    for (const name of names) {
      const upstream = readEntry(name, found.servers[name], [found.key, name], names, report, source)
      if (upstream) upstreams.push(upstream)
      else disabled.push(name)
    }
  }
  if (report.problems.length > 0) throw new UsageError(report.problems.join('\n'))
  return { disabled, upstreams: upstreams.sort((a, b) => (a.name < b.name ? -1 : 1)), warnings: report.warnings }
}

type Members = Record<string, unknown>
const isObject = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Finds the object of servers; the rest of the document belongs to other programs. */
function findServers(document: unknown, report: Report): { key: string; servers: Members } | undefined {
  if (!isObject(document)) return void problem(report, [], 'must be an object with "mcpServers"')
  if (document.mcpServers !== undefined && document.servers !== undefined)
    return void problem(report, ['servers'], 'is present beside "mcpServers"; keep one of them')
  const key = document.servers === undefined ? 'mcpServers' : 'servers'
  const servers = document[key]
  if (servers === undefined) {
    const near = Object.keys(document).find(name => /^mcp[-_ ]?servers?$/i.test(name))
    return void problem(
      report,
      near ? [near] : [],
      near ? 'must be spelled "mcpServers"' : 'has no "mcpServers"; add it',
    )
  }
  if (!isObject(servers)) return void problem(report, [key], 'must be an object that maps names to servers')
  return { key, servers }
}

function readEntry(
  name: string,
  raw: unknown,
  path: Path,
  names: string[],
  report: Report,
  variables: ServersSource,
): UpstreamConfig | undefined {
  if (!isObject(raw)) return void problem(report, path, 'must be an object with "command" or "url"')
  if (raw.disabled === true) return
  const before = report.problems.length
  checkName(name, path, names, report)
  // Where both are missing, an unknown field may be one of them with a mistake in its name.
  const tell = raw.command === undefined && raw.url === undefined ? problem : warn
  for (const { path: field, meant } of unknownFields(raw)) {
    tell(
      report,
      [...path, ...field],
      meant ? `is unknown and ignored; did you mean "${meant}"?` : 'is unknown and ignored',
    )
  }
  const parsed = entrySchema.safeParse(raw)
  for (const issue of parsed.error?.issues ?? []) problem(report, [...path, ...(issue.path as string[])], issue.message)
  if (!parsed.data) return
  checkLimits(parsed.data, path, report)
  const reached = readTransport(parsed.data, path, report, variables)
  if (!reached || report.problems.length > before) return
  return compose(name, parsed.data, reached)
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

function checkName(name: string, path: Path, names: string[], report: Report): void {
  if (NAME.test(name)) return
  const plain = name
    .normalize('NFKD')
    .replace(/[^\x20-\x7e]/g, '')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
  const base = plain.replace(/^[._-]+|[._-]+$/g, '').slice(0, 60) || 'server'
  const proposal = [base, ...names.map((_, index) => `${base}-${index + 2}`)].find(free => !names.includes(free))
  problem(
    report,
    path,
    `cannot be used in a URL (use letters, digits, ".", "_", "-", at most 64 characters); call it "${proposal}"`,
  )
}

/** A limit below this was probably written in seconds, the unit of some clients. */
const SECONDS_BELOW = 1000

function checkLimits(entry: Entry, path: Path, report: Report): void {
  for (const field of ['timeout', 'maxTimeout', 'startTimeout'] as const) {
    const value = entry[field]
    if (value !== undefined && value < SECONDS_BELOW)
      warn(report, [...path, field], `is in milliseconds; for ${value} seconds write ${value * 1000}`)
  }
  if (entry.maxTimeout !== undefined && entry.maxTimeout < entry.timeout)
    problem(report, [...path, 'maxTimeout'], `must be at least timeout, which is ${entry.timeout}`)
  for (const field of ['tools', 'prompts'] as const) {
    for (const list of ['allow', 'deny'] as const) warnOfGlobs(entry[field][list], [...path, field, list], report)
  }
  warnOfGlobs(entry.users, [...path, 'users'], report)
  warnOfGlobs(Object.keys(entry.scopes), [...path, 'scopes'], report)
}

function warnOfGlobs(globs: string[] | undefined, path: Path, report: Report): void {
  const odd = globs?.find(glob => /[?[\]{}!]/.test(glob))
  if (odd) warn(report, path, `has "${odd}", but only * is a wildcard; write several globs instead`)
}

function compose(name: string, entry: Entry, { transport, personal, auth }: Reached): UpstreamConfig {
  const { command, args, env, cwd, url, headers, type, disabled, users, auth: _, ...rest } = entry
  const upstream = {
    name,
    transport,
    ...(auth ? { auth } : {}),
    ...rest,
    maxTimeout: entry.maxTimeout ?? Math.max(600_000, entry.timeout),
    ...(users ? { users } : {}),
    perPrincipal: personal || auth?.type === 'user' || auth?.type === 'exchange',
  }
  return { ...upstream, fingerprint: createHash('sha256').update(canonical(upstream)).digest('hex') }
}

/** JSON with sorted members, so that reordering lines in the file changes nothing. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    isObject(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  )
}
