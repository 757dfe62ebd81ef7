/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Icon } from './icons.tsx'

/** How far a client's name can be trusted. */
export interface ClientLabel {
  name: string
  /** The operator who added it, or the host of its metadata document. Any other client chose its own name. */
  voucher: { by: 'operator' } | { by: 'host'; host: string } | { by: 'nobody' }
}

export function ClientName({ client }: { client: ClientLabel }) {
  return (
    <span class="client">
      <strong safe>{client.name}</strong> <Voucher {...client.voucher} />
    </span>
  )
}

function Voucher(voucher: ClientLabel['voucher']) {
  switch (voucher.by) {
    case 'operator':
      return <span class="badge good">added by the operator</span>
    case 'host':
      return (
        <span class="badge good" safe>
          {`from ${voucher.host}`}
        </span>
      )
    default:
      return <span class="badge warn">unverified name</span>
  }
}

/** What a client will be able to do; renders nothing for an empty list. */
export function Permissions({ texts }: { texts: string[] }) {
  return texts.length === 0 ? (
    ''
  ) : (
    <>
      <h2>It will be able to</h2>
      <ul>
        {texts.map(text => (
          <li safe>{text}</li>
        ))}
      </ul>
    </>
  )
}

/** A warning for a client with a verified name: the program that asks may be a different one. */
export function Impostor({ text }: { text: string }) {
  return (
    <p class="note warn">
      <Icon name="warning" />
      <span safe>{text}</span>
    </p>
  )
}

/** The buttons of a page that asks for a decision: Deny is as prominent as Approve. `field` identifies the request. */
export function DecisionForm(props: {
  action: string
  csrf: string
  field: { name: string; value: string }
  /** Whether there is any scope that this user can grant. */
  grantable: boolean
  hint: string
}) {
  return (
    <>
      {props.grantable ? (
        <p class="hint" safe>
          {props.hint}
        </p>
      ) : (
        <p class="problem">Only an administrator can allow what this app asks for. You can deny it.</p>
      )}
      <form class="decision" method="post" action={props.action}>
        <Csrf token={props.csrf} />
        <input type="hidden" name={props.field.name} value={props.field.value} />
        <button type="submit" name="decision" value="deny">
          Deny
        </button>
        {props.grantable ? (
          <button type="submit" name="decision" value="approve">
            Approve
          </button>
        ) : (
          ''
        )}
      </form>
    </>
  )
}

/** An error message, announced by screen readers when it appears. */
export function Problem({ text }: { text: string | undefined }) {
  return text === undefined ? (
    ''
  ) : (
    <p class="problem" id="problem" role="alert">
      <Icon name="warning" />
      <span safe>{text}</span>
    </p>
  )
}

/** What has just been done, announced by screen readers. */
export function Notice({ text }: { text: string }) {
  return (
    <p class="note good" role="status">
      <Icon name="check" />
      <span safe>{text}</span>
    </p>
  )
}

/** A time in UTC, which `page.js` turns into a relative one with the exact one of the reader's zone as its title. */
export function Time({ iso }: { iso: string }) {
  return (
    <time datetime={iso} safe>
      {`${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`}
    </time>
  )
}

export function Csrf({ token }: { token: string }) {
  return <input type="hidden" name="csrf" value={token} />
}
