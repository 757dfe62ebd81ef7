/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { type AdminFrame, AdminPage } from './frame.tsx'

export interface Bar {
  /** When it begins, such as `14:00`. */
  from: string
  count: number
  failed: number
}

export interface OverviewProps {
  frame: AdminFrame
  people: number
  connections: number
  calls: Bar[]
  refused: Bar[]
  upstreams: { name: string; state: string; lastError: string | undefined }[]
}

const sum = (bars: readonly Bar[], of: 'count' | 'failed') => bars.reduce((total, bar) => total + bar[of], 0)
const number = (value: number) => value.toLocaleString('en')

export function overviewPage({ frame, people, connections, calls, refused, upstreams }: OverviewProps) {
  const [called, failed] = [sum(calls, 'count'), sum(calls, 'failed')]
  const away = upstreams.filter(({ lastError }) => lastError !== undefined)
  return (
    <AdminPage frame={frame}>
      <ul class="figures">
        <Figure href="/admin/users" value={people} label={people === 1 ? 'person' : 'people'} />
        <Figure
          href="/admin/connections"
          value={connections}
          label={connections === 1 ? 'connection' : 'connections'}
        />
        <Figure href="/admin/audit" value={called} label={called === 1 ? 'call in 24 hours' : 'calls in 24 hours'} />
        <Figure
          href="/admin/audit?event=upstream.called"
          value={failed}
          label={failed === 1 ? 'failed call' : 'failed calls'}
          bad={failed > 0}
        />
      </ul>
      <Chart title="Calls per hour" bars={calls} />
      <Chart title="Refused requests per hour" bars={refused} />
      {upstreams.length === 0 ? (
        ''
      ) : (
        <p class={away.length > 0 ? 'note warn' : 'note good'}>
          <span>
            <span safe>
              {away.length === 0
                ? `All ${upstreams.length} upstream servers can be used.`
                : `${away.length} of ${upstreams.length} upstream servers have failed lately: ${away.map(({ name }) => name).join(', ')}.`}
            </span>{' '}
            <a href="/admin/upstreams">See how they are</a>
          </span>
        </p>
      )}
    </AdminPage>
  )
}

function Figure(props: { href: string; value: number; label: string; bad?: boolean }) {
  return (
    <li class="card">
      <a href={props.href}>
        <b class={props.bad ? 'failed' : ''} safe>
          {number(props.value)}
        </b>{' '}
        <span safe>{props.label}</span>
      </a>
    </li>
  )
}

const HEIGHT = 60
const STEP = 12

/** A bar for each hour; the failed part stands at the bottom. */
function Chart({ title, bars }: { title: string; bars: readonly Bar[] }) {
  const most = Math.max(1, ...bars.map(({ count }) => count))
  const heightOf = (count: number) => (count === 0 ? 0 : Math.max(1, (count / most) * HEIGHT))
  const total = sum(bars, 'count')
  const failed = sum(bars, 'failed')
  const words = [
    `${number(total)} in 24 hours`,
    ...(failed > 0 ? [`${number(failed)} of them failed`] : []),
    ...(total > 0 ? [`${number(most)} in the busiest`] : []),
  ].join(', ')
  return (
    <figure class="card chart">
      <figcaption>
        <b safe>{title}</b> <span safe>{words}</span>
      </figcaption>
      <svg
        viewBox={`0 0 ${bars.length * STEP} ${HEIGHT}`}
        role="img"
        aria-label={`${title}: ${words}`}
        preserveAspectRatio="none"
      >
        {bars.map(({ from, count, failed }, at) => (
          <g>
            <title safe>{`${from}: ${number(count)}${failed > 0 ? `, ${number(failed)} failed` : ''}`}</title>
            <rect
              class="all"
              x={at * STEP + 2}
              y={HEIGHT - heightOf(count)}
              width={STEP - 4}
              height={heightOf(count)}
            />
            <rect
              class="failed"
              x={at * STEP + 2}
              y={HEIGHT - heightOf(failed)}
              width={STEP - 4}
              height={heightOf(failed)}
            />
          </g>
        ))}
      </svg>
      <p class="axis" aria-hidden="true">
        <span safe>{bars[0]?.from ?? ''}</span>
        <span>now (UTC)</span>
      </p>
    </figure>
  )
}
