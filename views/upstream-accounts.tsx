/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { Csrf, Time } from './components.tsx'
import { Mark } from './icons.tsx'
import { Layout, type Shell } from './layout.tsx'

/** An upstream server at which the user has linked, or can link, their own account. */
export interface ServerAccount {
  name: string
  /** The host that gets its tokens. */
  host: string
  /** `wants_more`: the server needs more access than was allowed. `ended`: the server no longer accepts it. */
  state: 'linked' | 'wants_more' | 'not_linked' | 'ended'
  /** The server's name for the account. */
  account: string | undefined
  scope: string[]
  linkedAt: string | undefined
  usedAt: string | undefined
}

/** A part of the account page. */
export function ServerAccounts({ servers, csrf }: { servers: ServerAccount[]; csrf: string }) {
  return servers.length === 0 ? (
    ''
  ) : (
    <>
      <h2>Your servers</h2>
      <p>These servers need your own account. Link it once, and every app that is connected as you can use it.</p>
      {servers.map(server => (
        <article class="card row">
          <div>
            <div>
              <strong safe>{server.name}</strong> <State server={server} />
            </div>
            <Facts server={server} />
          </div>
          {server.state === 'linked' ? (
            <UnlinkForm name={server.name} csrf={csrf} />
          ) : (
            <a class="button small" href={pageOf(server.name)}>
              Link account
            </a>
          )}
        </article>
      ))}
    </>
  )
}

const pageOf = (name: string) => `/account/upstreams/${name}`

function State({ server: { state } }: { server: ServerAccount }) {
  if (state === 'linked') return <span class="badge good">linked</span>
  if (state === 'wants_more') return <span class="badge warn">asks for more access</span>
  if (state === 'ended') return <span class="badge warn">link it again</span>
  return <span class="badge">not linked</span>
}

function Facts({ server }: { server: ServerAccount }) {
  const { host, account, scope, linkedAt, usedAt, state } = server
  return (
    <>
      {scope.length > 0 ? (
        <ul>
          {scope.map(name => (
            <li safe>{name}</li>
          ))}
        </ul>
      ) : (
        ''
      )}
      <small>
        At <span safe>{host}</span>
        {account === undefined ? (
          ''
        ) : (
          <>
            {' '}
            as <b safe>{account}</b>
          </>
        )}
        .
        {linkedAt !== undefined && (state === 'linked' || state === 'wants_more') ? (
          <>
            {' '}
            Linked <Time iso={linkedAt} />
            {usedAt === undefined ? (
              ', not used yet.'
            ) : (
              <>
                , last used <Time iso={usedAt} />.
              </>
            )}
          </>
        ) : (
          ''
        )}
      </small>
    </>
  )
}

function UnlinkForm({ name, csrf }: { name: string; csrf: string }) {
  return (
    <form method="post" action={`${pageOf(name)}/unlink`}>
      <Csrf token={csrf} />
      <button class="small" type="submit" aria-label={`Unlink your account at ${name}`}>
        Unlink
      </button>
    </form>
  )
}

/** Asks the user before sending them to the other server's sign-in. */
export function linkPage(props: {
  shell: Shell
  email: string
  csrf: string
  name: string
  host: string
  /** The host where the user signs in. */
  signInHost: string
  /** Where the account was linked before, if that is somewhere else now. */
  issuerBefore: string | undefined
  scope: string[]
}) {
  const { shell, email, csrf, name, host, signInHost, issuerBefore, scope } = props
  return (
    <Layout title={`Link ${name}`} shell={shell}>
      <div class="card">
        <h1 safe>{`Link your account at ${name}?`}</h1>
        <p>
          You will sign in at <b safe>{signInHost}</b> and return here. Then every app that is connected to this server
          as <b safe>{email}</b> can use <b safe>{name}</b> with that account.
        </p>
        {issuerBefore === undefined ? (
          ''
        ) : (
          <p class="note warn">
            Until now you signed in at <b safe>{issuerBefore}</b>. The server names another place now. If you do not
            know why, ask the operator of this server first.
          </p>
        )}
        <dl class="facts">
          <dt>Server</dt>
          <dd safe>{host}</dd>
          <dt>Sign-in</dt>
          <dd safe>{signInHost}</dd>
          {scope.length > 0 ? (
            <>
              <dt>Asks for</dt>
              <dd safe>{scope.join(' ')}</dd>
            </>
          ) : (
            ''
          )}
        </dl>
        <p class="hint">
          The access that you grant is stored on this server and sent only to <span safe>{host}</span>. You can unlink
          it at any time.
        </p>
        <form class="decision" method="post" action={`${pageOf(name)}/link`}>
          <Csrf token={csrf} />
          <button type="submit" name="decision" value="deny">
            Cancel
          </button>
          <button type="submit" name="decision" value="approve">
            Continue
          </button>
        </form>
      </div>
    </Layout>
  )
}

/** Shown when the user returns, or opens the page again. */
export function linkedPage({ shell, csrf, server }: { shell: Shell; csrf: string; server: ServerAccount }) {
  return (
    <Layout title={`${server.name} is linked`} shell={shell}>
      <div class="card">
        <Mark kind="good" icon="check" />
        <h1 safe>{`Your account at ${server.name} is linked`}</h1>
        <p>You can close this window and return to your app: the tools are available now.</p>
        <Facts server={server} />
        <p class="links">
          <a href="/account">Your servers and apps</a>
          <a href={`${pageOf(server.name)}?again=1`}>Link another account</a>
        </p>
      </div>
      <UnlinkForm name={server.name} csrf={csrf} />
    </Layout>
  )
}
