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
  /** In a live view: the addresses that htmx asks for new events, of the view itself, and of the page without it. */
  live: { poll: string; here: string; stop: string } | undefined
  next: string | undefined
  /** The address of the live view; none for older events. */
  follow: string | undefined
  csv: string
  lines: string
}

export function auditPage(props: AuditProps) {
  const { frame, filter, problem, names, events, reached, live, next, follow, csv, lines } = props
  return (
    <AdminPage frame={frame} live={live !== undefined}>
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
      {follow === undefined || live ? (
        ''
      ) : (
        <p class="links">
          <a href={follow}>Show new events as they happen</a>
        </p>
      )}
      {problem === undefined ? eventList({ events, reached, live }) : ''}
      <Next href={live ? undefined : next} label={reached === undefined ? 'Next page' : 'Search older events'} />
    </AdminPage>
  )
}

/** Errors while htmx asks leave the list unchanged; it asks again. */
const KEEP_ASKING = { 'hx-status:4xx': 'swap:none', 'hx-status:5xx': 'swap:none' }

/** The events; in a live view, htmx replaces them when there are new ones. */
export function eventList({ events, reached, live }: Pick<AuditProps, 'events' | 'reached' | 'live'>) {
  const asking = live && { 'hx-get': live.poll, 'hx-trigger': 'every 3s', 'hx-swap': 'outerHTML', ...KEEP_ASKING }
  return (
    <div {...asking}>
      {live ? (
        <p class="links">
          <span>New events appear here as they happen.</span>
          <a href={live.stop}>Stop</a>
          <noscript>
            <a href={live.here}>Reload, since this browser runs no scripts</a>
          </noscript>
        </p>
      ) : (
        ''
      )}
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
    </div>
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
