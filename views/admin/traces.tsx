/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Time } from '../components.tsx'
import { Icon } from '../icons.tsx'
import { type AdminFrame, AdminPage, Next } from './frame.tsx'

export interface AttemptView {
  /** The address of its page. */
  href: string
  /** The client's name or id, or its program. */
  client: string
  clientId: string | null
  program: string
  networks: string
  at: string
  outcome: 'connected' | 'stopped' | 'waiting'
  /** The step at which it stopped. */
  stoppedAt: string | undefined
}

export interface TracesProps {
  frame: AdminFrame
  client: string
  attempts: readonly AttemptView[]
  next: string | undefined
}

export function tracesPage({ frame, client, attempts, next }: TracesProps) {
  return (
    <AdminPage frame={frame}>
      <p>How far each app came that tried to connect. Apps that never reached this server are not here.</p>
      <search>
        <form class="inline" method="get" action="/admin/traces">
          <label for="client">Client id, name or program</label>
          <input class="field" id="client" name="client" value={client} autocomplete="off" spellcheck="false" />
          <button class="small" type="submit">
            Search
          </button>
        </form>
      </search>
      {attempts.length === 0 ? (
        <p class="card">{client === '' ? 'No app has tried to connect.' : 'No app like that has tried to connect.'}</p>
      ) : (
        <ul class="list card">
          {attempts.map(attempt => (
            <li>
              <div>
                <a class="name" href={attempt.href} safe>
                  {attempt.client}
                </a>{' '}
                <Outcome attempt={attempt} />
              </div>
              <small>
                <Time iso={attempt.at} />
                <span
                  safe
                >{`${attempt.program === attempt.client ? '' : ` · ${attempt.program}`} · ${attempt.networks}`}</span>
              </small>
            </li>
          ))}
        </ul>
      )}
      <Next href={next} />
    </AdminPage>
  )
}

function Outcome({ attempt: { outcome, stoppedAt } }: { attempt: Pick<AttemptView, 'outcome' | 'stoppedAt'> }) {
  if (outcome === 'connected') return <span class="badge good">connected</span>
  const words = outcome === 'waiting' ? `under way: ${stoppedAt}` : `stopped at ${stoppedAt}`
  return (
    <span class={outcome === 'waiting' ? 'badge calm' : 'badge bad'} safe>
      {words}
    </span>
  )
}

export interface TraceProps {
  frame: AdminFrame
  attempt: AttemptView
  steps: readonly {
    /** What the client did, in words. */
    what: string
    at: string
    /** Since the first step, such as `+1.2 s`. */
    after: string
    status: number
    answer: string | null
    isRefused: boolean
  }[]
  cause: string | undefined
  fix: string | undefined
}

/** One attempt, step by step. */
export function tracePage({ frame, attempt, steps, cause, fix }: TraceProps) {
  const { client, clientId, program, networks, at } = attempt
  return (
    <AdminPage frame={frame} title={client}>
      {cause === undefined ? (
        <p class="note good">
          <Icon name="check" />
          <span>It is connected: its first call was answered.</span>
        </p>
      ) : (
        <section class="card finding">
          <p>
            <Outcome attempt={attempt} />
          </p>
          <h2>Likely cause</h2>
          <p safe>{cause}</p>
          <h2>What to do</h2>
          <p safe>{fix}</p>
        </section>
      )}
      <h2>Steps</h2>
      <ol class="trace card">
        {steps.map(({ what, at, after, status, answer, isRefused }) => (
          <li class={isRefused ? 'bad' : 'good'}>
            <Icon name={isRefused ? 'cross' : 'check'} />
            <div>
              <b safe>{what}</b>
              <small>
                <span title={at} safe>
                  {after}
                </span>
                <span safe>{` · ${status}${answer === null ? '' : ` · ${answer}`}`}</span>
              </small>
            </div>
          </li>
        ))}
      </ol>
      <h2>Who</h2>
      <dl class="card facts">
        <dt>Client id</dt>
        <dd>
          {clientId === null ? (
            'it had none yet'
          ) : (
            <>
              <code safe>{clientId}</code>
              <br />
              <a href={`/admin/traces?client=${encodeURIComponent(clientId)}`}>Its traces</a>{' '}
              <a href={`/admin/connections?q=${encodeURIComponent(clientId)}`}>Connections</a>{' '}
              <a href={`/admin/audit?client=${encodeURIComponent(clientId)}`}>Audit log</a>
            </>
          )}
        </dd>
        <dt>Program</dt>
        <dd safe>{program}</dd>
        <dt>From</dt>
        <dd safe>{networks}</dd>
        <dt>Began</dt>
        <dd>
          <Time iso={at} />
        </dd>
      </dl>
    </AdminPage>
  )
}
