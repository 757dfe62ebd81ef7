import { countUpstreamAccounts } from '../../sql/upstream-accounts.ts'
import { listUpstreamStatus } from '../../sql/upstream-status.ts'
import { trustTools } from '../../sql/upstreams.ts'
import { record } from '../audit/events.ts'
import type { Deps } from '../deps.ts'
import { type CheckedUpstream, checkUpstreams } from '../gateway/check.ts'
import { readServers } from '../gateway/config.ts'
import type { UpstreamStatus } from '../gateway/exchange.ts'
import { UsageError } from '../lib/errors.ts'
import { openLog } from '../lib/log.ts'
import { printableText } from '../lib/text.ts'
import { subjectTokens } from '../oauth/subject-tokens.ts'
import { upstreamFile, withDeps } from './environment.ts'
import { print, printJson, say } from './terminal.ts'

/** Every server stores the state of its upstreams at least every 30 s; older rows are of servers that have stopped. */
const FRESH_MS = 60_000

export function list({ json }: { json?: boolean }): Promise<void> {
  return withDeps(deps => listStates(deps, json))
}

async function listStates(deps: Deps, json: boolean | undefined): Promise<void> {
  const { upstreams } = readServers(upstreamFile())
  const since = new Date(deps.now().getTime() - FRESH_MS)
  const servers = await listUpstreamStatus(deps.sql, since)
  const linked = new Map((await countUpstreamAccounts(deps.sql)).map(row => [row.upstream, row.linked]))
  const rows = servers.flatMap(({ server, status }) =>
    (status as UpstreamStatus[]).map(upstream => ({
      server,
      ...upstream,
      linkedAccounts: linked.get(upstream.name) ?? 0,
    })),
  )
  if (json) return printJson(rows)
  if (rows.length === 0) {
    say('No running server has reported the state of its upstreams. Configured:')
    for (const { name, transport } of upstreams) print(`${name}\t${transport.type}`)
    return
  }
  print(['NAME', 'STATE', 'ERA', 'TOOLS', 'CONNECTIONS', 'RESTARTS', 'SERVER'].join('\t'))
  for (const row of rows) {
    const { name, state, era, tools, connections, restarts, server } = row
    print([name, state, era ?? '-', tools ?? '-', connections, restarts, server].join('\t'))
    if (row.linkedAccounts > 0) print(`  linked accounts: ${row.linkedAccounts}`)
    if (row.lastError) print(`  last error: ${printableText(row.lastError, 500)}`)
    if (row.blocked.length > 0)
      print(`  blocked until "upstream trust ${name}": ${row.blocked.map(tool => printableText(tool, 128)).join(', ')}`)
    if (row.lastError) for (const line of row.stderr) print(`  stderr: ${printableText(line, 500)}`)
  }
}

export function check(name: string | undefined, { json }: { json?: boolean }): Promise<void> {
  return withDeps(deps => tryEach(deps, name, json))
}

async function tryEach(deps: Deps, name: string | undefined, json: boolean | undefined): Promise<void> {
  const file = upstreamFile()
  for (const warning of readServers(file).warnings) say(warning)
  // The result contains what would be logged.
  const checked = await checkUpstreams({ ...deps, log: openLog('silent') }, file, subjectTokens(deps), name)
  if (name !== undefined && checked.length === 0) throw new UsageError(`There is no upstream ${name} in MCP_SERVERS`)
  if (json) printJson(checked)
  else for (const upstream of checked) print(describe(upstream))
  const wrong = checked.filter(({ problem }) => problem !== undefined)
  if (wrong.length > 0) throw new UsageError(`${wrong.length} of ${checked.length} upstreams cannot be used`)
}

function describe(checked: CheckedUpstream): string {
  const { name, problem, detail, stderr, era, tools, prompts, resources, auth } = checked
  if (auth !== undefined) return `${name}: ok (${auth})`
  if (problem === undefined)
    return `${name}: ok (${era ?? 'unknown era'}; ${tools} tools, ${prompts} prompts, ${resources} resources)`
  const lines = [`${name}: ${printableText(problem, 500)}`]
  if (detail) lines.push(`  ${printableText(detail, 500)}`)
  return [...lines, ...stderr.map(line => `  stderr: ${printableText(line, 500)}`)].join('\n')
}

export function trust(name: string): Promise<void> {
  return withDeps(deps => accept(deps, name))
}

async function accept(deps: Deps, name: string): Promise<void> {
  const accepted = await trustTools(deps.sql, name)
  if (accepted.length === 0)
    throw new UsageError(`No tool of ${name} is waiting to be accepted; see: mcp-oauth-server upstream list`)
  record(deps, 'upstream.trusted', { detail: { upstream: name, tools: accepted.length } })
  print(
    `Accepted ${accepted.length === 1 ? 'the tool' : 'the tools'} ${accepted.map(tool => printableText(tool, 128)).join(', ')}`,
  )
}
