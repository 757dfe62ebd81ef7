/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { AccountTabs } from './account-tabs.tsx'
import { Csrf, Problem, SignInAgain, Time } from './components.tsx'
import { Icon } from './icons.tsx'
import { Layout, type Shell } from './layout.tsx'

export interface TokensProps {
  shell: Shell
  csrf: string
  tokens: {
    id: string
    name: string
    scope: string[]
    resource: string
    createdAt: string
    expiresAt: string
    isExpired: boolean
    usedAt: string | undefined
  }[]
  scopes: readonly { name: string; text: string }[]
  /** Whether the user signed in recently enough to make one. */
  recent: boolean
  typed: { name: string; days: string; scopes: readonly string[]; problem: string | undefined }
}

export function tokensPage({ shell, csrf, tokens, scopes, recent, typed }: TokensProps) {
  return (
    <Layout title="Access tokens" shell={shell} wide>
      <AccountTabs at="/account/tokens" shell={shell} />
      <h1>Personal access tokens</h1>
      <p>
        For scripts, and for clients that cannot sign in. Anyone who has a token can act as you, within what it allows.
      </p>
      {tokens.length === 0 ? (
        <p class="card">You have no tokens.</p>
      ) : (
        <ul class="list card">
          {tokens.map(token => (
            <TokenRow token={token} csrf={csrf} />
          ))}
        </ul>
      )}
      {recent ? (
        <TokenForm csrf={csrf} scopes={scopes} typed={typed} />
      ) : (
        <SignInAgain what="To make a token" page="/account/tokens" />
      )}
    </Layout>
  )
}

function TokenForm({ csrf, scopes, typed }: Pick<TokensProps, 'csrf' | 'scopes' | 'typed'>) {
  return (
    <form class="card" method="post" action="/account/tokens/add">
      <h2>Make a token</h2>
      <Csrf token={csrf} />
      <Problem text={typed.problem} />
      <label for="name">Name, such as “backup script”</label>
      <input class="field" id="name" name="name" required maxlength="100" value={typed.name} autocomplete="off" />
      <label for="days">Days until it expires</label>
      <input class="field" id="days" name="days" type="number" min="1" max="1825" required value={typed.days} />
      <fieldset>
        <legend>What it allows</legend>
        {scopes.map(({ name, text }) => (
          <label class="check">
            <input type="checkbox" name={`scope:${name}`} value="yes" checked={typed.scopes.includes(name)} />
            <span>
              <span safe>{text}</span> <code safe>{name}</code>
            </span>
          </label>
        ))}
      </fieldset>
      <button type="submit">Make a token</button>
    </form>
  )
}

function TokenRow({ token, csrf }: { token: TokensProps['tokens'][number]; csrf: string }) {
  const { id, name, scope, resource, createdAt, expiresAt, isExpired, usedAt } = token
  return (
    <li class="row">
      <div>
        <strong safe>{name}</strong> {isExpired ? <span class="badge warn">expired</span> : ''}
        <small>
          <span safe>{`${scope.join(' ')} on ${resource}. `}</span>
          Made <Time iso={createdAt} />
          {usedAt === undefined ? (
            ', not used yet'
          ) : (
            <>
              , last used <Time iso={usedAt} />
            </>
          )}
          ; {isExpired ? 'expired' : 'expires'} <Time iso={expiresAt} />.
        </small>
      </div>
      <form method="post" action="/account/tokens/revoke">
        <Csrf token={csrf} />
        <input type="hidden" name="id" value={id} />
        <button class="small danger" type="submit" aria-label={`Revoke ${name}`}>
          Revoke
        </button>
      </form>
    </li>
  )
}

/** Shown once. */
export function newTokenPage(props: { shell: Shell; name: string; token: string; expiresAt: string }) {
  return (
    <Layout title="Access tokens" shell={props.shell} wide>
      <AccountTabs at="/account/tokens" shell={props.shell} />
      <h1 safe>{`The token ${props.name}`}</h1>
      <div class="card">
        <pre>
          <code safe>{props.token}</code>
        </pre>
        <p class="note warn">
          <Icon name="warning" />
          <span>
            It is not shown again. It expires <Time iso={props.expiresAt} />.
          </span>
        </p>
        <p class="links">
          <a href="/account/tokens">Back to your tokens</a>
        </p>
      </div>
    </Layout>
  )
}
