/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Csrf, Time, Warning } from '../components.tsx'
import { type AdminFrame, AdminPage, ConfirmForm } from './frame.tsx'
import { type ToolChange, ToolChanges } from './tool-changes.tsx'
import { offers, Scope, type State, StateBadge, type UpstreamView } from './upstreams.tsx'

export interface UpstreamProps {
  frame: AdminFrame
  upstream: UpstreamView & {
    inFlight: number
    waiting: number
    restarts: number
    /** When the next attempt is allowed. */
    retryAt: string | undefined
    linkedAccounts: number
  }
  /** The policy as it is applied: what, and how, in words. */
  policy: readonly [what: string, how: string][]
  processes: readonly { pid: number; who: string; startedAt: string; usedAt: string }[]
  /** The last lines of standard error. */
  stderr: readonly string[]
  changes: readonly ToolChange[]
  moreChanges: boolean
  server: string
  /** How it is in the other servers that run. */
  elsewhere: readonly { server: string; state: State; connections: number; lastError: string | undefined }[]
  /** What a check has just found; undefined: none was asked for. */
  checked: { works: boolean; words: string; detail: string | undefined; stderr: readonly string[] } | undefined
}

export function upstreamPage(props: UpstreamProps) {
  const { frame, upstream, policy, processes, stderr, changes, moreChanges, server, elsewhere, checked } = props
  const { name, lastError, retryAt } = upstream
  return (
    <AdminPage frame={frame} title={name} guarded={changes.length > 0}>
      {checked ? <Checked {...checked} /> : ''}
      <section class="card">
        <p>
          <StateBadge state={upstream.state} />
        </p>
        {lastError === undefined ? (
          ''
        ) : (
          <>
            <p class="hint">Its last error, in its own words or the system’s:</p>
            <blockquote safe>{lastError}</blockquote>
          </>
        )}
        {retryAt === undefined ? (
          ''
        ) : (
          <p>
            Its calls fail at once. The next attempt is allowed <Time iso={retryAt} />.
          </p>
        )}
        <Facts facts={factsOf(upstream)} />
        <div class="buttons">
          <form method="post" action="/admin/upstreams/check">
            <Csrf token={frame.csrf} />
            <input type="hidden" name="name" value={name} />
            <button class="small" type="submit">
              Check
            </button>
          </form>
          <ConfirmForm
            action="/admin/upstreams/restart"
            csrf={frame.csrf}
            fields={{ name }}
            label="Restart"
            about={name}
            consequence={`Its processes and connections end on every server, with the calls in flight. Failures are forgotten, and the next call starts it anew.`}
          />
        </div>
      </section>
      {changes.length > 0 ? <ToolChanges upstream={name} changes={changes} more={moreChanges} csrf={frame.csrf} /> : ''}
      <h2>Policy</h2>
      <section class="card">
        <Facts facts={policy} />
      </section>
      {upstream.transport === 'stdio' ? <Processes processes={processes} /> : ''}
      {elsewhere.length > 0 ? <h2>Other servers</h2> : ''}
      {elsewhere.length > 0 ? (
        <ul class="list card">
          {elsewhere.map(({ server, state, connections, lastError }) => (
            <li>
              <b safe>{server}</b> <StateBadge state={state} />
              <small safe>{connections === 1 ? '1 connection' : `${connections} connections`}</small>
              {lastError === undefined ? (
                ''
              ) : (
                <small class="failed">
                  <q safe>{lastError}</q>
                </small>
              )}
            </li>
          ))}
        </ul>
      ) : (
        ''
      )}
      <Scope server={server} others={elsewhere.length} />
      {stderr.length > 0 ? (
        <>
          <h2>Last lines of standard error</h2>
          <pre class="quoted">
            <code safe>{stderr.join('\n')}</code>
          </pre>
        </>
      ) : (
        ''
      )}
    </AdminPage>
  )
}

function factsOf(upstream: UpstreamProps['upstream']): [string, string][] {
  const { transport, reached, era, connections, inFlight, waiting, restarts, linkedAccounts } = upstream
  const calls = [
    inFlight === 0 ? '' : inFlight === 1 ? '1 call in flight' : `${inFlight} calls in flight`,
    waiting > 0 ? `${waiting} waiting` : '',
  ]
  const facts: [string, string][] = [
    [transport === 'stdio' ? 'Command' : 'Host', reached],
    ['Speaks', era === undefined ? 'not known yet' : `MCP ${era}`],
    ['Offers', offers(upstream) || 'not known, or different for each person'],
    ['Connections', [String(connections), ...calls].filter(Boolean).join(', ')],
    ['Ended by itself', restarts === 0 ? 'never' : restarts === 1 ? 'once' : `${restarts} times`],
  ]
  return linkedAccounts > 0 ? [...facts, ['Linked accounts', String(linkedAccounts)]] : facts
}

function Facts({ facts }: { facts: readonly [what: string, how: string][] }) {
  return (
    <dl class="facts">
      {facts.map(([what, how]) => (
        <>
          <dt safe>{what}</dt>
          <dd safe>{how}</dd>
        </>
      ))}
    </dl>
  )
}

function Processes({ processes }: Pick<UpstreamProps, 'processes'>) {
  return (
    <>
      <h2>Processes</h2>
      {processes.length === 0 ? (
        <p class="card">None runs here now.</p>
      ) : (
        <ul class="list card">
          {processes.map(({ pid, who, startedAt, usedAt }) => (
            <li>
              <b safe>{who}</b>{' '}
              <small>
                <span safe>{`Process ${pid}, started `}</span>
                <Time iso={startedAt} />, last used <Time iso={usedAt} />
              </small>
            </li>
          ))}
        </ul>
      )}
    </>
  )
}

function Checked({ works, words, detail, stderr }: NonNullable<UpstreamProps['checked']>) {
  return (
    <div role="status">
      {works ? (
        <p class="note good">
          <span safe>{words}</span>
        </p>
      ) : (
        <Warning text={words} />
      )}
      {detail === undefined ? '' : <blockquote safe>{detail}</blockquote>}
      {stderr.length === 0 ? (
        ''
      ) : (
        <pre class="quoted">
          <code safe>{stderr.join('\n')}</code>
        </pre>
      )}
    </div>
  )
}
