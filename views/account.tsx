/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { AccountTabs } from './account-tabs.tsx'
import { type ClientLabel, ClientName, Csrf, Time } from './components.tsx'
import { Layout, type Shell } from './layout.tsx'
import { type ServerAccount, ServerAccounts } from './upstream-accounts.tsx'

export interface Connection {
  id: string
  client: ClientLabel
  resource: string
  permissions: string[]
  connectedAt: string
  usedAt: string
}

export interface AccountProps {
  shell: Shell
  /** For the forms that disconnect an app. */
  csrf: string
  signOutEverywhereCsrf: string
  connections: Connection[]
  servers: ServerAccount[]
  unlinkCsrf: string
  forgetCsrf: string
  /** Apps that are not connected but may connect without asking. */
  remembered: { client: ClientLabel; clientId: string; permissions: string[] }[]
}

export function accountPage(props: AccountProps) {
  const { shell, csrf, signOutEverywhereCsrf, connections, forgetCsrf, remembered } = props
  const { servers, unlinkCsrf } = props
  return (
    <Layout title="Connected apps" shell={shell} wide live>
      <AccountTabs at="/account" shell={shell} />
      <h1>Connected apps</h1>
      <div id="connections" aria-live="polite">
        {connections.length === 0 ? (
          <NoConnections />
        ) : (
          <>
            <p>These apps can act as you. Disconnecting takes effect at once.</p>
            {connections.map(connection => (
              <ConnectionCard connection={connection} csrf={csrf} />
            ))}
          </>
        )}
      </div>
      <ServerAccounts servers={servers} csrf={unlinkCsrf} />
      <Remembered csrf={forgetCsrf} apps={remembered} />
      <form class="quiet" method="post" action="/account/signout-everywhere">
        <Csrf token={signOutEverywhereCsrf} />
        <p class="hint">
          Lost a device, or found an app that you do not recognize? End all your sessions, connections and access
          tokens.
        </p>
        <button class="small" type="submit">
          Sign out everywhere
        </button>
      </form>
    </Layout>
  )
}

function ConnectionCard({ connection, csrf }: { connection: Connection; csrf: string }) {
  return (
    <article class="card row">
      <div>
        <ClientName client={connection.client} />
        <ul>
          {connection.permissions.map(text => (
            <li safe>{text}</li>
          ))}
        </ul>
        <small>
          On <span safe>{connection.resource}</span>. Connected <Time iso={connection.connectedAt} />, last renewed{' '}
          <Time iso={connection.usedAt} />.
        </small>
      </div>
      <form
        method="post"
        action="/account/disconnect"
        hx-post="/account/disconnect"
        hx-target="closest article"
        hx-swap="outerHTML"
      >
        <Csrf token={csrf} />
        <input type="hidden" name="id" value={connection.id} />
        <button class="small" type="submit" aria-label={`Disconnect ${connection.client.name}`}>
          Disconnect
        </button>
      </form>
    </article>
  )
}

function NoConnections() {
  return (
    <div class="card">
      <p>No app is connected as you.</p>
      <p class="links">
        <a href="/auth/device">Connect a device</a>
        <a href="/">How to connect an app</a>
      </p>
    </div>
  )
}

const TAKE_FOCUS = { autofocus: true }

/** Replaces the card of a disconnected app (htmx). Takes the focus, which was on the card's button. */
export function disconnected({ name, isLast }: { name: string | undefined; isLast: boolean }) {
  return (
    <>
      <p class="note good" role="status" tabindex="-1" {...TAKE_FOCUS}>
        {name === undefined ? (
          'This connection had already ended.'
        ) : (
          <>
            <b safe>{name}</b> is disconnected.
          </>
        )}
      </p>
      {isLast ? <NoConnections /> : ''}
    </>
  )
}

function Remembered({ csrf, apps }: { csrf: string; apps: AccountProps['remembered'] }) {
  return apps.length === 0 ? (
    ''
  ) : (
    <>
      <h2>Allowed but not connected</h2>
      <p>
        You have approved these apps before. While you are signed in here, they can connect again without asking you.
      </p>
      {apps.map(({ client, clientId, permissions }) => (
        <article class="card row">
          <div>
            <ClientName client={client} />
            <ul>
              {permissions.map(text => (
                <li safe>{text}</li>
              ))}
            </ul>
          </div>
          <form method="post" action="/account/forget">
            <Csrf token={csrf} />
            <input type="hidden" name="client_id" value={clientId} />
            <button class="small" type="submit" aria-label={`Ask me again before ${client.name} connects`}>
              Ask me again
            </button>
          </form>
        </article>
      ))}
    </>
  )
}
