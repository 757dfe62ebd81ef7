/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Problem, Time } from '../components.tsx'
import { type AdminFrame, AdminPage, Next } from './frame.tsx'

export interface EventView {
  at: string
  event: string
  /** What the event means. */
  meaning: string
  who: string
  clientId: string
  ip: string
  details: string
}

export interface AuditProps {
  frame: AdminFrame
  filter: { event: string; user: string; client: string; ip: string; since: string; until: string }
  problem: string | undefined
  /** Every event's name. */
  names: readonly string[]
  events: EventView[]
  /** Until when the log was searched, if that is not to its end. */
  reached: string | undefined
  next: string | undefined
  csv: string
  lines: string
}

export function auditPage({ frame, filter, problem, names, events, reached, next, csv, lines }: AuditProps) {
  return (
    <AdminPage frame={frame}>
      <form class="card grid" method="get" action="/admin/audit">
        <Problem text={problem} />
        <div>
          <label for="event">Event</label>
          <select class="field" id="event" name="event">
            <option value="">All events</option>
            {names.map(name => (
              <option value={name} selected={name === filter.event} safe>
                {name}
              </option>
            ))}
          </select>
        </div>
        <Field name="user" label="E-mail address" value={filter.user} />
        <Field name="client" label="Client id" value={filter.client} />
        <Field name="ip" label="Network address" value={filter.ip} />
        <Field name="since" label="From, such as 2026-11-01" value={filter.since} />
        <Field name="until" label="Before" value={filter.until} />
        <div class="buttons">
          <button class="small" type="submit">
            Search
          </button>
          <a class="button small" href={csv}>
            Export as CSV
          </a>
          <a class="button small" href={lines}>
            Export as JSON lines
          </a>
        </div>
      </form>
      {events.length === 0 ? (
        <p class="card">
          {reached === undefined ? (
            'Nothing was found.'
          ) : (
            <>
              Nothing was found back to <Time iso={reached} />. There are older events.
            </>
          )}
        </p>
      ) : (
        <ul class="list card">
          {events.map(event => (
            <li>
              <div>
                <strong safe>{event.event}</strong> {event.who === '' ? '' : <span safe>{event.who}</span>}
              </div>
              <small>
                <Time iso={event.at} />
                {[event.ip, event.clientId, event.details].map(text =>
                  text === '' ? '' : <span safe>{` · ${text}`}</span>,
                )}
                {event.clientId === '' ? (
                  ''
                ) : (
                  <>
                    {' '}
                    <a
                      href={`/admin/traces?client=${encodeURIComponent(event.clientId)}`}
                      aria-label={`Traces of ${event.clientId}`}
                    >
                      Traces
                    </a>
                  </>
                )}
              </small>
              <small safe>{event.meaning}</small>
            </li>
          ))}
        </ul>
      )}
      <Next href={next} label={reached === undefined ? 'Next page' : 'Search older events'} />
    </AdminPage>
  )
}

function Field({ name, label, value }: { name: string; label: string; value: string }) {
  return (
    <div>
      <label for={name} safe>
        {label}
      </label>
      <input class="field" id={name} name={name} value={value} autocomplete="off" spellcheck="false" />
    </div>
  )
}
