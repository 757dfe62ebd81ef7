/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { type AdminFrame, AdminPage } from './frame.tsx'

export const STATES = {
  ready: ['good', 'connected'],
  starting: ['calm', 'starting'],
  idle: ['calm', 'not in use'],
  away: ['warn', 'failed lately'],
  open_circuit: ['bad', 'paused after failures'],
} as const
export type State = keyof typeof STATES

export interface UpstreamView {
  name: string
  state: State
  /** Such as `2026-07-28`; undefined until it has been connected. */
  era: string | undefined
  transport: 'stdio' | 'http'
  /** The command, or the host. */
  reached: string
  /** Undefined where it is not known, or differs from person to person. */
  tools: number | undefined
  prompts: number | undefined
  resources: number | undefined
  connections: number
  lastError: string | undefined
  /** Tools that wait to be accepted. */
  changed: number
}

export interface UpstreamsProps {
  frame: AdminFrame
  /** Undefined if none are configured. */
  upstreams: readonly UpstreamView[] | undefined
  /** This server process. */
  server: string
  /** How many other servers run. */
  others: number
}

export function upstreamsPage({ frame, upstreams, server, others }: UpstreamsProps) {
  return (
    <AdminPage frame={frame}>
      {upstreams === undefined || upstreams.length === 0 ? (
        <p class="card">
          No MCP servers are behind this one. <code>MCP_SERVERS</code> names a file that lists them, as desktop clients
          have it; this page then shows how they are.
        </p>
      ) : (
        <>
          <ul class="list card">
            {upstreams.map(upstream => (
              <UpstreamRow upstream={upstream} />
            ))}
          </ul>
          <Scope server={server} others={others} />
        </>
      )}
    </AdminPage>
  )
}

function UpstreamRow({ upstream }: { upstream: UpstreamView }) {
  const { name, era, transport, reached, connections, lastError, changed } = upstream
  return (
    <li>
      <div>
        <a class="name" href={`/admin/upstreams?name=${encodeURIComponent(name)}`} safe>
          {name}
        </a>{' '}
        <StateBadge state={upstream.state} />{' '}
        {changed > 0 ? (
          <span class="badge warn" safe>
            {changed === 1 ? 'one changed tool' : `${changed} changed tools`}
          </span>
        ) : (
          ''
        )}
      </div>
      <small safe>
        {[
          transport === 'stdio' ? `process ${reached}` : reached,
          era === undefined ? '' : `MCP ${era}`,
          offers(upstream),
          connections === 0 ? '' : connections === 1 ? '1 connection' : `${connections} connections`,
        ]
          .filter(Boolean)
          .join(' · ')}
      </small>
      {lastError === undefined ? (
        ''
      ) : (
        <small class="failed">
          <q safe>{lastError}</q>
        </small>
      )}
    </li>
  )
}

export function StateBadge({ state }: { state: State }) {
  const [kind, words] = STATES[state]
  return <span class={`badge ${kind}`}>{words}</span>
}

/** What it offers, in words. */
export function offers({ tools, prompts, resources }: Pick<UpstreamView, 'tools' | 'prompts' | 'resources'>): string {
  const counts = Object.entries({ tool: tools, prompt: prompts, resource: resources })
  return counts.flatMap(([what, count]) => (count ? [`${count} ${what}${count === 1 ? '' : 's'}`] : [])).join(', ')
}

/** Which server this is about. */
export function Scope({ server, others }: { server: string; others: number }) {
  return (
    <p class="hint" safe>
      {others === 0
        ? `State and processes are those of this server, ${server}.`
        : `State and processes are those of the server that answered, ${server}; ${others === 1 ? 'another one runs' : `${others} others run`} with their own. Changed tools are the same for all.`}
    </p>
  )
}
