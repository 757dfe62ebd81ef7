import { Html } from '@elysiajs/html'
import { type ClientLabel, ClientName, Csrf } from './components.tsx'
import { Layout } from './layout.tsx'

export interface ConsentProps {
  email: string
  csrf: string
  /** The request's query string, handed back as it came. */
  request: string
  client: ClientLabel
  redirectHost: string
  /** URL of the MCP endpoint that is asked for. */
  resource: string
  permissions: string[]
}

export function consentPage({ email, csrf, request, client, redirectHost, resource, permissions }: ConsentProps) {
  return (
    <Layout title="Connect an app" email={email}>
      <div class="card">
        <h1>Connect this app?</h1>
        <p>
          <ClientName client={client} /> asks for access as <b safe>{email}</b>.
        </p>
        {permissions.length === 0 ? (
          ''
        ) : (
          <>
            <h2>It will be able to</h2>
            <ul>
              {permissions.map(text => (
                <li safe>{text}</li>
              ))}
            </ul>
          </>
        )}
        <dl class="facts">
          <dt>Server</dt>
          <dd safe>{resource}</dd>
          <dt>Then back to</dt>
          <dd>
            <b safe>{redirectHost}</b>
          </dd>
        </dl>
        {permissions.length === 0 ? (
          <p class="problem">It asks only for what administrators can give. You can deny it.</p>
        ) : (
          <p class="hint">Approve only if you have just started this in the app itself.</p>
        )}
        <form class="decision" method="post" action="/api/oauth/authorize/decision">
          <Csrf token={csrf} />
          <input type="hidden" name="request" value={request} />
          <button type="submit" name="decision" value="deny">
            Deny
          </button>
          {permissions.length === 0 ? (
            ''
          ) : (
            <button type="submit" name="decision" value="approve">
              Approve
            </button>
          )}
        </form>
      </div>
    </Layout>
  )
}
