/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Phrase, Snippet } from './components.tsx'
import { fill, type Texts } from './texts/index.ts'

export interface SetUp {
  baseUrl: string
  /** URL of the hub. */
  mcpUrl: string
  /** What the reader's apps call this server. */
  name: string
  /** How this program is run. */
  command: string
}

interface Client {
  title: string
  body: JSX.Element
}

/** How each app connects. */
export function clientsFor(setUp: SetUp, t: Texts): Client[] {
  return [...forTerminals(setUp, t), ...forEditors(setUp, t), ...forHosted(setUp, t), ...forOthers(setUp, t)]
}

const Command = ({ text }: { text: string }) => <code safe>{text}</code>

/** A command to run, and what comes next. */
const step = (id: string, text: string, t: Texts, next: JSX.Element): JSX.Element => (
  <>
    <Snippet id={id} text={text} t={t} />
    <p class="hint">{next as 'safe'}</p>
  </>
)

const forTerminals = ({ name, mcpUrl }: SetUp, t: Texts): Client[] => [
  {
    title: 'Claude Code',
    body: step(
      'claude-code',
      `claude mcp add --transport http ${name} ${mcpUrl}`,
      t,
      <Phrase text={t.thenType} command={<Command text="/mcp" />} app={<>Claude Code</>} />,
    ),
  },
  {
    title: 'Codex',
    body: step(
      'codex',
      `codex mcp add ${name} --url ${mcpUrl}`,
      t,
      <Phrase text={t.signsYouIn} command={<Command text={`codex mcp login ${name}`} />} />,
    ),
  },
  {
    title: 'Gemini CLI',
    body: step(
      'gemini',
      `gemini mcp add --transport http ${name} ${mcpUrl}`,
      t,
      <Phrase
        text={t.startThenType}
        program={<Command text="gemini" />}
        command={<Command text={`/mcp auth ${name}`} />}
      />,
    ),
  },
  {
    title: 'Qwen Code',
    body: step(
      'qwen',
      `qwen mcp add --transport http ${name} ${mcpUrl}`,
      t,
      <Phrase text={t.thenType} command={<Command text="/mcp" />} app={<>Qwen Code</>} />,
    ),
  },
  {
    title: 'opencode',
    body: step(
      'opencode',
      `opencode mcp add ${name} --url ${mcpUrl}`,
      t,
      <Phrase text={t.thenRun} command={<Command text={`opencode mcp auth ${name}`} />} />,
    ),
  },
  {
    title: 'mcporter',
    body: step(
      'mcporter',
      `npx mcporter config add ${name} ${mcpUrl}`,
      t,
      <Phrase text={t.thenRun} command={<Command text={`npx mcporter auth ${name}`} />} />,
    ),
  },
]

const forEditors = ({ name, mcpUrl }: SetUp, t: Texts): Client[] => [
  {
    title: 'Cursor',
    body: (
      <OneClick
        app="Cursor"
        href={cursorLink(name, mcpUrl)}
        file="~/.cursor/mcp.json"
        id="cursor"
        content={{ mcpServers: { [name]: { url: mcpUrl } } }}
        t={t}
      />
    ),
  },
  {
    title: 'VS Code',
    body: (
      <OneClick
        app="VS Code"
        href={vsCodeLink(name, mcpUrl)}
        file=".vscode/mcp.json"
        id="vscode"
        content={{ servers: { [name]: { type: 'http', url: mcpUrl } } }}
        t={t}
      />
    ),
  },
]

/** A link that an app opens, and the file that does the same. */
function OneClick(props: { app: string; href: string; file: string; id: string; content: unknown; t: Texts }) {
  const { app, href, file, id, content, t } = props
  return (
    <>
      <p>
        <a class="button" href={href} safe>
          {fill(t.addToApp, { app })}
        </a>
      </p>
      <p>
        <Phrase text={t.orPutInto} file={<Command text={file} />} />
      </p>
      <Snippet id={id} text={json(content)} t={t} />
    </>
  )
}

const forHosted = ({ mcpUrl }: SetUp, t: Texts): Client[] =>
  [
    { title: 'claude.ai, Claude Desktop', id: 'claude', place: 'Connectors → Add custom connector' },
    { title: 'ChatGPT', id: 'chatgpt', place: 'Connectors → Developer mode → Create → OAuth' },
  ].map(({ title, id, place }) => ({
    title,
    body: (
      <>
        <p>
          <Phrase text={t.inSettings} place={<b safe>{place}</b>} />
        </p>
        <Snippet id={id} text={mcpUrl} t={t} />
      </>
    ),
  }))

const forOthers = ({ name, mcpUrl, baseUrl, command }: SetUp, t: Texts): Client[] => [
  {
    title: 'MCP Inspector',
    body: (
      <>
        <Snippet id="inspector" text="npx @modelcontextprotocol/inspector" t={t} />
        <p>
          <Phrase text={t.inspectorSteps} place={<b>Add Servers → Add manually → streamable-http</b>} />
        </p>
        <Snippet id="inspector-address" text={mcpUrl} t={t} />
      </>
    ),
  },
  {
    title: t.fileApps,
    body: (
      <>
        <Snippet id="file" text={json({ mcpServers: { [name]: { type: 'http', url: mcpUrl } } })} t={t} />
        <p safe>{t.onlyPrograms}</p>
        <Snippet
          id="bridge"
          text={json({
            mcpServers: { [name]: { command: 'npx', args: ['-y', 'mcp-remote', mcpUrl, '--device-code'] } },
          })}
          t={t}
        />
        <p class="hint" safe>
          {t.linkInLog}
        </p>
      </>
    ),
  },
  {
    title: t.forScripts,
    body: step(
      'login',
      `${command} login ${baseUrl}`,
      t,
      <Phrase text={t.scriptsText} option={<Command text="--json" />} />,
    ),
  },
]

const cursorLink = (name: string, url: string) =>
  `cursor://anysphere.cursor-deeplink/mcp/install?name=${encodeURIComponent(name)}&config=${encodeURIComponent(btoa(JSON.stringify({ url })))}`

const vsCodeLink = (name: string, url: string) =>
  `vscode:mcp/install?${encodeURIComponent(JSON.stringify({ name, type: 'http', url }))}`

function json(value: unknown): string {
  return JSON.stringify(value, null, 2)
}
