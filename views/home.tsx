import { Html } from '@elysiajs/html'
import { Layout } from './layout.tsx'

export interface HomeProps {
  baseUrl: string
  /** URL of the hub. */
  mcpUrl: string
}

export function homePage({ baseUrl, mcpUrl }: HomeProps) {
  return (
    <Layout title="Connect" wide>
      <h1>This is an MCP server with a door</h1>
      <p>Apps connect to the address below. Each asks you first, and you can end it at any time.</p>
      <pre>
        <code safe>{mcpUrl}</code>
      </pre>
      <p class="links">
        <a href="/auth/device">Enter a device code</a>
        <a href="/account">Your connected apps</a>
      </p>
      <h2>From a terminal</h2>
      <pre>
        <code safe>{`mcp-oauth-server login ${baseUrl}`}</code>
      </pre>
      <h2>From a desktop app that starts its servers as commands</h2>
      <pre>
        <code safe>
          {JSON.stringify(
            { mcpServers: { hub: { command: 'npx', args: ['-y', 'mcp-remote', mcpUrl, '--device-code'] } } },
            null,
            2,
          )}
        </code>
      </pre>
      <p>It prints a link and a code; open the link on any device, a phone for instance.</p>
    </Layout>
  )
}
