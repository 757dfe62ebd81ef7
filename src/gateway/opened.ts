/** The tools of upstream servers that a token would open, for the pages on which somebody decides about it. */
import { printableText } from '../lib/text.ts'
import type { Gateway, GatewayCaller } from './exchange.ts'
import { isObject } from './messages.ts'
import { CLIENT_CAPABILITIES, CLIENT_INFO, MODERN, PROTOCOL_VERSION } from './protocol.ts'

export interface OpenedServer {
  name: string
  /** Undefined if the server did not answer. */
  tools: Tool[] | undefined
}

interface Tool {
  name: string
  destructive: boolean
}

/** A page does not wait longer for a server. */
const WAIT_MS = 1_000
const CLIENT = { name: 'mcp-oauth-server', version: '1' }

/** @param endpoint Undefined: all servers that the caller may use. @returns servers with tools, destructive ones first, and servers that did not answer in time. */
export async function openedTools(
  gateway: Gateway,
  endpoint: string | undefined,
  caller: GatewayCaller,
): Promise<OpenedServer[]> {
  const names = endpoint === undefined ? gateway.endpoints().map(({ name }) => name) : [endpoint]
  const servers = await Promise.all(
    names
      .filter(name => gateway.mayUse(name, caller))
      .map(async name => ({ name, tools: await toolsOf(gateway, name, caller).catch(() => undefined) })),
  )
  return servers.filter(({ tools }) => tools?.length !== 0)
}

async function toolsOf(gateway: Gateway, name: string, caller: GatewayCaller): Promise<Tool[]> {
  const signal = AbortSignal.timeout(WAIT_MS)
  const given = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  const _meta = { [PROTOCOL_VERSION]: MODERN, [CLIENT_INFO]: CLIENT, [CLIENT_CAPABILITIES]: {} }
  const listing = gateway.request(name, {
    caller,
    era: '2026',
    revision: MODERN,
    method: 'tools/list',
    params: { _meta },
    clientInfo: CLIENT,
    capabilities: {},
    signal,
    notify() {},
  })
  const { tools } = await Promise.race([listing, given])
  return (Array.isArray(tools) ? tools : [])
    .filter(isObject)
    .map(({ name, annotations }) => ({
      name: printableText(String(name), 80),
      destructive: isObject(annotations) && annotations.destructiveHint === true,
    }))
    .toSorted((a, b) => Number(b.destructive) - Number(a.destructive))
}
