/** Uses an MCP server as a client: lists its tools, and calls one. Strips control characters from everything that it prints. */
import { readFileSync } from 'node:fs'
import {
  type AuthProvider,
  type CallToolResult,
  Client,
  type FetchLike,
  InsufficientScopeError,
  StreamableHTTPClientTransport,
  type Tool,
} from '@modelcontextprotocol/client'
import { z } from 'zod'
import packageJson from '../../package.json' with { type: 'json' }
import { UsageError } from '../lib/errors.ts'
import { printableText } from '../lib/text.ts'
import { counted, print, say } from './terminal.ts'

/** JSON in ASCII, so that text from another server cannot contain control or invisible characters. */
export const asciiJson = (value: unknown) =>
  JSON.stringify(value, null, 2).replace(
    /[\u007f-\uffff]/g,
    char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/** How to reach an MCP server. */
export interface Endpoint {
  url: string
  authProvider: AuthProvider
  fetch: FetchLike
}

/** What to do there. */
export interface Use {
  action: 'tools' | 'call' | undefined
  tool: string | undefined
  /** Each `NAME=VALUE`. */
  arg: readonly string[]
  /** A file with a JSON object, `-` for standard input. */
  args: string | undefined
  json: boolean
}

/** @throws UsageError if the server does not answer, or if the tool reports an error. */
export async function useServer(endpoint: Endpoint, use: Use): Promise<void> {
  const client = new Client(
    { name: packageJson.name, version: packageJson.version },
    { versionNegotiation: { mode: 'auto' } },
  )
  try {
    await client.connect(new StreamableHTTPClientTransport(new URL(endpoint.url), endpoint))
    const { tools } = await client.listTools()
    if (use.action === undefined) await showServer(client, tools)
    else if (use.action === 'tools') await printTools(client, tools, use.json)
    else await callTool(client, tools, use)
  } catch (error) {
    if (error instanceof UsageError) throw error
    if (!(error instanceof InsufficientScopeError)) {
      const why = printableText((error as Error).message, 200)
      throw new UsageError(`Signed in, but ${endpoint.url} does not answer as an MCP server: ${why}`)
    }
    const scope = printableText(error.requiredScope ?? '', 500)
    const missing = `The token lacks a scope that this server requires${scope ? `: ${scope}` : ''}.`
    if (use.action !== undefined) throw new UsageError(missing)
    say(missing)
  } finally {
    await client.close()
  }
}

const summaryOf = ({ title, description }: Tool) =>
  printableText((title ?? description ?? '').split('\n')[0] ?? '', 200)

/** Lists the tools, and calls `whoami` if the server has it. */
async function showServer(client: Client, tools: readonly Tool[]): Promise<void> {
  say(`${counted(tools.length, 'tool')}:`)
  for (const tool of tools) say(`  ${printableText(tool.name, 128)}  ${summaryOf(tool)}`)
  const result = await askWhoAmI(client, tools)
  if (!result) return
  for (const reason of reasonsIn(result)) say(`  There may be more: ${reason}.`)
  say(`\nwhoami: ${asciiJson(result.structuredContent ?? result.content)}`)
}

async function askWhoAmI(client: Client, tools: readonly Tool[]): Promise<CallToolResult | undefined> {
  if (!tools.some(tool => tool.name === 'whoami')) return undefined
  return client.callTool({ name: 'whoami', arguments: {} })
}

const whoAmISchema = z.object({ unavailable_servers: z.array(z.object({ reason: z.string() })).default([]) })

/** Why the list may lack tools, as servers of this program say it: one behind them is still starting, or away. */
function reasonsIn(whoAmI: CallToolResult): string[] {
  const { data } = whoAmISchema.safeParse(whoAmI.structuredContent)
  return (data?.unavailable_servers ?? []).map(({ reason }) => printableText(reason, 200))
}

/** As {@link reasonsIn}; nothing if the token may only list tools. */
async function missingServers(client: Client, tools: readonly Tool[]): Promise<string[]> {
  const whoAmI = await askWhoAmI(client, tools).catch(() => undefined)
  return whoAmI ? reasonsIn(whoAmI) : []
}

async function printTools(client: Client, tools: readonly Tool[], json: boolean): Promise<void> {
  if (json) print(asciiJson(tools))
  else for (const tool of tools) print(`${printableText(tool.name, 128)}\t${summaryOf(tool)}`)
  for (const reason of await missingServers(client, tools)) say(`There may be more: ${reason}.`)
}

async function callTool(client: Client, tools: readonly Tool[], { tool: name = '', arg, args, json }: Use) {
  const tool = tools.find(one => one.name === name)
  if (!tool) {
    const reasons = (await missingServers(client, tools)).map(reason => ` ${reason}.`)
    throw new UsageError(
      `There is no tool ${name}; there are: ${tools.map(one => printableText(one.name, 128)).join(', ')}.${reasons.join('')}`,
    )
  }
  const given = { ...(args === undefined ? {} : readArguments(args)), ...parseArguments(tool, arg) }
  const result = await client.callTool({ name, arguments: given })
  if (json) print(asciiJson(result))
  else for (const part of result.content) print(part.type === 'text' ? outputText(part.text) : asciiJson(part))
  if (result.isError) throw new UsageError(`The tool ${name} reports an error`)
}

const objectSchema = z.record(z.string(), z.unknown())

function readArguments(file: string): Record<string, unknown> {
  try {
    return objectSchema.parse(JSON.parse(readFileSync(file === '-' ? 0 : file, 'utf8')))
  } catch (error) {
    const why = (error as { code?: string }).code ?? 'it is not a JSON object'
    throw new UsageError(`The arguments in ${file} cannot be read (${why})`)
  }
}

/** Values are JSON, unless the tool wants a string or the value is not JSON. */
function parseArguments(tool: Tool, pairs: readonly string[]): Record<string, unknown> {
  const properties = (tool.inputSchema.properties ?? {}) as Record<string, { type?: unknown } | undefined>
  return Object.fromEntries(
    pairs.map(pair => {
      const [, name, value] = /^([^=]+)=(.*)$/s.exec(pair) ?? []
      if (name === undefined || value === undefined) throw new UsageError(`--arg ${pair} must be NAME=VALUE`)
      return [name, properties[name]?.type === 'string' ? value : jsonOrText(value)]
    }),
  )
}

function jsonOrText(value: string): unknown {
  try {
    return JSON.parse(value)
  } catch {
    return value
  }
}

/** As it is in a pipe; a terminal gets no control characters. */
function outputText(text: string): string {
  return process.stdout.isTTY ? text.replace(/[^\P{C}\n\t]/gu, '') : text
}
