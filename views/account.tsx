/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { type ClientLabel, ClientName, Csrf, Time } from './components.tsx'
import { Layout } from './layout.tsx'

export interface AccountProps {
  email: string
  csrf: string
  signOutCsrf: string
  signOutEverywhereCsrf: string
  connections: {
    id: string
    client: ClientLabel
    resource: string
    permissions: string[]
    connectedAt: string
    usedAt: string
  }[]
}

export function accountPage({ email, csrf, signOutCsrf, signOutEverywhereCsrf, connections }: AccountProps) {
  return (
    <Layout title="Connected apps" email={email} wide>
      <h1>Connected apps</h1>
      {connections.length === 0 ? (
        <div class="card">
          <p>No app is connected as you.</p>
          <p class="links">
            <a href="/auth/device">Connect a device</a>
            <a href="/">How to connect an app</a>
          </p>
        </div>
      ) : (
        <>
          <p>These apps can act as you. Disconnecting takes effect at once.</p>
          {connections.map(connection => (
            <article class="card row">
              <div>
                <ClientName client={connection.client} />
                <ul>
                  {connection.permissions.map(text => (
                    <li safe>{text}</li>
                  ))}
                </ul>
                <small>
                  On <span safe>{connection.resource}</span>. Connected <Time iso={connection.connectedAt} />, last
                  renewed <Time iso={connection.usedAt} />.
                </small>
              </div>
              <form method="post" action="/account/disconnect">
                <Csrf token={csrf} />
                <input type="hidden" name="id" value={connection.id} />
                <button class="small" type="submit" aria-label={`Disconnect ${connection.client.name}`}>
                  Disconnect
                </button>
              </form>
            </article>
          ))}
        </>
      )}
      <form class="quiet" method="post" action="/auth/signout">
        <Csrf token={signOutCsrf} />
        <button class="small" type="submit">
          Sign out
        </button>
      </form>
      <form class="quiet" method="post" action="/account/signout-everywhere">
        <Csrf token={signOutEverywhereCsrf} />
        <p class="hint">Lost a device, or saw an app that you do not know? End all your sessions and connections.</p>
        <button class="small" type="submit">
          Sign out everywhere
        </button>
      </form>
    </Layout>
  )
}
