/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { type ClientLabel, ClientName, DecisionForm, Impostor, Permissions } from './components.tsx'
import { Layout } from './layout.tsx'

/** Where the browser goes afterwards. */
export interface Destination {
  name: string
  /** Whether any program on this computer can wait there. */
  local: boolean
}

export interface ConsentProps {
  email: string
  csrf: string
  /** Id of the kept request. */
  request: string
  client: ClientLabel
  destination: Destination
  /** URL of the MCP endpoint that is asked for. */
  resource: string
  permissions: string[]
}

export function consentPage({ email, csrf, request, client, destination, resource, permissions }: ConsentProps) {
  return (
    <Layout title="Connect an app" email={email}>
      <div class="card">
        <h1>Connect this app?</h1>
        <p>
          <ClientName client={client} /> asks for access as <b safe>{email}</b>.
        </p>
        {destination.local && client.voucher.by !== 'nobody' ? (
          <Impostor
            text={`The answer goes to ${destination.name}, where any program can pose as ${client.name}. Nothing proves that this request comes from it.`}
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

/** Seen while the browser goes back to the app, and for longer if the app does not show a page of its own. */
export function answerPage(props: { decision: 'approved' | 'denied'; href: string; destination: Destination }) {
  const approved = props.decision === 'approved'
  return (
    <Layout title={approved ? 'Approved' : 'Denied'}>
      <div class="card">
        {approved ? (
          <p class="mark good" aria-hidden="true">
            ✓
          </p>
        ) : (
          ''
        )}
        <h1>{approved ? 'Approved' : 'Denied'}</h1>
        <p>
          {approved ? 'You are being sent back to ' : 'The app got no access. You are being sent back to '}
          <b safe>{props.destination.name}</b>.
        </p>
        <p>
          If nothing happens, <a href={props.href}>continue yourself</a>. If the app is already connected, you can close
          this window.
        </p>
      </div>
    </Layout>
  )
}

/** An error in the request of a client that nobody vouches for: the person decides whether to follow its address. */
export function refusedRequestPage(props: {
  client: ClientLabel
  description: string
  href: string
  destination: Destination
}) {
  return (
    <Layout title="This app sent a bad request">
      <div class="card">
        <h1>This app sent a bad request</h1>
        <p>
          <ClientName client={props.client} /> got no access. Its request was refused:
        </p>
        <p class="problem" safe>
          {props.description}
        </p>
        <p>
          Did you start this in the app? Then you can go back to it and tell it about the error. If you did not, close
          this window.
        </p>
        <p>
          <a href={props.href} safe>
            {`Go to ${props.destination.name}`}
          </a>
        </p>
      </div>
    </Layout>
  )
}
