/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Layout, type Shell } from './layout.tsx'

export interface HomeProps {
  shell: Shell
  baseUrl: string
  /** URL of the hub. */
  mcpUrl: string
}

export function homePage({ shell, baseUrl, mcpUrl }: HomeProps) {
  return (
    <Layout title="Connect" shell={shell} wide>
      <h1>Connect your apps</h1>
      <p>
        This is an MCP server. Apps that speak the Model Context Protocol connect to the address below. Each app asks
        you first, and you can disconnect it at any time.
      </p>
      <Snippet text={mcpUrl} />
      <p class="links">
        <a class="button" href="/auth/device">
          Enter a device code
        </a>
        <a class="button" href="/account">
          Your connected apps
        </a>
      </p>

      <h2>Claude Code</h2>
      <Snippet text={`claude mcp add --transport http hub ${mcpUrl}`} />
      <p class="hint">
        Then type <code>/mcp</code> in Claude Code to sign in.
      </p>

      <h2>Cursor and other apps that read mcpServers</h2>
      <Snippet text={json({ mcpServers: { hub: { url: mcpUrl } } })} />

      <h2>VS Code</h2>
      <p>
        In <code>.vscode/mcp.json</code>, or with the command “MCP: Add Server”:
      </p>
      <Snippet text={json({ servers: { hub: { type: 'http', url: mcpUrl } } })} />

      <h2>Claude and ChatGPT on the web</h2>
      <p>Add a custom connector with the address above. The server must be reachable from the internet.</p>

      <h2>Desktop apps that start MCP servers as commands</h2>
      <Snippet
        text={json({ mcpServers: { hub: { command: 'npx', args: ['-y', 'mcp-remote', mcpUrl, '--device-code'] } } })}
      />
      <p class="hint">It writes a link to the app’s log. Open the link on any device, such as your phone.</p>

      <h2>A terminal, a script or a machine without a browser</h2>
      <Snippet text={`mcp-oauth-server login ${baseUrl}`} />
      <p class="hint">
        It prints a link and a code to open on another device. With <code>--json</code> it prints the tokens.
      </p>
    </Layout>
  )
}

function Snippet({ text }: { text: string }) {
  return (
    <pre>
      <code safe>{text}</code>
    </pre>
  )
}

function json(value: unknown): string {
  return JSON.stringify(value, null, 2)
}
