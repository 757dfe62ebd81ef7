/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Address, type ClientLabel, ClientName, Confirm, Csrf, Time } from '../components.tsx'
import { type AdminFrame, AdminPage, ConfirmForm, Next } from './frame.tsx'

export interface ConnectionView {
  id: string
  email: string
  client: ClientLabel
  clientId: string
  /** What its user calls it. */
  label: string | null
  scope: string[]
  resource: string
  connectedAt: string
  usedAt: string
}

export interface ConnectionsProps {
  frame: AdminFrame
  /** An address or a client's id; empty: everything. */
  q: string
  /** What `q` was found to be. */
  about: 'everybody' | 'person' | 'client'
  connections: ConnectionView[]
  next: string | undefined
}

export function connectionsPage({ frame, q, about, connections, next }: ConnectionsProps) {
  return (
    <AdminPage frame={frame} live>
      <search>
        <form class="inline" method="get" action="/admin/connections">
          <label for="q">E-mail address or client id</label>
          <input class="field" id="q" name="q" value={q} autocomplete="off" spellcheck="false" />
          <button class="small" type="submit">
            Search
          </button>
        </form>
      </search>
      {connections.length === 0 ? (
        <p class="card">{q === '' ? 'No app is connected.' : 'Nothing is connected for that address or client id.'}</p>
      ) : (
        <ul class="list card">
          {connections.map(connection => (
            <ConnectionRow connection={connection} csrf={frame.csrf} q={q} />
          ))}
        </ul>
      )}
      <Next href={next} />
      {about === 'everybody' || connections.length === 0 ? (
        ''
      ) : (
        <ConfirmForm
          action="/admin/connections/end-all"
          csrf={frame.csrf}
          fields={{ q }}
          label="End all of these"
          about={q}
          consequence={
            about === 'person'
              ? `Every app that is connected as ${q} is disconnected at once and has to be approved again, and their personal access tokens are revoked.`
              : 'All connections of this client end at once and have to be approved again. The client stays registered.'
          }
        />
      )}
    </AdminPage>
  )
}

function ConnectionRow({ connection, csrf, q }: { connection: ConnectionView; csrf: string; q: string }) {
  const { id, email, client, clientId, label, scope, resource, connectedAt, usedAt } = connection
  return (
    <li class="row">
      <div>
        <ClientName client={client} /> {label === null ? '' : <span safe>{`“${label}” `}</span>}as <b safe>{email}</b>
        <small>
          <span safe>{scope.join(' ')}</span> on <Address url={resource} />. Connected <Time iso={connectedAt} />, last
          used <Time iso={usedAt} />. <a href={`/admin/connections?q=${encodeURIComponent(clientId)}`}>This client</a>
        </small>
      </div>
      <div class="buttons">
        <Confirm label="Rename" about={`the connection of ${client.name} as ${email}`}>
          <form method="post" action="/admin/connections/rename">
            <Csrf token={csrf} />
            <input type="hidden" name="id" value={id} />
            <input type="hidden" name="q" value={q} />
            <label>
              Name, such as “laptop”
              <input class="field" name="name" maxlength="60" value={label ?? ''} autocomplete="off" />
            </label>
            <button class="small" type="submit">
              Save
            </button>
          </form>
        </Confirm>
        <Confirm label="End" about={`the connection of ${client.name} as ${email}`} danger>
          <form
            method="post"
            action="/admin/connections/end"
            hx-post="/admin/connections/end"
            hx-target="closest li"
            hx-swap="outerHTML"
          >
            <Csrf token={csrf} />
            <input type="hidden" name="id" value={id} />
            <input type="hidden" name="q" value={q} />
            <p>The app is disconnected at once and has to be approved again.</p>
            <button class="small danger" type="submit">
              End
            </button>
          </form>
        </Confirm>
      </div>
    </li>
  )
}

/** Replaces the row of a connection that ended (htmx). Takes the focus, which was on the row's button. */
export function endedConnection({ notice }: { notice: string }) {
  return (
    <li class="note good" role="status" tabindex="-1" {...{ autofocus: true }} safe>
      {notice}
    </li>
  )
}
