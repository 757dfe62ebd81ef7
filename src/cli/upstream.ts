import { listUpstreamStatus } from '../../sql/upstream-status.ts'
import { trustTools } from '../../sql/upstreams.ts'
import { record } from '../audit/events.ts'
import { type Deps, fileSource } from '../deps.ts'
import { type CheckedUpstream, checkUpstreams } from '../gateway/check.ts'
import { readServers } from '../gateway/config.ts'
import type { UpstreamStatus } from '../gateway/exchange.ts'
import { UsageError } from '../lib/errors.ts'
import { openLog } from '../lib/log.ts'
import { printableText } from '../lib/text.ts'
import { environment, readArgs, readConfig, withDeps } from './environment.ts'

const USAGE = 'Usage: mcp-oauth-server upstream list [--json] | check [NAME] [--json] | trust NAME'
/** Every server stores the state of its upstreams at least every 30 s; older rows are of servers that have stopped. */
const FRESH_MS = 60_000

export async function run(args: string[]): Promise<void> {
  const { values, positionals } = readArgs(args, { json: { type: 'boolean', default: false } })
  const [action, name, ...more] = positionals
  const json = values.json === true
  if (more.length > 0) throw new UsageError(USAGE)
  if (action === 'list' && !name) return withDeps(deps => list(deps, json))
  if (action === 'check') return withDeps(deps => check(deps, name, json))
  if (action === 'trust' && name) return withDeps(deps => trust(deps, name))
  throw new UsageError(USAGE)
}

function configuredFile() {
  const { MCP_SERVERS } = readConfig()
  if (!MCP_SERVERS) throw new UsageError('MCP_SERVERS is not set, so there are no upstream servers')
  return fileSource(MCP_SERVERS, environment())
}

async function list(deps: Deps, json: boolean): Promise<void> {
  const { upstreams } = readServers(configuredFile())
  const since = new Date(deps.now().getTime() - FRESH_MS)
  const servers = await listUpstreamStatus(deps.sql, since)
  const rows = servers.flatMap(({ server, status }) =>
    (status as UpstreamStatus[]).map(upstream => ({ server, ...upstream })),
  )
  if (json) return console.log(JSON.stringify(rows, null, 2))
  if (rows.length === 0) {
    console.error('No running server has reported the state of its upstreams. Configured:')
    for (const { name, transport } of upstreams) console.log(`${name}\t${transport.type}`)
    return
  }
  console.log(['NAME', 'STATE', 'ERA', 'TOOLS', 'CONNECTIONS', 'RESTARTS', 'SERVER'].join('\t'))
  for (const row of rows) {
    const { name, state, era, tools, connections, restarts, server } = row
    console.log([name, state, era ?? '-', tools ?? '-', connections, restarts, server].join('\t'))
    if (row.lastError) console.log(`  last error: ${printableText(row.lastError, 500)}`)
    if (row.blocked.length > 0)
      console.log(
        `  blocked until "upstream trust ${name}": ${row.blocked.map(tool => printableText(tool, 128)).join(', ')}`,
      )
    if (row.lastError) for (const line of row.stderr) console.log(`  stderr: ${printableText(line, 500)}`)
  }
}

async function check(deps: Deps, name: string | undefined, json: boolean): Promise<void> {
  const file = configuredFile()
  for (const warning of readServers(file).warnings) console.error(warning)
  // The result contains what would be logged.
  const checked = await checkUpstreams({ ...deps, log: openLog('silent') }, file, name)
  if (name !== undefined && checked.length === 0) throw new UsageError(`There is no upstream ${name} in MCP_SERVERS`)
  if (json) console.log(JSON.stringify(checked, null, 2))
  else for (const upstream of checked) console.log(describe(upstream))
  const wrong = checked.filter(({ problem }) => problem !== undefined)
  if (wrong.length > 0) throw new UsageError(`${wrong.length} of ${checked.length} upstreams cannot be used`)
}

function describe({ name, problem, detail, stderr, era, tools, prompts, resources }: CheckedUpstream): string {
  if (problem === undefined)
    return `${name}: ok (${era ?? 'unknown era'}; ${tools} tools, ${prompts} prompts, ${resources} resources)`
  const lines = [`${name}: ${printableText(problem, 500)}`]
  if (detail) lines.push(`  ${printableText(detail, 500)}`)
  return [...lines, ...stderr.map(line => `  stderr: ${printableText(line, 500)}`)].join('\n')
}

async function trust(deps: Deps, name: string): Promise<void> {
  const accepted = await trustTools(deps.sql, name)
  if (accepted.length === 0)
    throw new UsageError(`No tool of ${name} is waiting to be accepted; see: mcp-oauth-server upstream list`)
  record(deps, 'upstream.trusted', { detail: { upstream: name, tools: accepted.length } })
  console.log(
    `Accepted ${accepted.length === 1 ? 'the tool' : 'the tools'} ${accepted.map(tool => printableText(tool, 128)).join(', ')}`,
  )
}
