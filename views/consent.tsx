/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { type ClientLabel, ClientName, DecisionForm, Permissions } from './components.tsx'
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
        <Permissions texts={permissions} />
        <dl class="facts">
          <dt>Server</dt>
          <dd safe>{resource}</dd>
          <dt>Back to</dt>
          <dd>
            <b safe>{redirectHost}</b>
          </dd>
        </dl>
        <DecisionForm
          action="/api/oauth/authorize/decision"
          csrf={csrf}
          field={{ name: 'request', value: request }}
          grantable={permissions.length > 0}
          hint="Approve only if you have just started this in the app itself."
        />
      </div>
    </Layout>
  )
}
