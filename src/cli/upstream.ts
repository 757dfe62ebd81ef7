import type { ToolChange } from '../../views/admin/tool-changes.tsx'
import { changesOf } from '../admin/tool-changes.ts'
import type { Deps } from '../deps.ts'
import { type CheckedUpstream, checkUpstreams } from '../gateway/check.ts'
import { readServers } from '../gateway/config.ts'
import { acceptTools, listStates, restartUpstream, type StoredStatus } from '../gateway/operating.ts'
import { UsageError } from '../lib/errors.ts'
import { openLog } from '../lib/log.ts'
import { printableText } from '../lib/text.ts'
import { subjectTokens } from '../oauth/subject-tokens.ts'
import { upstreamFile, withDeps } from './environment.ts'
import { counted, inSnakeCase, print, printJson, printTable, say } from './terminal.ts'

export function list({ json }: { json?: boolean }): Promise<void> {
  return withDeps(deps => showStates(deps, json))
}

async function showStates(deps: Deps, json: boolean | undefined): Promise<void> {
  const { upstreams } = readServers(upstreamFile())
  const rows = await listStates(deps)
  if (json) return printJson(rows.map(inSnakeCase))
  if (rows.length === 0) {
    say('No running server has reported the state of its upstreams. Configured:')
    for (const { name, transport } of upstreams) print(`${name}\t${transport.type}`)
    return
  }
  const columns = ['name', 'state', 'era', 'tools', 'connections', 'restarts', 'linked', 'server'] as const
  const cells = rows.map(row => [
    ...[row.name, row.state, row.era ?? null, row.tools ?? null, row.connections, row.restarts],
    ...[row.linkedAccounts, row.server],
  ])
  await printTable({ columns, rows: cells }, deps.now())
  for (const row of rows) sayTroubles(row)
}

function sayTroubles({ name, lastError, blocked, stderr }: StoredStatus): void {
  if (blocked.length > 0)
    say(`${name}: blocked until "upstream trust ${name}": ${blocked.map(tool => printableText(tool, 128)).join(', ')}`)
  if (!lastError) return
  say(`${name}: last error: ${printableText(lastError, 500)}`)
  for (const line of stderr) say(`  stderr: ${printableText(line, 500)}`)
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
  if (wrong.length > 0) throw new UsageError(`${wrong.length} of ${counted(checked.length, 'upstream')} cannot be used`)
}

function describe(checked: CheckedUpstream): string {
  const { name, problem, detail, stderr, era, tools, prompts, resources, auth } = checked
  if (auth !== undefined) return `${name}: ok (${auth})`
  if (problem === undefined) {
    const offers = [counted(tools ?? 0, 'tool'), counted(prompts ?? 0, 'prompt'), counted(resources ?? 0, 'resource')]
    return `${name}: ok (${era ?? 'unknown era'}; ${offers.join(', ')})`
  }
  const lines = [`${name}: ${printableText(problem, 500)}`]
  if (detail) lines.push(`  ${printableText(detail, 500)}`)
  return [...lines, ...stderr.map(line => `  stderr: ${printableText(line, 500)}`)].join('\n')
}

const MOST_CHANGES = 100

/** What waits to be accepted, beside what was accepted before. */
export function changes(name: string, { json }: { json?: boolean }): Promise<void> {
  return withDeps(async deps => {
    const found = await changesOf(deps, name, MOST_CHANGES)
    if (json) return printJson(found.map(described))
    if (found.length === 0) throw nothingWaits(name)
    for (const change of found) printChange(change)
    say(`To accept ${found.length === 1 ? 'it' : 'them'}: mcp-oauth-server upstream trust ${name}`)
  })
}

const textOf = (pieces: readonly { text: string }[]) => pieces.map(({ text }) => text).join('')

/** The stable form for programs. */
function described({ name, people, fields }: ToolChange) {
  const texts = fields.map(({ field, before, after }) => ({
    field: field.toLowerCase(),
    before: textOf(before),
    after: textOf(after),
  }))
  return { tool: name, offered_to: people, changes: texts }
}

function printChange({ name, people, fields, isKnown }: ToolChange): void {
  const unknown = isKnown ? '' : '; what was accepted before is not stored'
  print(`${name}, offered to ${counted(people, 'caller')}${unknown}`)
  for (const { field, before, after, isCut } of fields) {
    print(`  ${field}${isCut ? ' (only its beginning)' : ''}`)
    for (const [sign, text] of [
      ['-', textOf(before)],
      ['+', textOf(after)],
    ] as const)
      for (const line of text === '' ? [] : text.split('\n')) print(`  ${sign} ${line}`)
  }
}

const nothingWaits = (name: string) =>
  new UsageError(`No tool of ${name} is waiting to be accepted; see: mcp-oauth-server upstream list`)

export function trust(name: string): Promise<void> {
  return withDeps(deps => accept(deps, name))
}

async function accept(deps: Deps, name: string): Promise<void> {
  const { tools } = await acceptTools(deps, name)
  if (tools.length === 0) throw nothingWaits(name)
  print(
    `Accepted ${tools.length === 1 ? 'the tool' : 'the tools'} ${tools.map(tool => printableText(tool, 128)).join(', ')}`,
  )
}

export function restart(name: string): Promise<void> {
  if (!readServers(upstreamFile()).upstreams.some(upstream => upstream.name === name))
    throw new UsageError(`There is no upstream ${name} in MCP_SERVERS`)
  return withDeps(async deps => {
    const servers = new Set((await listStates(deps)).map(({ server }) => server)).size
    if (servers === 0) throw new UsageError('No running server has reported the state of its upstreams')
    await restartUpstream(deps, name)
    print(`Told ${servers === 1 ? 'the running server' : `${servers} running servers`} to restart ${name}.`)
  })
}
