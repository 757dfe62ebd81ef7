/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { type ClientLabel, ClientName, DecisionForm, Impostor, Permissions } from './components.tsx'
import { Mark } from './icons.tsx'
import { Layout, type Shell } from './layout.tsx'

/** Where the browser goes afterwards. */
export interface Destination {
  name: string
  /** Whether any local program could listen there. */
  local: boolean
}

export interface ConsentProps {
  shell: Shell
  email: string
  csrf: string
  /** Id of the kept request. */
  request: string
  client: ClientLabel
  destination: Destination
  /** URL of the requested MCP endpoint. */
  resource: string
  permissions: string[]
}

export function consentPage({ shell, email, csrf, request, client, destination, resource, permissions }: ConsentProps) {
  return (
    <Layout title="Connect an app" shell={shell}>
      <div class="card">
        <h1>Connect this app?</h1>
        <p>
          <ClientName client={client} /> asks for access as <b safe>{email}</b>.
        </p>
        {destination.local && client.voucher.by !== 'nobody' ? (
          <Impostor
            text={`The response goes to ${destination.name}, where any program can impersonate ${client.name}. Nothing proves that this request comes from it.`}
          />
        ) : (
          ''
        )}
        <Permissions texts={permissions} />
        <dl class="facts">
          <dt>Server</dt>
          <dd safe>{resource}</dd>
          <dt>Returns to</dt>
          <dd>
            <b safe>{destination.name}</b>
          </dd>
        </dl>
        <DecisionForm
          action="/api/oauth/authorize/decision"
          csrf={csrf}
          field={{ name: 'request', value: request }}
          grantable={permissions.length > 0}
          hint="Approve only if you have just started this in the app yourself."
        />
      </div>
    </Layout>
  )
}

/** Shown while the browser returns to the app, and longer if the app shows no page of its own. */
export function answerPage(props: {
  shell: Shell
  decision: 'approved' | 'denied'
  href: string
  destination: Destination
}) {
  const approved = props.decision === 'approved'
  return (
    <Layout title={approved ? 'Approved' : 'Denied'} shell={props.shell}>
      <div class="card">
        {approved ? <Mark kind="good" icon="check" /> : <Mark kind="calm" icon="cross" />}
        <h1>{approved ? 'Approved' : 'Denied'}</h1>
        <p>
          {approved ? 'You are being sent back to ' : 'The app did not get access. You are being sent back to '}
          <b safe>{props.destination.name}</b>.
        </p>
        <p>
          If nothing happens, <a href={props.href}>continue manually</a>. If the app is already connected, you can close
          this window.
        </p>
      </div>
    </Layout>
  )
}

/** An error in the request of an unverified client: the user decides whether to follow its redirect URI. */
export function refusedRequestPage(props: {
  shell: Shell
  client: ClientLabel
  description: string
  href: string
  destination: Destination
}) {
  return (
    <Layout title="This app sent an invalid request" shell={props.shell}>
      <div class="card">
        <h1>This app sent an invalid request</h1>
        <p>
          <ClientName client={props.client} /> did not get access. Its request was refused:
        </p>
        <p class="problem" safe>
          {props.description}
        </p>
        <p>If you started this in the app, you can return to it with this error. If you did not, close this window.</p>
        <p>
          <a href={props.href} safe>
            {`Go to ${props.destination.name}`}
          </a>
        </p>
      </div>
    </Layout>
  )
}
