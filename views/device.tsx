/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { type ClientLabel, ClientName, Csrf, DecisionForm, Permissions, Problem, Time } from './components.tsx'
import { Mark } from './icons.tsx'
import { Layout, type Shell } from './layout.tsx'

export interface DeviceEntryProps {
  shell: Shell
  csrf: string
  /** From the link, or as typed before. */
  code: string
  problem?: string
}

export function deviceEntryPage(props: DeviceEntryProps) {
  return (
    <Layout title="Connect a device" shell={props.shell} live>
      {deviceEntry(props)}
    </Layout>
  )
}

/** The form for the user code. If the code is wrong, htmx replaces it with itself and a message. */
export function deviceEntry({ csrf, code, problem }: DeviceEntryProps) {
  return (
    <div class="card" id="entry">
      <h1>Connect a device</h1>
      <p>{code && !problem ? 'Check that your device shows this code.' : 'Enter the code shown on your device.'}</p>
      <Problem text={problem} />
      <form
        method="post"
        action="/api/oauth/device/verify"
        hx-post="/api/oauth/device/verify"
        hx-target="#entry"
        hx-swap="outerHTML"
      >
        <Csrf token={csrf} />
        <label for="user_code">Code</label>
        <input
          class="code"
          id="user_code"
          name="user_code"
          value={code}
          required
          placeholder="XXXX-XXXX"
          autocomplete="off"
          autocapitalize="characters"
          spellcheck="false"
          autofocus={!code || !!problem}
          aria-invalid={problem ? 'true' : undefined}
          aria-describedby={problem ? 'problem' : undefined}
        />
        <button class="primary" type="submit">
          Continue
        </button>
      </form>
      <p class="hint">If somebody else sent you this code or link, close this page.</p>
    </div>
  )
}

export interface DeviceRequestProps {
  shell: Shell
  id: string
  email: string
  csrf: string
  state: 'undecided' | 'approved' | 'denied' | 'fetched' | 'expired'
  userCode: string
  client: ClientLabel
  /** URL of the requested MCP endpoint. */
  resource: string
  permissions: { scope: string; text: string }[]
  requestedAt: string
  minutesAgo: number
  ip: string
  agent: string
}

export function deviceRequestPage(props: DeviceRequestProps) {
  return (
    <Layout title="Connect a device" shell={props.shell} live>
      {props.state === 'undecided' ? (
        <DeviceDecision {...props} />
      ) : (
        <div aria-live="polite">{deviceStatus(props)}</div>
      )}
    </Layout>
  )
}

function DeviceDecision({
  id,
  email,
  csrf,
  userCode,
  client,
  resource,
  permissions,
  requestedAt,
  minutesAgo,
  ip,
  agent,
}: DeviceRequestProps) {
  return (
    <div class="card">
      <h1>Did you start this?</h1>
      <p>
        <ClientName client={client} /> asks for access as <b safe>{email}</b>.
      </p>
      <p class="shown-code">
        <span>Your device must show this code</span>
        <b class="code" safe>
          {userCode}
        </b>
      </p>
      <Permissions texts={permissions.map(({ text }) => text)} />
      <dl class="facts">
        <dt>Server</dt>
        <dd safe>{resource}</dd>
        <dt>Requested</dt>
        <dd>
          <span safe>
            {minutesAgo === 0 ? 'just now' : minutesAgo === 1 ? '1 minute ago' : `${minutesAgo} minutes ago`}
          </span>{' '}
          (<Time iso={requestedAt} />)
        </dd>
        <dt>From</dt>
        <dd>
          <span safe>{ip}</span>
          <small class="clipped" safe>
            {agent}
          </small>
        </dd>
      </dl>
      <DecisionForm
        action="/api/oauth/device/authorize"
        csrf={csrf}
        field={{ name: 'id', value: id }}
        grantable={permissions.length > 0}
        hint="Approve only if you have just started this yourself and your device shows the same code."
      />
    </div>
  )
}

/** Errors while htmx polls leave the page unchanged; it polls again. */
const KEEP_ASKING = { 'hx-status:4xx': 'swap:none', 'hx-status:5xx': 'swap:none' }

/** The state of a decided request. Until the device has fetched its token, htmx polls and replaces it. */
export function deviceStatus({ id, state, client }: DeviceRequestProps) {
  switch (state) {
    case 'approved':
      return (
        <div
          class="card"
          hx-get={`/auth/device/${id}/status`}
          hx-trigger="every 2s"
          hx-swap="outerHTML"
          {...KEEP_ASKING}
        >
          <Mark kind="good" icon="check" />
          <h1>Approved</h1>
          <p class="waiting">
            Waiting for <b safe>{client.name}</b> to connect. This takes a few seconds.
          </p>
          <noscript>
            <p>
              <a href={`/auth/device/${id}`}>See whether it has connected</a>
            </p>
          </noscript>
        </div>
      )
    case 'fetched':
      return (
        <div class="card">
          <Mark kind="good" icon="check" />
          <h1>Connected</h1>
          <p>
            <b safe>{client.name}</b> now has access. You can close this page and go back to your device.
          </p>
          <p class="links">
            <a href="/account">Your connected apps</a>
          </p>
        </div>
      )
    case 'denied':
      return (
        <div class="card">
          <Mark kind="calm" icon="cross" />
          <h1>Denied</h1>
          <p>
            <b safe>{client.name}</b> did not get access. If you did not start this, there is nothing else you need to
            do.
          </p>
          <p class="links">
            <a href="/auth/device">Enter another code</a>
          </p>
        </div>
      )
    default:
      return (
        <div class="card">
          <Mark kind="warn" icon="clock" />
          <h1>This code has expired</h1>
          <p>Start again on your device and enter the new code.</p>
          <p class="links">
            <a href="/auth/device">Enter another code</a>
          </p>
        </div>
      )
  }
}
