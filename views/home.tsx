/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Layout, type Shell } from './layout.tsx'

export interface HomeProps {
  shell: Shell
  baseUrl: string
  /** URL of the hub. */
  mcpUrl: string
  /** The upstream servers that the reader may use one by one. */
  upstreams: { name: string; url: string }[]
  /** What the reader's apps call this server. */
  name: string
}

/** What this server is, and how each app connects to it. */
export function homePage(props: HomeProps) {
  const { shell, mcpUrl, upstreams } = props
  return (
    <Layout title="Connect your apps" shell={shell} wide>
      <h1>Connect your apps</h1>
      <p>
        This is an MCP server: apps that speak the Model Context Protocol connect to its address and use the tools
        behind it. Each app asks you first, and you can disconnect it at any time.
      </p>
      <Snippet id="address" text={mcpUrl} />
      <p class="links">
        {shell.viewer === undefined ? (
          <a class="button" href="/auth/signin?return_to=/">
            Sign in
          </a>
        ) : (
          <a class="button" href="/account">
            Your connected apps
          </a>
        )}
        {shell.viewer?.isAdmin ? (
          <a class="button" href="/admin">
            Administration
          </a>
        ) : (
          ''
        )}
        <a class="button" href="/auth/device">
          Enter a device code
        </a>
      </p>
      <h2>Set up your app</h2>
      <div class="steps">
        {clientsFor(props).map(({ title, body }, i) => (
          <details name="setup" open={i === 0}>
            <summary safe>{title}</summary>
            {body as 'safe'}
          </details>
        ))}
      </div>
      {upstreams.length === 0 ? (
        ''
      ) : (
        <>
          <h2>Single servers</h2>
          <p>
            The address above leads to all of these at once. To give an app only one of them, use its own address
            instead.
          </p>
          {upstreams.map(({ name, url }) => (
            <>
              <h3 safe>{name}</h3>
              <Snippet id={`server-${name}`} text={url} />
            </>
          ))}
        </>
      )}
    </Layout>
  )
}

interface Client {
  title: string
  body: JSX.Element
}

function clientsFor(props: HomeProps): Client[] {
  return [...forTerminals(props), ...forEditors(props), ...forTheWeb(props), ...forOthers(props)]
}

const forTerminals = ({ name, mcpUrl }: HomeProps): Client[] => [
  {
    title: 'Claude Code',
    body: (
      <>
        <Snippet id="claude-code" text={`claude mcp add --transport http ${name} ${mcpUrl}`} />
        <p class="hint">
          Then type <code>/mcp</code> in Claude Code to sign in.
        </p>
      </>
    ),
  },
  {
    title: 'Codex',
    body: (
      <>
        <Snippet id="codex" text={`codex mcp add ${name} --url ${mcpUrl}`} />
        <p class="hint">
          It signs you in. To sign in again later: <code safe>{`codex mcp login ${name}`}</code>
        </p>
      </>
    ),
  },
  {
    title: 'Gemini CLI',
    body: (
      <>
        <Snippet id="gemini" text={`gemini mcp add --transport http ${name} ${mcpUrl}`} />
        <p class="hint">
          Then start <code>gemini</code> in the same directory and type <code safe>{`/mcp auth ${name}`}</code>
        </p>
      </>
    ),
  },
]

const forEditors = ({ name, mcpUrl }: HomeProps): Client[] => [
  {
    title: 'Cursor',
    body: (
      <>
        <p>
          <a class="button" href={cursorLink(name, mcpUrl)}>
            Add to Cursor
          </a>
        </p>
        <p>
          Or put this into <code>~/.cursor/mcp.json</code>:
        </p>
        <Snippet id="cursor" text={json({ mcpServers: { [name]: { url: mcpUrl } } })} />
      </>
    ),
  },
  {
    title: 'VS Code',
    body: (
      <>
        <p>
          <a class="button" href={vsCodeLink(name, mcpUrl)}>
            Add to VS Code
          </a>
        </p>
        <p>
          Or put this into <code>.vscode/mcp.json</code>:
        </p>
        <Snippet id="vscode" text={json({ servers: { [name]: { type: 'http', url: mcpUrl } } })} />
      </>
    ),
  },
]

const forTheWeb = ({ mcpUrl }: HomeProps): Client[] => [
  {
    title: 'Claude and ChatGPT on the web',
    body: (
      <>
        <p>
          In the settings, add a custom connector with this address. The server must be reachable from the internet.
        </p>
        <Snippet id="web" text={mcpUrl} />
      </>
    ),
  },
]

const forOthers = ({ name, mcpUrl, baseUrl }: HomeProps): Client[] => [
  {
    title: 'Apps with an mcpServers file',
    body: (
      <>
        <Snippet id="file" text={json({ mcpServers: { [name]: { type: 'http', url: mcpUrl } } })} />
        <p>If the app can only start programs, this one connects for it:</p>
        <Snippet
          id="bridge"
          text={json({
            mcpServers: { [name]: { command: 'npx', args: ['-y', 'mcp-remote', mcpUrl, '--device-code'] } },
          })}
        />
        <p class="hint">It writes a link to the app’s log. Open the link on any device, such as your phone.</p>
      </>
    ),
  },
  {
    title: 'A script, or a machine without a browser',
    body: (
      <>
        <Snippet id="login" text={`mcp-oauth-server login ${baseUrl}`} />
        <p class="hint">
          It prints a link and a code to open on another device. With <code>--json</code> it prints the tokens.
        </p>
      </>
    ),
  },
]

const cursorLink = (name: string, url: string) =>
  `cursor://anysphere.cursor-deeplink/mcp/install?name=${encodeURIComponent(name)}&config=${encodeURIComponent(btoa(JSON.stringify({ url })))}`

const vsCodeLink = (name: string, url: string) =>
  `vscode:mcp/install?${encodeURIComponent(JSON.stringify({ name, type: 'http', url }))}`

/** With a button that `page.js` shows. */
function Snippet({ id, text }: { id: string; text: string }) {
  return (
    <div class="snippet">
      <pre>
        <code id={id} safe>
          {text}
        </code>
      </pre>
      <button class="small" type="button" data-copy={id} data-copied="Copied" hidden>
        Copy
      </button>
    </div>
  )
}

function json(value: unknown): string {
  return JSON.stringify(value, null, 2)
}
