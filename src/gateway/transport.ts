/** Reads an entry's transport, command or URL, expands its variables and checks it. */
import { dirname, resolve } from 'node:path'
import { type Auth, readAuth } from './auth-entry.ts'
import { type Path, problem, type Report, warn } from './config-source.ts'
import type { Entry } from './entry.ts'
import { expandVariables, hasControls, type Transport, type Variables } from './expand.ts'
import { isMetadataHost } from './metadata-addresses.ts'

export interface Reached {
  transport: Transport
  personal: boolean
  auth?: Auth
}

/** @param variables.path The configuration file: a relative `cwd` is relative to its directory. */
export function readTransport(
  entry: Entry,
  path: Path,
  report: Report,
  variables: Variables & { path: string },
): Reached | undefined {
  const { command, url, type } = entry
  if (command !== undefined && url !== undefined)
    return void problem(report, path, 'has both "command" and "url"; keep one of them')
  if (command === undefined && url === undefined)
    return void problem(report, path, 'has neither "command" nor "url"; add one of them')
  if (type !== undefined && (type === 'stdio') !== (command !== undefined))
    return void problem(
      report,
      [...path, 'type'],
      command ? 'must be "stdio" with "command"' : 'must be "http" or "sse" with "url"',
    )
  const fields = expander(path, report, variables)
  const transport: Transport =
    command !== undefined
      ? {
          type: 'stdio',
          command: fields.text('command', command),
          args: entry.args.map((arg, index) => fields.text(['args', index], arg)),
          env: { ...inherited(variables.env), ...fields.record('env', entry.env) },
          ...(entry.cwd === undefined ? {} : { cwd: resolve(dirname(variables.path), fields.text('cwd', entry.cwd)) }),
        }
      : {
          type: 'http',
          kind: type === 'sse' || type === 'streamable-http' ? type : 'auto',
          url: checkUrl(fields.text('url', url ?? ''), [...path, 'url'], report),
          headers: checkHeaders(fields.record('headers', entry.headers), [...path, 'headers'], report),
        }
  for (const field of command === undefined ? (['args', 'env', 'cwd'] as const) : (['headers'] as const)) {
    const value = entry[field]
    if (value !== undefined && Object.keys(value).length > 0)
      warn(report, [...path, field], `has no effect with "${command === undefined ? 'url' : 'command'}"`)
  }
  if (fields.personal() && entry.isolation === 'shared')
    problem(
      report,
      [...path, 'isolation'],
      'must not be "shared" where ${user.…} or ${client.id} is used; write "user"',
    )
  const auth = entry.auth && readAuthOf(entry.auth, transport, path, report, fields.text)
  return { transport, personal: fields.personal(), ...(auth ? { auth } : {}) }
}

function readAuthOf(
  auth: NonNullable<Entry['auth']>,
  transport: Transport,
  path: Path,
  report: Report,
  expand: (at: string[], text: string) => string,
): Auth | undefined {
  if (transport.type !== 'http') return void problem(report, [...path, 'auth'], 'is for servers with a "url"')
  if (Object.keys(transport.headers).some(name => name.toLowerCase() === 'authorization'))
    problem(report, [...path, 'auth'], 'stands beside an Authorization header; keep one of them')
  return readAuth(auth, transport.url, path, report, expand)
}

/** Expands the fields of one entry, reports problems, and notes whether any depends on the caller. */
function expander(path: Path, report: Report, variables: Variables) {
  let personal = false
  const expand = (at: Path, text: string, allow: boolean) => {
    const expanded = expandVariables(text, variables, { personal: allow })
    for (const message of expanded.problems) problem(report, [...path, ...at], message)
    if (hasControls(expanded.text))
      problem(report, [...path, ...at], 'must not contain a line break or NUL; check the variable that it comes from')
    personal ||= expanded.personal
    return expanded.text
  }
  return {
    text: (at: string | Path, text: string) => expand(typeof at === 'string' ? [at] : at, text, false),
    record: (at: string, record: Record<string, string>) =>
      Object.fromEntries(Object.entries(record).map(([key, text]) => [key, expand([at, key], text, true)])),
    personal: () => personal,
  }
}

/** The variables of our environment that a child inherits. */
const INHERITED = ['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'TERM', 'LANG', 'TMPDIR']

function inherited(env: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(INHERITED.flatMap(name => (env[name] === undefined ? [] : [[name, env[name]]])))
}

function checkUrl(text: string, path: Path, report: Report): string {
  const url = URL.parse(text)
  if (!url || !/^https?:$/.test(url.protocol)) problem(report, path, 'must be an http or https URL')
  else if (url.username || url.password)
    problem(report, path, 'must not contain a password; put an Authorization header into "headers"')
  else if (isMetadataHost(url.hostname))
    problem(report, path, 'must not be a cloud metadata service, which would expose the credentials of this machine')
  return text
}

/** Headers that the protocol or the connection sets. */
const OWN_HEADERS =
  /^(accept|accept-encoding|connection|content-encoding|content-length|content-type|expect|host|keep-alive|last-event-id|te|trailer|transfer-encoding|upgrade|mcp-.*)$/i

function checkHeaders(headers: Record<string, string>, path: Path, report: Report): Record<string, string> {
  const kept = Object.entries(headers).filter(([name, value]) => {
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value) && !hasControls(value))
      problem(report, [...path, name], 'must not contain characters that are invalid in a header')
    if (!OWN_HEADERS.test(name)) return true
    warn(report, [...path, name], 'is set by the protocol and ignored here')
    return false
  })
  return Object.fromEntries(kept)
}
