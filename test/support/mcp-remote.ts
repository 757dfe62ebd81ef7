/** mcp-remote, the bridge of desktop clients, unmodified and in a process of its own, as such a client starts it. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'

/** What it needs to run; undefined where it is not installed. */
export const node = Bun.which('node')

/**
 * Starts it and connects over its standard input and output. `link` is what it prints for the person.
 *
 * @param home Where it keeps its state.
 */
export function startBridge(url: string, home: string, args: string[], env: Record<string, string> = {}) {
  const transport = new StdioClientTransport({
    command: node!,
    args: ['node_modules/mcp-remote/dist/proxy.js', url, ...args],
    env: { PATH: process.env.PATH ?? '', HOME: home, MCP_REMOTE_CONFIG_DIR: home, ...env },
    stderr: 'pipe',
  })
  const client = new Client({ name: 'desktop', version: '1.0.0' })
  let log = ''
  const { promise: link, resolve } = Promise.withResolvers<string>()
  transport.stderr!.on('data', chunk => {
    log += chunk
    const match = /http\S+\/auth\/device\?code=[A-Z]{4}-[A-Z]{4}(?=\s)/.exec(log)
    if (match) resolve(match[0])
  })
  async function connect(): Promise<void> {
    try {
      await client.connect(transport)
    } catch (error) {
      throw new Error(`mcp-remote could not connect: ${log}`, { cause: error })
    }
  }
  return { client, connect, link }
}
