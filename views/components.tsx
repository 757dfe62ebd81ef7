import { Html } from '@elysiajs/html'

/** How much a client's name can be believed. */
export interface ClientLabel {
  name: string
  /** Added by the operator; any other client chose its name itself. */
  verified: boolean
}

export function ClientName({ client }: { client: ClientLabel }) {
  return (
    <span class="client">
      <strong safe>{client.name}</strong>{' '}
      {client.verified ? (
        <span class="badge good">added by the operator</span>
      ) : (
        <span class="badge warn">unverified name</span>
      )}
    </span>
  )
}

/** A message about what went wrong, read out by screen readers when it appears. */
export function Problem({ text }: { text: string | undefined }) {
  return text === undefined ? (
    ''
  ) : (
    <p class="problem" id="problem" role="alert" safe>
      {text}
    </p>
  )
}

/** A time that people can read and machines can parse. */
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
